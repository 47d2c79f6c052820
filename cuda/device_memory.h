// Owners of what the CUDA runtime hands out. The device they belong to is the current one whenever they
// are made or destroyed.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "cuda/devices.h"

namespace puna::cuda {

// What is laid into one block begins at multiples of this.
constexpr uint64_t kDeviceAlignment = 256;

// Destroys a handle of the CUDA runtime; the answer is of no use to anybody.
template <class Handle, cudaError_t (*kDestroy)(Handle)>
class Owned {
  public:
    Owned() = default;
    explicit Owned(Handle handle) : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, Handle())) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owned() {
        if (handle_ != Handle() && kDestroy(handle_) != cudaSuccess) (void)cudaGetLastError();
    }
    Handle get() const { return handle_; }

  private:
    Handle handle_ = Handle();
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

Result<Stream> create_stream(Device& device);
// For waiting, not for timing.
Result<Event> create_event(Device& device);
// For the time between two of them.
Result<Event> create_timer(Device& device);

inline cudaError_t free_device(uint8_t* memory) {
    return cudaFree(memory);
}
inline cudaError_t free_pinned(uint8_t* memory) {
    return cudaFreeHost(memory);
}

// Memory with its size; of no bytes: null.
template <cudaError_t (*kFree)(uint8_t*)>
class Memory {
  public:
    Memory() = default;
    Memory(uint8_t* data, uint64_t size) : data_(data), size_(size) {}
    uint8_t* data() const { return data_.get(); }
    uint64_t size() const { return size_; }

  private:
    Owned<uint8_t*, kFree> data_;
    uint64_t size_ = 0;
};

// On the device, not initialised. DEVICE_MEMORY says how much was wanted for `what` and what was free.
using DeviceMemory = Memory<free_device>;
Result<DeviceMemory> allocate_device(Device& device, uint64_t size, const char* what);

// On the host, where the device reads and writes it by itself. It comes from the driver and does not count
// as memory of the host's allocator. OUT_OF_MEMORY.
using PinnedMemory = Memory<free_pinned>;
Result<PinnedMemory> allocate_pinned(Device& device, uint64_t size, const char* what);

}  // namespace puna::cuda
