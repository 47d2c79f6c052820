// Where all blocks of a launch_together() meet: what any of them wrote before it came, all can read once they
// have left. A counter in device memory counts blocks that came; it is 0 when the kernel begins and, if all
// call leave_grid() at last, when it has ended.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

struct GridCounters {
    uint32_t n_come;
    uint32_t n_left;
};

__device__ inline void add_release(uint32_t* counter) {
#if defined(__CUDA_ARCH__)
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" : : "l"(counter) : "memory");
#else
    ++*counter;
#endif
}
__device__ inline uint32_t load_relaxed(const uint32_t* counter) {
#if defined(__CUDA_ARCH__)
    uint32_t value;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
#else
    return *counter;
#endif
}
// What others wrote before they came can be read behind it: the L1 cache is emptied, which a load that
// acquires would do each time.
__device__ inline void acquire_all() {
#if defined(__CUDA_ARCH__)
    asm volatile("fence.acq_rel.gpu;" : : : "memory");
#endif
}

// All threads of a block; thread 0 speaks for the writes of all.
__device__ inline void come_to_grid(GridCounters* counters) {
    __syncthreads();
    if (threadIdx.x == 0) add_release(&counters->n_come);
}
// Until all blocks have come for the n-th time, counted from 1.
__device__ inline void wait_for_grid(const GridCounters* counters, uint32_t n) {
    if (threadIdx.x == 0) {
        while (load_relaxed(&counters->n_come) < n * gridDim.x) {
#if !defined(__CUDACC__)
            cuda_emulator::watch();
#endif
        }
        acquire_all();
    }
    __syncthreads();
}
// A block leaves after its last wait: nobody waits any more when the last one does.
__device__ inline void leave_grid(GridCounters* counters) {
    __syncthreads();
    if (threadIdx.x != 0) return;
    const uint32_t last = gridDim.x - 1;
    if (atomicInc(&counters->n_left, last) == last) counters->n_come = 0;
}

}  // namespace puna::cuda
