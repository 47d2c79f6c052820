// Blocks that leave parts of a result, of which the last one to come joins them.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

// Whether the block is the last of n that come here; it then sees what all of them have written. The
// counter is 0 again for the next kernel. `is_last` is in shared memory.
__device__ inline bool comes_last(uint32_t* arrivals, int32_t n, bool& is_last) {
    __syncthreads();  // behind this, thread 0 speaks for the writes of all
    if (threadIdx.x == 0) {
        __threadfence();
        const auto most = static_cast<uint32_t>(n - 1);
        is_last = atomicInc(arrivals, most) == most;
        __threadfence();
    }
    __syncthreads();
    return is_last;
}

}  // namespace puna::cuda
