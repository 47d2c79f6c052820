// Memory from the host's allocator, owned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/status.h"
#include "puna/puna_backend.h"

namespace puna::core {

class HostMemory {
  public:
    static constexpr size_t kAlignment = 64;

    HostMemory() = default;
    HostMemory(HostMemory&& other) noexcept { swap(other); }
    HostMemory& operator=(HostMemory&& other) noexcept {
        HostMemory(std::move(other)).swap(*this);
        return *this;
    }
    ~HostMemory() {
        if (data_) services_->free(services_->host, data_, size_, kAlignment);
    }

    // Uninitialised bytes, a multiple of kAlignment; none when `bytes` is 0. `what` names them in
    // the message of PUNA_ERROR_OUT_OF_MEMORY. The services outlive the memory.
    static Result<HostMemory> create(const puna_host_services& services, uint64_t bytes,
                                     const char* what) {
        HostMemory memory;
        if (bytes == 0) return memory;
        if (bytes <= std::numeric_limits<size_t>::max()) {
            memory.services_ = &services;
            memory.size_ = static_cast<size_t>(bytes);
            memory.data_ = services.alloc(services.host, memory.size_, kAlignment);
        }
        if (!memory.data_) {
            return make_status(PUNA_ERROR_OUT_OF_MEMORY, "no memory for the %s: %llu bytes", what,
                               static_cast<unsigned long long>(bytes));
        }
        return memory;
    }

    uint8_t* data() const { return static_cast<uint8_t*>(data_); }
    size_t size() const { return size_; }

  private:
    void swap(HostMemory& other) noexcept {
        std::swap(services_, other.services_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    const puna_host_services* services_ = nullptr;
    void* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace puna::core
