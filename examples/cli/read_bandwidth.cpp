#include "read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <vector>

#include "errors.h"
#include "process_memory.h"

namespace cli {

struct alignas(64) ReadBandwidth::Line {
    uint64_t words[8];
};

namespace {

constexpr size_t kBufferBytes = size_t{1} << 31;
constexpr size_t kPrefetchBytes[] = {0, 256, 512, 1024, 2048, 4096};
constexpr size_t kMostPrefetchBytes = 4096;

void prefetch_into_l2([[maybe_unused]] const void* address) {
#if defined(__GNUC__)
    __builtin_prefetch(address, 0, 2);
#endif
}

// Every bit goes into the result, so that no load can be left out.
template <bool kPrefetches, class Line>
uint64_t read_lines(const Line* line, const Line* end, size_t n_lines_ahead) {
    uint64_t bits[8] = {};
    for (; line != end; ++line) {
        if constexpr (kPrefetches) prefetch_into_l2(line + n_lines_ahead);
        for (size_t i = 0; i < 8; ++i) bits[i] |= line->words[i];
    }
    uint64_t all = 0;
    for (const uint64_t word : bits) all |= word;
    return all;
}

// Runs part(0) to part(n - 1) on a thread each. Gives the seconds from when all were ready to when
// the last was done.
template <class Part>
double seconds_on_threads(int32_t n, const Part& part) {
    using Clock = std::chrono::steady_clock;
    std::atomic<int32_t> n_ready{0};
    std::atomic<bool> go{false};
    std::vector<std::jthread> threads;
    // Those that have started end, also when another cannot be started.
    struct Start {
        std::atomic<bool>& go;
        ~Start() { go = true; }
    } const start{go};
    for (int32_t i = 1; i < n; ++i) {
        threads.emplace_back([&, i] {
            ++n_ready;
            while (!go) std::this_thread::yield();
            part(i);
        });
    }
    while (n_ready < n - 1) std::this_thread::yield();
    const auto begin = Clock::now();
    go = true;
    part(0);
    threads.clear();
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

ReadBandwidth::ReadBandwidth(int32_t n_threads) : n_threads_(std::max(n_threads, 1)) {
    const uint64_t available = available_memory();
    uint64_t n_bytes =
        available == 0 ? kBufferBytes : std::min<uint64_t>(kBufferBytes, available / 2);
    // Prefetches run ahead into the lines behind the buffer.
    constexpr size_t kMargin = kMostPrefetchBytes / sizeof(Line);
    for (; !lines_; n_bytes /= 2) {
        if (n_bytes < sizeof(Line)) throw std::bad_alloc();
        n_lines_ = static_cast<size_t>(n_bytes / sizeof(Line));
        lines_.reset(new (std::nothrow) Line[n_lines_ + kMargin]);
    }
    // Weights lie in them, and out of small ones a processor that translates too many addresses reads slower.
    advise_large_pages(lines_.get(), (n_lines_ + kMargin) * sizeof(Line));
    // Each thread gets its share of pages from its own memory.
    seconds_on_threads(n_threads_, [&](int32_t part) {
        const size_t share = n_lines_ / static_cast<size_t>(n_threads_);
        const size_t begin = static_cast<size_t>(part) * share;
        const size_t end = part + 1 == n_threads_ ? n_lines_ + kMargin : begin + share;
        std::fill(lines_.get() + begin, lines_.get() + end, Line{{1, 2, 3, 4, 5, 6, 7, 8}});
    });
}

ReadBandwidth::~ReadBandwidth() = default;

size_t ReadBandwidth::buffer_bytes() const {
    return n_lines_ * sizeof(Line);
}

void ReadBandwidth::sweep(const puna::Cancel& cancel) {
    std::atomic<uint64_t> sink{0};
    for (const size_t distance : kPrefetchBytes) {
        if (cancel.is_triggered()) throw Interrupted();
        const size_t share = n_lines_ / static_cast<size_t>(n_threads_);
        const double seconds = seconds_on_threads(n_threads_, [&](int32_t part) {
            const Line* const begin = lines_.get() + static_cast<size_t>(part) * share;
            sink |= distance == 0 ? read_lines<false>(begin, begin + share, 0)
                                  : read_lines<true>(begin, begin + share, distance / sizeof(Line));
        });
        const auto n_bytes = static_cast<double>(share * sizeof(Line)) * n_threads_;
        if (n_bytes / seconds <= bytes_per_second_) continue;
        bytes_per_second_ = n_bytes / seconds;
        prefetch_bytes_ = distance;
    }
}

}  // namespace cli
