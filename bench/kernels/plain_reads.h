// What plain reads of memory reach: what kernels that stream memory are measured against.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace puna::bench {

// Every bit goes into the result, so that no load can be left out.
inline uint64_t read_all(const uint8_t* bytes, int64_t n_bytes) {
    constexpr int64_t kAhead = 1024;
    uint64_t bits[8] = {};
    for (int64_t i = 0; i + 64 <= n_bytes; i += 64) {
        benchmark::DoNotOptimize(bits);
        if (i + kAhead < n_bytes) __builtin_prefetch(bytes + i + kAhead, 0, 2);
        uint64_t words[8];
        std::memcpy(words, bytes + i, sizeof words);
        for (int j = 0; j < 8; ++j) bits[j] |= words[j];
    }
    uint64_t all = 0;
    for (const uint64_t word : bits) all |= word;
    return all;
}

// Bytes per second that n_threads read together: the best of a few times.
inline double measure_read_bandwidth(int n_threads) {
    constexpr int64_t kBytes = int64_t{256} << 20;
    const std::vector<uint8_t> memory(static_cast<size_t>(kBytes), 1);
    const int64_t part = kBytes / n_threads;
    double best = 0.0;
    for (int i = 0; i < 5; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (int t = 0; t < n_threads; ++t) {
            threads.emplace_back([&memory, part, t] {
                benchmark::DoNotOptimize(read_all(memory.data() + t * part, part));
            });
        }
        for (std::thread& thread : threads) thread.join();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
        best = std::max(best, static_cast<double>(kBytes) / seconds.count());
    }
    return best;
}

// Measured when first asked for; n_threads is 1 or 2.
inline double read_bandwidth(int n_threads) {
    static std::mutex mutex;
    static double measured[3] = {};
    const std::lock_guard lock(mutex);
    if (measured[n_threads] == 0.0) measured[n_threads] = measure_read_bandwidth(n_threads);
    return measured[n_threads];
}

}  // namespace puna::bench
