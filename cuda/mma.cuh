// Products of signed bytes on tensor cores: 16 x 16 (or 32) times 16 (or 32) x 8, added to 32-bit integers.
// With g = lane / 4 and t = lane % 4, a lane of the warp has
//
//   a[0], a[1]  rows g and g + 8, columns 4 t .. 4 t + 3      a[2], a[3]  the same, 16 columns further
//   b[0]        rows 4 t .. 4 t + 3 of column g               b[1]        16 rows further
//   c[0], c[1]  row g, columns 2 t and 2 t + 1                c[2], c[3]  row g + 8
//
// Products of 16-bit floats, added to floats, are there from compute capability 8.0 on: 16 x 16 times 16 x 8,
// where a word has two columns of a, or two rows of b:
//
//   a[0], a[1]  rows g and g + 8, columns 2 t and 2 t + 1    a[2], a[3]  the same, 8 columns further
//   b[0]        rows 2 t and 2 t + 1 of column g             b[1]        8 rows further
//
// Which columns of a these are does not matter, as long as they are those rows of b.
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

// Where 16 bytes lie in a row of shared memory whose length is a multiple of 128 bytes: neither eight rows at
// the same column, nor two neighbouring rows at four columns in a row, meet in a bank.
__device__ inline int turned_piece(int row, int piece) {
    return piece ^ ((row & 1) << 2 | (row >> 1 & 3));
}

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

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ inline void mma_bfloat16(float* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_half(float* c, const uint32_t* a, const uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Four 8 x 8 matrices of 16-bit elements out of shared memory, turned: lane l names row l % 8 of matrix l / 8,
// 16 bytes at a multiple of 16, and gets column g of rows 2 t and 2 t + 1 of each.
__device__ inline void load_turned(const void* row, uint32_t* words) {
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(address)
                 : "memory");
}
#else
// Never called: prepare_kernels() of forward.h says where it may be.
__device__ inline void mma_bfloat16(float*, const uint32_t*, const uint32_t*) {
    __trap();
}
__device__ inline void mma_half(float*, const uint32_t*, const uint32_t*) {
    __trap();
}
__device__ inline void load_turned(const void*, uint32_t*) {
    __trap();
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

// The operands of a lane, which stay where they are until all lanes have read them.
struct MmaOperands {
    uint32_t a[4];
    uint32_t b[2];
};
template <class Value>
inline void mma_floats(float* c, const uint32_t* a, const uint32_t* b, const Value& value) {
    const MmaOperands own = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    uint64_t addresses[kWarp];
    cuda_emulator::warp_values(kAllLanes, reinterpret_cast<uint64_t>(&own), addresses);
    const auto lane = [&](int l) { return *reinterpret_cast<const MmaOperands*>(addresses[l]); };
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    for (int k = 0; k < 16; ++k) {
        const int word = k / 8;
        const int shift = k % 2 * 16;
        for (int i = 0; i < 4; ++i) {
            const uint32_t row = lane(g * 4 + k % 8 / 2).a[i / 2 + 2 * word];
            const uint32_t column = lane((2 * t + i % 2) * 4 + k % 8 / 2).b[word];
            c[i] += value(row >> shift & 0xffffu) * value(column >> shift & 0xffffu);
        }
    }
    __syncwarp();
}
inline void mma_bfloat16(float* c, const uint32_t* a, const uint32_t* b) {
    mma_floats(c, a, b, bfloat16_value);
}
inline void mma_half(float* c, const uint32_t* a, const uint32_t* b) {
    mma_floats(c, a, b, half_value);
}
inline void load_turned(const void* row, uint32_t* words) {
    uint64_t rows[kWarp];
    cuda_emulator::warp_values(kAllLanes, reinterpret_cast<uint64_t>(row), rows);
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    for (int m = 0; m < 4; ++m) {
        const auto* low = reinterpret_cast<const uint16_t*>(rows[8 * m + 2 * t]);
        const auto* high = reinterpret_cast<const uint16_t*>(rows[8 * m + 2 * t + 1]);
        words[m] = static_cast<uint32_t>(high[g]) << 16 | low[g];
    }
    __syncwarp();
}

#endif

}  // namespace puna::cuda
