// Memory of the library: an allocator that the host may replace, and buffers that own from it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/status.h"

namespace puna::core {

// The host's functions; both or neither. `alignment` is a power of two, `size` a multiple of it and
// never 0; free gets the size and alignment that alloc got. alloc returns null on failure. Called
// from any thread.
struct AllocatorHooks {
    void* (*alloc)(void* user, size_t size, size_t alignment);
    void (*free)(void* user, void* ptr, size_t size, size_t alignment);
    void* user;
};

// Thread-safe; counts what it gave out. Never throws.
class Allocator {
  public:
    Allocator() = default;  // aligned operator new
    explicit Allocator(const AllocatorHooks& hooks) : hooks_(hooks) {}
    Allocator(const Allocator&) = delete;
    Allocator& operator=(const Allocator&) = delete;

    // Null on failure. `alignment` is a power of two. Zero bytes give a block too.
    void* allocate(size_t size, size_t alignment);
    // `ptr` may be null; size and alignment as they were asked for.
    void deallocate(void* ptr, size_t size, size_t alignment) noexcept;

    size_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }
    size_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }

  private:
    void count(size_t size);

    AllocatorHooks hooks_ = {nullptr, nullptr, nullptr};
    std::atomic<size_t> live_bytes_{0};
    std::atomic<size_t> peak_bytes_{0};
};

// Owns aligned, uninitialised bytes. The allocator outlives it.
class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer(std::move(other)).swap(*this);
        return *this;
    }
    ~Buffer() {
        if (data_) allocator_->deallocate(data_, size_, alignment_);
    }

    // `what` names the bytes in the error message: "KV cache". A created buffer's data() is never
    // null, not even for zero bytes.
    static Result<Buffer> create(Allocator& allocator, size_t bytes, size_t alignment = 64,
                                 const char* what = "buffer");

    void* data() const { return data_; }
    size_t size() const { return size_; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }

  private:
    void swap(Buffer& other) noexcept {
        std::swap(allocator_, other.allocator_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(alignment_, other.alignment_);
    }

    Allocator* allocator_ = nullptr;
    void* data_ = nullptr;
    size_t size_ = 0;
    size_t alignment_ = 0;
};

}  // namespace puna::core
