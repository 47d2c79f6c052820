// Where rows in bfloat16 lie: linear_bf16.h has the forms.
#pragma once

#include "cuda/device_math.cuh"
#include "cuda/linear_bf16.h"

namespace puna::cuda {

// Columns 8 t .. 8 t + 7 of rows g and g + 8 as a lane has them of left operands: `pieces` of two products, 32
// lanes apart.
__device__ inline void put_left_pieces(const float* low, const float* high, uint4* pieces) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const float* a = low + 4 * i;
        const float* b = high + 4 * i;
        pieces[i * kWarp] = make_uint4(bfloat16_pair(a[0], a[1]), bfloat16_pair(b[0], b[1]),
                                       bfloat16_pair(a[2], a[3]), bfloat16_pair(b[2], b[3]));
    }
}
// The first of them of lane t = column % 32 / 8 in rows from a multiple of 16 on, of which there are steps of 32
// columns.
__device__ inline int64_t left_piece(int64_t n_steps, int64_t row, int64_t column) {
    return (row / kFragmentRows * n_steps + column / 32) * kFragmentPieces + column % 32 / 8;
}

// Piece 0 .. 3 of the 32 columns from `column` on, of panels with so many rows.
__device__ inline int64_t panel_piece(int64_t n_rows, int64_t column, int64_t row, int piece) {
    const int of_row = static_cast<int>(column % 64 / 32 * 4) + piece;
    return (column / 64 * n_rows + row) * 8 + (of_row ^ static_cast<int>(row % 8));
}

// From an address that is a multiple of 16 bytes.
__device__ inline void load_eight(const float* from, float* x) {
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(from + i);
        x[i] = four.x;
        x[i + 1] = four.y;
        x[i + 2] = four.z;
        x[i + 3] = four.w;
    }
}
__device__ inline uint4 bfloat16_piece(const float* x) {
    return make_uint4(bfloat16_pair(x[0], x[1]), bfloat16_pair(x[2], x[3]),
                      bfloat16_pair(x[4], x[5]), bfloat16_pair(x[6], x[7]));
}

// Word i of four.
__device__ inline uint32_t word_of(const uint4& piece, int i) {
    return i == 0 ? piece.x : i == 1 ? piece.y : i == 2 ? piece.z : piece.w;
}
// Four lanes with four words each: lane t gets word t of all, in their order.
__device__ inline uint4 turn_words(const uint4& piece) {
    const int t = lane_of_thread() % 4;
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = __shfl_xor_sync(kAllLanes, word_of(piece, t ^ i), i);
    const uint4 got = make_uint4(words[0], words[1], words[2], words[3]);  // of lanes t ^ i
    return make_uint4(word_of(got, t), word_of(got, t ^ 1), word_of(got, t ^ 2),
                      word_of(got, t ^ 3));
}

}  // namespace puna::cuda
