#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#if !defined(_WIN32)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace puna::test {

// A copy of bytes with unreadable pages around it: code that reads beyond their end (or, placed at
// the start, before them) crashes, whatever instruction it reads with. On Windows a plain copy.
class GuardedMemory {
  public:
    enum class Place { kEnd, kStart };

    GuardedMemory(const void* bytes, size_t n_bytes, Place place) {
#if defined(_WIN32)
        (void)place;
        memory_ = data_ = new uint8_t[n_bytes];
#else
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t inner = (n_bytes + page - 1) / page * page;
        size_ = inner + 2 * page;
        void* memory = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        memory_ = static_cast<uint8_t*>(memory);
        // Emulators refuse to protect no pages at all.
        if (inner > 0 && mprotect(memory_ + page, inner, PROT_READ | PROT_WRITE) != 0) {
            munmap(memory_, size_);
            throw std::bad_alloc();
        }
        data_ = memory_ + page + (place == Place::kEnd ? inner - n_bytes : 0);
#endif
        if (n_bytes > 0) std::memcpy(data_, bytes, n_bytes);
    }
    ~GuardedMemory() {
#if defined(_WIN32)
        delete[] memory_;
#else
        munmap(memory_, size_);
#endif
    }
    GuardedMemory(const GuardedMemory&) = delete;
    GuardedMemory& operator=(const GuardedMemory&) = delete;

    uint8_t* data() const {
        return data_;
    }

  private:
    uint8_t* memory_ = nullptr;
    uint8_t* data_ = nullptr;
    [[maybe_unused]] size_t size_ = 0;
};

}  // namespace puna::test
