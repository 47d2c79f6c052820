#include "stress/counted_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <malloc.h>
#endif

namespace puna::test {
namespace {

std::atomic<int64_t> live_blocks{0};
std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> until_failure{-1};
std::atomic<bool> has_failed{false};

int64_t size_of(void* memory) {
#if defined(__linux__)
    return static_cast<int64_t>(malloc_usable_size(memory));
#else
    return memory != nullptr ? 1 : 0;
#endif
}

bool must_fail() {
    if (until_failure.load(std::memory_order_relaxed) < 0) return false;
    if (until_failure.fetch_sub(1) != 0) return false;
    has_failed = true;
    return true;
}

void* allocate(std::size_t size, std::size_t alignment) {
    if (must_fail()) return nullptr;
    if (size == 0) size = 1;
    void* memory = nullptr;
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
        memory = std::malloc(size);
    } else {
        memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    if (memory == nullptr) return nullptr;
    ++live_blocks;
    const int64_t live = live_bytes += size_of(memory);
    int64_t peak = peak_bytes;
    while (live > peak && !peak_bytes.compare_exchange_weak(peak, live)) {
    }
    return memory;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
    if (void* memory = allocate(size, alignment)) return memory;
    throw std::bad_alloc();
}

void release(void* memory) {
    if (memory == nullptr) return;
    --live_blocks;
    live_bytes -= size_of(memory);
    std::free(memory);
}

}  // namespace

int64_t live_new_blocks() {
    return live_blocks;
}
int64_t live_new_bytes() {
    return live_bytes;
}
int64_t peak_new_bytes() {
    return peak_bytes;
}
void reset_peak_new_bytes() {
    peak_bytes = live_bytes.load();
}
void fail_new_at(int64_t index) {
    has_failed = false;
    until_failure = index;
}
bool stop_failing_new() {
    until_failure = -1;
    return has_failed;
}

}  // namespace puna::test

using puna::test::allocate;
using puna::test::allocate_or_throw;
using puna::test::release;

// clang-format off
void* operator new(std::size_t n) { return allocate_or_throw(n, 1); }
void* operator new[](std::size_t n) { return allocate_or_throw(n, 1); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return allocate(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return allocate(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { release(p); }
// clang-format on
