// Copies from global into shared memory that do not pass through registers, and that a block waits for later:
// from compute capability 8.0 on. What copy_async() was called for since the last commit_copies() is a group.
//
// A thread waits for its own copies alone; a barrier behind that says that those of all are there.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

#if !defined(__CUDACC__)

inline void copy_async(void* shared, const void* global) {
    cuda_emulator::copy_async(shared, global);
}
inline void commit_copies() {
    cuda_emulator::commit_copies();
}
template <int kLeft>
inline void wait_copies() {
    cuda_emulator::wait_copies(kLeft);
}

#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

// 16 bytes; both addresses are multiples of 16.
__device__ inline void copy_async(void* shared, const void* global) {
    const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" : : "r"(to), "l"(global) : "memory");
}
__device__ inline void commit_copies() {
    asm volatile("cp.async.commit_group;\n" : : : "memory");
}
// Until no more than kLeft of the last groups are on their way.
template <int kLeft>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;\n" : : "n"(kLeft) : "memory");
}

#else

// Never called: prepare_kernels() of forward.h says where it may be.
__device__ inline void copy_async(void*, const void*) {
    __trap();
}
__device__ inline void commit_copies() {}
template <int kLeft>
__device__ inline void wait_copies() {}

#endif

}  // namespace puna::cuda
