// Products of signed bytes on tensor cores: 16 x 16 (or 32) times 16 (or 32) x 8, added to 32-bit integers.
// With g = lane / 4 and t = lane % 4, a lane of the warp has
//
//   a[0], a[1]  rows g and g + 8, columns 4 t .. 4 t + 3      a[2], a[3]  the same, 16 columns further
//   b[0]        rows 4 t .. 4 t + 3 of column g               b[1]        16 rows further
//   c[0], c[1]  row g, columns 2 t and 2 t + 1                c[2], c[3]  row g + 8
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

#if defined(__CUDACC__)

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
// sm_75 has 8 x 16 times 16 x 8, of which the lanes hold the same parts.
__device__ inline void mma_8_rows(int* c, uint32_t a, uint32_t b) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
                 : "+r"(c[0]), "+r"(c[1])
                 : "r"(a), "r"(b));
}
__device__ inline void mma_16_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    mma_8_rows(c, a[0], b[0]);
    mma_8_rows(c + 2, a[1], b[0]);
}
__device__ inline void mma_32_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    mma_16_bytes(c, a, b);
    mma_16_bytes(c, a + 2, b + 1);
}
#else
__device__ inline void mma_16_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
        "{%0, %1, %2, %3};\n"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}
__device__ inline void mma_32_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

#else

inline void mma_16_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    const auto both = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
    uint64_t as[kWarp];
    uint64_t bs[kWarp];
    cuda_emulator::warp_values(kAllLanes, both(a[0], a[1]), as);
    cuda_emulator::warp_values(kAllLanes, b[0], bs);
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    for (int i = 0; i < 4; ++i) {
        const int column = 2 * t + i % 2;
        for (int k = 0; k < 4; ++k) {
            const auto row = static_cast<uint32_t>(as[g * 4 + k] >> i / 2 * 32);
            c[i] = __dp4a(static_cast<int>(row), static_cast<int>(bs[column * 4 + k]), c[i]);
        }
    }
}
inline void mma_32_bytes(int* c, const uint32_t* a, const uint32_t* b) {
    mma_16_bytes(c, a, b);
    mma_16_bytes(c, a + 2, b + 1);
}

#endif

}  // namespace puna::cuda
