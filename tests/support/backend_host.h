#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>
#include <vector>

#include "format/block_format.h"
#include "puna/puna_backend.h"

namespace puna::test {

// The services of a host, for tests of a backend: counts memory, can refuse it, has a clock that
// only the test moves, and starts its threads anew for every parallel call.
class BackendHost {
  public:
    explicit BackendHost(int32_t n_threads = 1) {
        services_.struct_size = sizeof services_;
        services_.n_threads = n_threads;
        services_.host = reinterpret_cast<puna_host*>(this);
        services_.alloc = [](puna_host* host, size_t size, size_t alignment) {
            return self(host).allocate(size, alignment);
        };
        services_.free = [](puna_host* host, void* memory, size_t size, size_t alignment) {
            self(host).live_bytes_ -= size;
            ::operator delete (memory, std::align_val_t{alignment});
        };
        services_.log = [](puna_host*, int32_t, const char*, size_t) {};
        services_.parallel = [](puna_host* host, int32_t n_parts, int32_t max_threads,
                                puna_part_fn part, void* argument) {
            self(host).run_parts(n_parts, max_threads, part, argument);
        };
        services_.now_ns = [](puna_host* host) { return self(host).now_ns; };
        services_.dequantize = [](puna_host*, int32_t, const void*, int64_t, float*, puna_error*) {
            return puna_status{PUNA_ERROR_UNSUPPORTED};
        };
        services_.block_size = [](puna_host*, int32_t format, int32_t* n_elements, int32_t* n_bytes,
                                  puna_error*) -> puna_status {
            const auto* info = core::find_block_format(static_cast<uint32_t>(format));
            if (!info) return PUNA_ERROR_UNSUPPORTED;
            *n_elements = static_cast<int32_t>(info->block_length);
            *n_bytes = static_cast<int32_t>(info->block_bytes);
            return PUNA_OK;
        };
    }
    BackendHost(const BackendHost&) = delete;
    BackendHost& operator=(const BackendHost&) = delete;

    const puna_host_services& services() const { return services_; }
    size_t live_bytes() const { return live_bytes_; }
    int32_t most_threads() const { return most_threads_; }  // that a parallel call asked for

    int64_t now_ns = 0;
    int32_t n_allocations_left = -1;  // then memory is refused; negative: never

  private:
    static BackendHost& self(puna_host* host) { return *reinterpret_cast<BackendHost*>(host); }

    void* allocate(size_t size, size_t alignment) {
        if (n_allocations_left == 0) return nullptr;
        if (n_allocations_left > 0) --n_allocations_left;
        if (size > kMostBytes) return nullptr;
        void* memory = ::operator new (size, std::align_val_t{alignment}, std::nothrow);
        if (memory) live_bytes_ += size;
        // What was never written must not reach a result: all bits set is NaN in every cache type.
        if (memory) std::fill_n(static_cast<uint8_t*>(memory), size, uint8_t{0xff});
        return memory;
    }

    void run_parts(int32_t n_parts, int32_t max_threads, puna_part_fn part, void* argument) {
        most_threads_ = std::max(most_threads_, max_threads);
        std::atomic<int32_t> next{0};
        const auto work = [&] {
            for (int32_t i; (i = next++) < n_parts;) part(i, argument);
        };
        std::vector<std::thread> threads;
        for (int32_t i = 1; i < std::min(max_threads, services_.n_threads); ++i) {
            threads.emplace_back(work);
        }
        work();
        for (std::thread& thread : threads) thread.join();
    }

    static constexpr size_t kMostBytes = size_t{1} << 30;

    puna_host_services services_ = {};
    std::atomic<size_t> live_bytes_{0};
    int32_t most_threads_ = 0;
};

}  // namespace puna::test
