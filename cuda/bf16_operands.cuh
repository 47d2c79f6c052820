// Where rows in bfloat16 lie: linear_bf16.h has the forms.
#pragma once

#include "cuda/device_math.cuh"
#include "cuda/linear_bf16.h"

namespace puna::cuda {

// Piece 0 .. 7 of a row, of 64 columns: among all pieces of [columns / 64][n_rows][8].
__device__ inline int64_t panel_piece(int64_t n_rows, int64_t step, int64_t row, int piece) {
    return (step * n_rows + row) * 8 + (piece ^ static_cast<int>(row % 8));
}

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

struct OperandRows {
    uint4* pieces;
    int64_t n_rows;
    int64_t stride;
};

__device__ inline uint4 bfloat16_piece(const float* x) {
    return make_uint4(bfloat16_pair(x[0], x[1]), bfloat16_pair(x[2], x[3]),
                      bfloat16_pair(x[4], x[5]), bfloat16_pair(x[6], x[7]));
}

// Columns column .. column + 7, a multiple of 8, of the rows first + g and first + g + 8, where first is a multiple
// of 16 and g < 8.
template <OperandForm kForm>
__device__ inline void put_operands(const OperandRows& to, int64_t first, int g, int64_t column,
                                    const float* low, const float* high) {
    const auto piece = static_cast<int>(column % 64 / 8);
    if constexpr (kForm == OperandForm::kLeft) {
        const int64_t tile = first / kFragmentRows * (to.stride / 32) + column / 32;
        put_left_pieces(low, high, to.pieces + tile * kFragmentPieces + g * 4 + piece % 4);
    } else if constexpr (kForm == OperandForm::kRight) {
        const int64_t tile = column / 32 * (panel_rows(to.n_rows) / 8) + first / 8;
        uint4* pieces = to.pieces + tile * kWarp + g * 4 + piece % 4;
        pieces[0] = bfloat16_piece(low);
        pieces[kWarp] = bfloat16_piece(high);
    } else {
        uint4* pieces =
            to.pieces + panel_piece(panel_rows(to.n_rows), column / 64, first + g, piece);
        pieces[0] = bfloat16_piece(low);
        pieces[8 * 8] = bfloat16_piece(high);
    }
}

}  // namespace puna::cuda
