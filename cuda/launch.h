// Kernels are enqueued through launch(), launch_next(), launch_clusters() and launch_together() alone: by the CUDA runtime, or by
// the emulator of the tests.
//
// launch_next() lets a kernel begin while the one before it still runs, on GPUs of compute capability 9.0
// and newer (programmatic dependent launch): its launch then costs nothing, and its weights are on their
// way. The rule for such a kernel: every thread calls wait_for_last_kernel(), whether it has work or not,
// and touches nothing before that but what no kernel of a pass writes: weights, the batch. It may ask for
// other memory to be brought into the L2 cache, which is coherent; it must not write at all.
//
// The wait ends when the last kernel has ended and what it wrote can be seen. That one has waited for the
// kernel before it, or was enqueued by launch() or launch_together(), which wait for everything: so all earlier ones have ended
// too, and nobody reads any more what is now written over. One block that returned without waiting could
// end before its predecessors, and this would not hold for the kernel behind it.
//
// Only after its own wait does a kernel let the next one begin: no more than one is ahead, and its
// prefetches do not compete with those of later ones. Behind anything else than a kernel, such as the event
// between two layers or a copy of a batch, launch_next() waits for everything, as launch() does.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace puna::cuda {

template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, std::type_identity_t<Parameters>... arguments) {
#if defined(__CUDACC__)
    void* pointers[] = {&arguments..., nullptr};
    return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                            shared_bytes, stream);
#else
    return cuda_emulator::launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes,
                                 stream, [=] { kernel(arguments...); });
#endif
}

// As launch_next(), with `cluster` neighbours along x, of which the grid has a multiple, in a cluster
// (bulk_copy.cuh).
template <class... Parameters>
cudaError_t launch_clusters(int32_t cluster, bool overlaps, void (*kernel)(Parameters...),
                            dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                            std::type_identity_t<Parameters>... arguments) {
#if !defined(__CUDACC__)
    using Kind = cuda_emulator::LaunchKind;
    return cuda_emulator::launch(
        reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream,
        [=] { kernel(arguments...); }, overlaps ? Kind::kOverlaps : Kind::kPlain, cluster);
#else
    cudaLaunchAttribute attributes[2] = {};
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = attributes;
#if CUDART_VERSION >= 12030
    if (overlaps) {
        cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
        attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attribute.val.programmaticStreamSerializationAllowed = 1;
    }
#endif
    if (cluster > 1) {
        cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    }
    void* pointers[] = {&arguments..., nullptr};
    return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers);
#endif
}

// `overlaps`: what prepare_kernels() says of the device.
template <class... Parameters>
cudaError_t launch_next(bool overlaps, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                        size_t shared_bytes, cudaStream_t stream,
                        std::type_identity_t<Parameters>... arguments) {
    return launch_clusters(1, overlaps, kernel, grid, block, shared_bytes, stream, arguments...);
}

// All blocks run at the same time, so that they may wait for each other; an error if there is no room for them.
template <class... Parameters>
cudaError_t launch_together(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                            size_t shared_bytes, cudaStream_t stream,
                            std::type_identity_t<Parameters>... arguments) {
#if defined(__CUDACC__)
    void* pointers[] = {&arguments..., nullptr};
    return cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                                       shared_bytes, stream);
#else
    return cuda_emulator::launch(
        reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream,
        [=] { kernel(arguments...); }, cuda_emulator::LaunchKind::kCooperates);
#endif
}

// For kernels that launch_next() enqueues, and fine in all others.
__device__ inline void wait_for_last_kernel() {
#if !defined(__CUDACC__) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)
    cudaGridDependencySynchronize();
    cudaTriggerProgrammaticLaunchCompletion();
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
