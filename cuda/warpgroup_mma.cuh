// Products of bfloat16 by warpgroups, four warps whose first is a multiple of four, out of shared memory: on
// compute capability 9.0 alone, in code for its own features (sm_90a). (PTX: wgmma.)
//
// 64 rows of one operand times 64, 128 .. rows of another, 16 columns at a time, added to floats. Both lie as panels
// (linear_bf16.h) from a multiple of 1024 bytes on: a row has 128 bytes, whose pieces of 16 are at p ^ row % 8. A
// warp gets 16 of the 64 rows, and of each 8 rows of the other operand its lanes have [4] sums as bf16_tile.cuh says.
//
// The products of a group are enqueued behind each other, and read shared memory until wait_products() returns;
// their sums are nobody's until then.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

constexpr int kWarpgroup = 4 * kWarp;
constexpr int kWarpgroupRows = 64;
// Columns of a product, and what an operand advances by them.
constexpr int kProductColumns = 16;
constexpr uint64_t kProductAdvance = kProductColumns * 2 >> 4;

// Kernels that need them are empty elsewhere, and take no block of their size: has_warpgroups().
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr bool kHasWarpgroups = false;
#else
constexpr bool kHasWarpgroups = true;
#endif

// A panel at an address in shared memory: rows of 128 bytes, 1024 for eight of them, turned by these 128.
__device__ inline uint64_t panel_operand(uint32_t shared_address) {
    constexpr uint64_t kEightRows = uint64_t{1024 >> 4} << 32;
    constexpr uint64_t kTurned128 = uint64_t{1} << 62;
    constexpr uint64_t kUnused = uint64_t{1} << 16;
    return (shared_address & 0x3ffffu) >> 4 | kUnused | kEightRows | kTurned128;
}

// sums [kOutputs / 8][4] += 64 rows times the transpose of kOutputs rows of weights, 16 columns of both.
template <int kOutputs>
__device__ void multiply_panels(float (*sums)[4], uint64_t rows, uint64_t weights);

#if !defined(__CUDACC__)

inline void begin_products() {}
inline void end_products() {
    cuda_emulator::commit_products();
}
template <int kLeft>
inline void wait_products() {
    cuda_emulator::wait_products(kLeft);
    __syncwarp();
}
// An element of a panel, as the processor finds it: in shared memory, by the bits of the address.
inline float panel_element(uint64_t operand, int row, int column) {
    const uint64_t eight_rows = (operand >> 32 & 0x3fffu) << 4;
    uint64_t at = ((operand & 0x3fffu) << 4) + row / 8 * eight_rows + row % 8 * 128 + column * 2;
    at ^= (at >> 7 & 7) << 4;
    uint16_t bits = 0;
    std::memcpy(&bits, cuda_emulator::shared_memory_at(at), sizeof bits);
    return bfloat16_value(bits);
}
template <int kOutputs>
inline void multiply_panels(float (*sums)[4], uint64_t rows, uint64_t weights) {
    cuda_emulator::enqueue_product([sums, rows, weights] {
        const int row = warp_of_thread() % 4 * 16 + lane_of_thread() / 4;
        for (int k = 0; k < kProductColumns; ++k) {
            const float low = panel_element(rows, row, k);
            const float high = panel_element(rows, row + 8, k);
            for (int i = 0; i < kOutputs / 4; ++i) {
                const int output = i / 2 * 8 + lane_of_thread() % 4 * 2 + i % 2;
                const float weight = panel_element(weights, output, k);
                sums[i / 2][i % 2] += low * weight;
                sums[i / 2][i % 2 + 2] += high * weight;
            }
        }
    });
}

#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Before the first product of a group, whose sums others may have written.
__device__ inline void begin_products() {
    asm volatile("wgmma.fence.sync.aligned;" : : : "memory");
}
__device__ inline void end_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory");
}
// Until no more than kLeft groups are on their way.
template <int kLeft>
__device__ inline void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(kLeft) : "memory");
}

#define PUNA_SUMS_4(i) "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define PUNA_SUMS_16(i) PUNA_SUMS_4(i), PUNA_SUMS_4(i + 1), PUNA_SUMS_4(i + 2), PUNA_SUMS_4(i + 3)
#define PUNA_SUMS_64 PUNA_SUMS_16(0), PUNA_SUMS_16(4), PUNA_SUMS_16(8), PUNA_SUMS_16(12)
#define PUNA_SUMS_128 \
    PUNA_SUMS_64, PUNA_SUMS_16(16), PUNA_SUMS_16(20), PUNA_SUMS_16(24), PUNA_SUMS_16(28)

template <>
__device__ inline void multiply_panels<128>(float (*sums)[4], uint64_t rows, uint64_t weights) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, adds, 1, 1, 0, 0;\n"
        "}\n"
        : PUNA_SUMS_64
        : "l"(rows), "l"(weights));
}
template <>
__device__ inline void multiply_panels<256>(float (*sums)[4], uint64_t rows, uint64_t weights) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "
        "%111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "
        "%127}, "
        "%128, %129, adds, 1, 1, 0, 0;\n"
        "}\n"
        : PUNA_SUMS_128
        : "l"(rows), "l"(weights));
}

#undef PUNA_SUMS_128
#undef PUNA_SUMS_64
#undef PUNA_SUMS_16
#undef PUNA_SUMS_4

#else

__device__ inline void begin_products() {}
__device__ inline void end_products() {}
template <int kLeft>
__device__ inline void wait_products() {}
template <int kOutputs>
__device__ void multiply_panels(float (*)[4], uint64_t, uint64_t) {}

#endif

}  // namespace puna::cuda
