#include "base/allocator.h"

#include <cassert>
#include <cstdint>
#include <new>

#include "base/checked.h"
#include "base/large_pages.h"

namespace puna::core {
namespace {

// Whole multiples of the alignment, at least one: aligned allocation functions ask for it.
bool block_size(size_t size, size_t alignment, size_t* out) {
    assert(alignment != 0 && (alignment & (alignment - 1)) == 0);
    size_t sum = 0;
    if (!checked_add<size_t>(size == 0 ? 1 : size, alignment - 1, &sum)) return false;
    *out = sum & ~(alignment - 1);
    return true;
}

// Large blocks begin on a large page, so that all of it can lie in such pages.
std::align_val_t own_alignment(size_t block, size_t alignment) {
    return std::align_val_t(block >= kLargePage && alignment < kLargePage ? kLargePage : alignment);
}

void* allocate_own(size_t block, size_t alignment) {
    // Operator new may round up to the alignment without a look at the end of the numbers.
    if (block > SIZE_MAX - kLargePage) return nullptr;
    void* ptr = ::operator new(block, own_alignment(block, alignment), std::nothrow);
    if (ptr && block >= kLargePage) advise_large_pages(ptr, block);
    return ptr;
}

void release(const AllocatorHooks& hooks, void* ptr, size_t block, size_t alignment) {
    if (hooks.free) {
        hooks.free(hooks.user, ptr, block, alignment);
    } else {
        ::operator delete(ptr, own_alignment(block, alignment));
    }
}

}  // namespace

void* Allocator::allocate(size_t size, size_t alignment) {
    size_t block = 0;
    if (!block_size(size, alignment, &block)) return nullptr;
    void* ptr =
        hooks_.alloc ? hooks_.alloc(hooks_.user, block, alignment) : allocate_own(block, alignment);
    if (!ptr) return nullptr;
    if (reinterpret_cast<uintptr_t>(ptr) % alignment != 0) {
        // A hook that ignores the alignment: refused here, or a kernel would crash on it later.
        release(hooks_, ptr, block, alignment);
        return nullptr;
    }
    count(block);
    return ptr;
}

void Allocator::deallocate(void* ptr, size_t size, size_t alignment) noexcept {
    size_t block = 0;
    if (!ptr || !block_size(size, alignment, &block)) return;
    release(hooks_, ptr, block, alignment);
    live_bytes_.fetch_sub(block, std::memory_order_relaxed);
}

void Allocator::count(size_t size) {
    const size_t live = live_bytes_.fetch_add(size, std::memory_order_relaxed) + size;
    size_t peak = peak_bytes_.load(std::memory_order_relaxed);
    while (live > peak &&
           !peak_bytes_.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
    }
}

Result<Buffer> Buffer::create(Allocator& allocator, size_t bytes, size_t alignment,
                              const char* what) {
    Buffer buffer;
    buffer.data_ = allocator.allocate(bytes, alignment);
    if (!buffer.data_) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY, "%s: cannot allocate %zu bytes", what, bytes);
    }
    buffer.allocator_ = &allocator;
    buffer.size_ = bytes;
    buffer.alignment_ = alignment;
    return buffer;
}

}  // namespace puna::core
