#include "cuda/device_memory.h"

namespace puna::cuda {

Result<Stream> create_stream(Device& device) {
    // Not held up by what the host itself enqueues on the default stream.
    cudaStream_t stream = nullptr;
    PUNA_TRY(device.check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                          "cudaStreamCreate"));
    return Stream(stream);
}

Result<Event> create_event(Device& device) {
    cudaEvent_t event = nullptr;
    PUNA_TRY(
        device.check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate"));
    return Event(event);
}

Result<Event> create_timer(Device& device) {
    cudaEvent_t event = nullptr;
    PUNA_TRY(device.check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreate"));
    return Event(event);
}

Result<DeviceMemory> allocate_device(Device& device, uint64_t size, const char* what) {
    if (size == 0) return DeviceMemory();
    void* memory = nullptr;
    const cudaError_t code = size > SIZE_MAX ? cudaErrorMemoryAllocation
                                             : cudaMalloc(&memory, static_cast<size_t>(size));
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return make_status(PUNA_ERROR_DEVICE_MEMORY,
                           "%s: %s takes %llu bytes of device memory, %llu are free",
                           device.name().c_str(), what, static_cast<unsigned long long>(size),
                           static_cast<unsigned long long>(device.free_bytes()));
    }
    PUNA_TRY(device.check(code, "cudaMalloc"));
    return DeviceMemory(static_cast<uint8_t*>(memory), size);
}

Result<PinnedMemory> allocate_pinned(Device& device, uint64_t size, const char* what) {
    if (size == 0) return PinnedMemory();
    void* memory = nullptr;
    const cudaError_t code = size > SIZE_MAX ? cudaErrorMemoryAllocation
                                             : cudaMallocHost(&memory, static_cast<size_t>(size));
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "%s takes %llu bytes of pinned host memory, there are not as many", what,
                           static_cast<unsigned long long>(size));
    }
    PUNA_TRY(device.check(code, "cudaMallocHost"));
    return PinnedMemory(static_cast<uint8_t*>(memory), size);
}

}  // namespace puna::cuda
