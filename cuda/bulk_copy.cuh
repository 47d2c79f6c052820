// Copies of many bytes from global into shared memory by the copy engine, from compute capability 9.0 on. One
// thread asks for them; they cost no registers and none of the threads' time.
//
// A barrier in shared memory has rounds. A round ends when all the bytes have come that are expected in it;
// anybody may wait for that, by the parity of the round, the first one having 0. (PTX: mbarrier,
// cp.async.bulk.)
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

// Where there are some; elsewhere prepare_kernels() of forward.h says that nothing may call them.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr bool kHasBulkCopies = false;
#else
constexpr bool kHasBulkCopies = true;
#endif

#if !defined(__CUDACC__)

inline void init_barrier(uint64_t*) {}
inline void publish_barriers() {}
inline void expect_bytes(uint64_t* barrier, uint32_t n_bytes) {
    cuda_emulator::expect_bulk(barrier, n_bytes);
}
inline void copy_bulk(void* shared, const void* global, uint32_t n_bytes, uint64_t* barrier) {
    cuda_emulator::copy_bulk(shared, global, n_bytes, barrier);
}
inline void wait_bulk(uint64_t* barrier, uint32_t parity) {
    cuda_emulator::wait_bulk(barrier, parity);
}

#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

__device__ inline uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// By one thread. The others may use the barrier once it has published what it made, and they have met.
__device__ inline void init_barrier(uint64_t* barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" : : "r"(shared_address(barrier)));
}
__device__ inline void publish_barriers() {
    asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
}
// What the round is to wait for: once in each, before the copies, by one thread.
__device__ inline void expect_bytes(uint64_t* barrier, uint32_t n_bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 :
                 : "r"(shared_address(barrier)), "r"(n_bytes)
                 : "memory");
}
// n_bytes and both addresses are multiples of 16.
__device__ inline void copy_bulk(void* shared, const void* global, uint32_t n_bytes,
                                 uint64_t* barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :
        : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(n_bytes),
          "r"(shared_address(barrier))
        : "memory");
}
__device__ inline void wait_bulk(uint64_t* barrier, uint32_t parity) {
    uint32_t has_ended = 0;
    while (has_ended == 0) {
        asm volatile(
            "{\n"
            ".reg .pred ended;\n"
            "mbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\n"
            "selp.u32 %0, 1, 0, ended;\n"
            "}\n"
            : "=r"(has_ended)
            : "r"(shared_address(barrier)), "r"(parity)
            : "memory");
    }
}

#else

__device__ inline void init_barrier(uint64_t*) {
    __trap();
}
__device__ inline void publish_barriers() {}
__device__ inline void expect_bytes(uint64_t*, uint32_t) {}
__device__ inline void copy_bulk(void*, const void*, uint32_t, uint64_t*) {}
__device__ inline void wait_bulk(uint64_t*, uint32_t) {}

#endif

}  // namespace puna::cuda
