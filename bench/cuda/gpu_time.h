// What the programs beside this share: errors end them, and the time of work on the GPU is a median.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

inline void check(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s\n", cudaGetErrorString(error));
    std::exit(1);
}

// Milliseconds from the first to the last of what `run` enqueues on the default stream: the median of ten
// rounds, after one that warms up.
template <class Run>
double gpu_time(const Run& run) {
    constexpr int kRounds = 10;
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    std::vector<float> times;
    for (int i = 0; i <= kRounds; ++i) {
        check(cudaEventRecord(begin));
        run();
        check(cudaEventRecord(end));
        check(cudaEventSynchronize(end));
        float milliseconds = 0.0f;
        check(cudaEventElapsedTime(&milliseconds, begin, end));
        if (i > 0) times.push_back(milliseconds);
    }
    check(cudaEventDestroy(begin));
    check(cudaEventDestroy(end));
    std::sort(times.begin(), times.end());
    return times[kRounds / 2];
}
