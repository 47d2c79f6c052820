// How long blocks that fill a GPU take to meet (cuda/grid_barrier.cuh): of a pass as one kernel, about a
// hundred times that is time in which nothing but memory works.
#include <cuda_runtime.h>

#include <cstdio>

#include "bench/cuda/gpu_time.h"
#include "cuda/grid_barrier.cuh"

namespace {

constexpr int kThreads = 256;
constexpr int kMeetings = 1000;

__global__ void __launch_bounds__(kThreads) meet_kernel(puna::cuda::GridCounters* counters) {
    for (uint32_t n = 1; n <= kMeetings; ++n) {
        puna::cuda::come_to_grid(counters);
        puna::cuda::wait_for_grid(counters, n);
    }
    puna::cuda::leave_grid(counters);
}

// In microseconds.
double time_of_meeting(int n_blocks, puna::cuda::GridCounters* counters) {
    void* arguments[] = {&counters};
    const double milliseconds = gpu_time([&] {
        check(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(meet_kernel),
                                          dim3(static_cast<unsigned>(n_blocks)), dim3(kThreads),
                                          arguments, 0, nullptr));
    });
    return milliseconds * 1000.0 / kMeetings;
}

}  // namespace

int main() {
    puna::cuda::GridCounters* counters = nullptr;
    check(cudaMalloc(&counters, sizeof *counters));
    check(cudaMemset(counters, 0, sizeof *counters));
    int n_processors = 0;
    check(cudaDeviceGetAttribute(&n_processors, cudaDevAttrMultiProcessorCount, 0));
    for (const int each : {1, 2}) {
        std::printf("%d blocks of a multiprocessor meet in %6.2f us\n", each,
                    time_of_meeting(n_processors * each, counters));
    }
    return 0;
}
