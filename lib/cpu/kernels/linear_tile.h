// The loops around the product of one weight row with a few activation rows, for every kernel set.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Activation rows that share one pass over a weight row. With AVX-512 four leave 16 accumulators, 4
// weight vectors and room for addresses.
constexpr int32_t kTileRows = 4;

// A number of activation rows as a type.
template <int32_t kRows>
struct RowCount {};

template <int32_t kRows, class MultiplyRow>
void multiply_tile(const LinearBlock& block, const float* x, float* y, MultiplyRow multiply_row) {
    const auto* row = static_cast<const uint8_t*>(block.weights);
    for (int64_t i = 0; i < block.n_out; ++i, row += block.row_bytes) {
        multiply_row(RowCount<kRows>(), row, x, y + i);
    }
}

// Calls multiply_row(RowCount<kRows>, row, x, y) for each weight row and each group of kRows
// activation rows from x, whose results go to y[r * y_stride]. The groups are the outer loop, so that
// the few rows of x in use stay in L1 while the weights pass.
template <class MultiplyRow>
void multiply_tiles(const LinearBlock& block, MultiplyRow multiply_row) {
    for (int32_t r = 0; r < block.n_rows; r += kTileRows) {
        const float* x = block.x + r * block.x_stride;
        float* y = block.y + r * block.y_stride;
        switch (block.n_rows - r) {
            case 1:
                multiply_tile<1>(block, x, y, multiply_row);
                break;
            case 2:
                multiply_tile<2>(block, x, y, multiply_row);
                break;
            case 3:
                multiply_tile<3>(block, x, y, multiply_row);
                break;
            default:
                multiply_tile<kTileRows>(block, x, y, multiply_row);
                break;
        }
    }
}

}  // namespace
}  // namespace puna::core
