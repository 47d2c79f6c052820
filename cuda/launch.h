// Kernels are enqueued through launch() alone: by the CUDA runtime, or by the emulator of the tests.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace puna::cuda {

namespace launching {

// The parameters of the kernel decide what the arguments are converted to.
template <class T>
struct Same {
    using Type = T;
};

}  // namespace launching

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, typename launching::Same<Parameters>::Type... arguments) {
#if defined(__CUDACC__)
    void* pointers[] = {&arguments..., nullptr};
    return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                            shared_bytes, stream);
#else
    return cuda_emulator::launch(grid, block, shared_bytes, stream, [=] { kernel(arguments...); });
#endif
}

#if defined(__CUDACC__)
// The dynamic shared memory of a block, aligned to 16 bytes.
__device__ inline void* dynamic_shared() {
    extern __shared__ uint4 memory[];
    return memory;
}
#else
inline void* dynamic_shared() {
    return cuda_emulator::dynamic_shared();
}
#endif

}  // namespace puna::cuda
