// Copies of many bytes from global into shared memory by the copy engine, from compute capability 9.0 on. One
// thread asks for them; they cost no registers and none of the threads' time.
//
// A barrier in shared memory has rounds. A round ends when as many threads have arrived as init_barrier() says,
// and all the bytes have come that are expected in it; anybody may wait for that, by the parity of the round, the
// first one having 0. (PTX: mbarrier, cp.async.bulk.)
//
// The blocks of a cluster run at the same time, on neighbouring multiprocessors. A copy may go to the shared memory
// of several, at the same place in each and with the barrier there, and a thread may arrive at the barrier of
// another block. (PTX: barrier.cluster, mapa.) A block that launch_clusters() did not enqueue is a cluster.
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

inline void init_barrier(uint64_t* barrier, uint32_t n_arrivals = 1) {
    cuda_emulator::init_bulk(barrier, n_arrivals);
}
inline void publish_barriers() {}
inline uint32_t shared_address(const void* shared) {
    return cuda_emulator::shared_address(shared);
}
inline void expect_bytes(uint64_t* barrier, uint32_t n_bytes) {
    cuda_emulator::expect_bulk(barrier, n_bytes);
}
inline void copy_bulk(void* shared, const void* global, uint32_t n_bytes, uint64_t* barrier) {
    cuda_emulator::copy_bulk(shared, global, n_bytes, barrier);
}
inline void copy_bulk_to(uint32_t blocks, void* shared, const void* global, uint32_t n_bytes,
                         uint64_t* barrier) {
    cuda_emulator::copy_bulk(shared, global, n_bytes, barrier, blocks);
}
inline void arrive_at(uint64_t* barrier, uint32_t block) {
    cuda_emulator::arrive_bulk(barrier, block);
}
inline void wait_bulk(uint64_t* barrier, uint32_t parity) {
    cuda_emulator::wait_bulk(barrier, parity);
}
inline uint32_t block_in_cluster() {
    return cuda_emulator::block_in_cluster();
}
inline void meet_cluster() {
    cuda_emulator::meet_cluster();
}

#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

__device__ inline uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// By one thread. The others may use the barrier once it has published what it made, and they have met; those of
// other blocks, once the cluster has.
__device__ inline void init_barrier(uint64_t* barrier, uint32_t n_arrivals = 1) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;"
                 :
                 : "r"(shared_address(barrier)), "r"(n_arrivals)
                 : "memory");
}
__device__ inline void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" : : : "memory");
    asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
}
// Arrives, with what the round is to wait for: before the copies that this block asks for.
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
// To the blocks of the cluster whose bits are set.
__device__ inline void copy_bulk_to(uint32_t blocks, void* shared, const void* global,
                                    uint32_t n_bytes, uint64_t* barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1], %2, [%3], %4;"
        :
        : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(n_bytes),
          "r"(shared_address(barrier)), "h"(static_cast<uint16_t>(blocks))
        : "memory");
}
// Arrives at the barrier at the same place in a block of the cluster. That says that the thread has read what the
// block's copies brought; what it wrote itself is not to be seen by other blocks behind that, which would take a
// fence of the whole GPU.
__device__ inline void arrive_at(uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n"
        ".reg .u32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
        "}\n"
        :
        : "r"(shared_address(barrier)), "r"(block)
        : "memory");
}
__device__ inline uint32_t block_in_cluster() {
    uint32_t block;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(block));
    return block;
}
// All threads of all blocks of a cluster wait for each other.
__device__ inline void meet_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;" : : : "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" : : : "memory");
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

__device__ inline void init_barrier(uint64_t*, uint32_t = 1) {
    __trap();
}
__device__ inline void publish_barriers() {}
__device__ inline void expect_bytes(uint64_t*, uint32_t) {}
__device__ inline void copy_bulk(void*, const void*, uint32_t, uint64_t*) {}
__device__ inline void copy_bulk_to(uint32_t, void*, const void*, uint32_t, uint64_t*) {}
__device__ inline void arrive_at(uint64_t*, uint32_t) {}
__device__ inline uint32_t shared_address(const void*) {
    return 0;
}
__device__ inline uint32_t block_in_cluster() {
    return 0;
}
__device__ inline void meet_cluster() {}
__device__ inline void wait_bulk(uint64_t*, uint32_t) {}

#endif

}  // namespace puna::cuda
