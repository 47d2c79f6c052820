// Products of bfloat16 by warpgroups, four warps whose first is a multiple of four: on compute capability 9.0 alone, in
// code for its own features (sm_90a). (PTX: wgmma.)
//
// A warp brings 16 outputs of weights in its registers, as left operands of mma.cuh, and multiplies them with the 16
// columns of 128 or 256 rows that are in shared memory, added to floats. Rows lie as a panel (linear_bf16.h) from
// a multiple of 1024 bytes on: a row has 128 bytes, whose pieces of 16 are at p ^ row % 8. With g = lane / 4 and
// t = lane % 4, sums[n] of a lane are two of output g, of rows 8 n + 2 t and the next, and two of output g + 8.
//
// The products of a group are enqueued behind each other, and use what they read until wait_products() returns;
// their sums are nobody's until then.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

constexpr int kWarpgroup = 4 * kWarp;
// Of shared memory that a block takes at most: what all GPUs that have them give.
constexpr int kWarpgroupShared = 227 * 1024;
// What an operand advances by the columns of a product.
constexpr uint64_t kProductAdvance = 16 * 2 >> 4;

// Kernels that need them are empty elsewhere, and take no block of their size.
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

// sums [kRows / 8][4] += 64 outputs times kRows rows, 16 columns of both.
template <int kRows>
__device__ void multiply_panel(float (*sums)[4], const uint32_t* a, uint64_t rows);
// Until all products are done.
template <int kRows>
__device__ void wait_products(float (*sums)[4]);

#if !defined(__CUDACC__)

template <int kCount>
inline void take_registers() {}
template <int kCount>
inline void give_registers() {}
inline void begin_products() {}
inline void end_products() {
    cuda_emulator::commit_products();
}
template <int kRows>
inline void wait_products(float (*)[4]) {
    cuda_emulator::wait_products(0);
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
// Columns of outputs g and g + 8, which four lanes have together.
struct ProductWeights {
    float low[16];
    float high[16];
};
inline ProductWeights product_weights(const uint32_t* a) {
    ProductWeights weights;
    for (int word = 0; word < 4; ++word) {
        uint64_t words[kWarp];
        cuda_emulator::warp_values(kAllLanes, a[word], words);
        float* to = (word % 2 == 0 ? weights.low : weights.high) + word / 2 * 8;
        for (int i = 0; i < 8; ++i) {
            const uint64_t pair = words[lane_of_thread() / 4 * 4 + i / 2];
            to[i] = bfloat16_value(static_cast<uint32_t>(pair >> i % 2 * 16) & 0xffffu);
        }
    }
    return weights;
}
template <int kRows>
inline void multiply_panel(float (*sums)[4], const uint32_t* a, uint64_t rows) {
    cuda_emulator::enqueue_product([sums, rows, weights = product_weights(a)] {
        for (int i = 0; i < kRows / 4; ++i) {
            const int row = i / 2 * 8 + lane_of_thread() % 4 * 2 + i % 2;
            for (int k = 0; k < 16; ++k) {
                const float x = panel_element(rows, row, k);
                sums[i / 2][i % 2] += weights.low[k] * x;
                sums[i / 2][i % 2 + 2] += weights.high[k] * x;
            }
        }
    });
}

#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A warpgroup has kCount registers a thread from here on, of those that all of its block share: it waits until
// others have given as many, or gives them.
template <int kCount>
__device__ inline void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" : : "n"(kCount));
}
template <int kCount>
__device__ inline void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" : : "n"(kCount));
}
// Before the first product of a group, whose operands and sums others may have written.
__device__ inline void begin_products() {
    asm volatile("wgmma.fence.sync.aligned;" : : : "memory");
}
__device__ inline void end_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory");
}
#define PUNA_SUMS_4(i) "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define PUNA_SUMS_16(i) PUNA_SUMS_4(i), PUNA_SUMS_4(i + 1), PUNA_SUMS_4(i + 2), PUNA_SUMS_4(i + 3)
#define PUNA_SUMS_64 PUNA_SUMS_16(0), PUNA_SUMS_16(4), PUNA_SUMS_16(8), PUNA_SUMS_16(12)
#define PUNA_SUMS_128 \
    PUNA_SUMS_64, PUNA_SUMS_16(16), PUNA_SUMS_16(20), PUNA_SUMS_16(24), PUNA_SUMS_16(28)

template <>
__device__ inline void multiply_panel<128>(float (*sums)[4], const uint32_t* a, uint64_t rows) {
    asm volatile(
        "{\n"
        ".reg .pred adds;\n"
        "setp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "{%64, %65, %66, %67}, %68, adds, 1, 1, 0;\n"
        "}\n"
        : PUNA_SUMS_64
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(rows));
}
template <>
__device__ inline void multiply_panel<256>(float (*sums)[4], const uint32_t* a, uint64_t rows) {
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
        "{%128, %129, %130, %131}, %132, adds, 1, 1, 0;\n"
        "}\n"
        : PUNA_SUMS_128
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(rows));
}

// That names the sums, so that nothing is done with them before.
template <>
__device__ inline void wait_products<128>(float (*sums)[4]) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" : PUNA_SUMS_64 : : "memory");
}
template <>
__device__ inline void wait_products<256>(float (*sums)[4]) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" : PUNA_SUMS_128 : : "memory");
}

#undef PUNA_SUMS_128
#undef PUNA_SUMS_64
#undef PUNA_SUMS_16
#undef PUNA_SUMS_4

#else

template <int kCount>
__device__ inline void take_registers() {}
template <int kCount>
__device__ inline void give_registers() {}
__device__ inline void begin_products() {}
__device__ inline void end_products() {}
template <int kRows>
__device__ void multiply_panel(float (*)[4], const uint32_t*, uint64_t) {}
template <int kRows>
__device__ void wait_products(float (*)[4]) {}

#endif

}  // namespace puna::cuda
