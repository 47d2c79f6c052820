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

// Calls tile(RowCount<kRows>(), x, y) for each group of kRows activation rows from x, whose results go to
// y[r * y_stride]: the few rows of x in use stay in L1 while the weights pass.
template <class Tile>
void for_each_tile(const LinearBlock& block, Tile tile) {
    for (int32_t r = 0; r < block.n_rows; r += kTileRows) {
        const float* x = block.x + r * block.x_stride;
        float* y = block.y + r * block.y_stride;
        switch (block.n_rows - r) {
            case 1:
                tile(RowCount<1>(), x, y);
                break;
            case 2:
                tile(RowCount<2>(), x, y);
                break;
            case 3:
                tile(RowCount<3>(), x, y);
                break;
            default:
                tile(RowCount<kTileRows>(), x, y);
                break;
        }
    }
}

// Calls multiply_row(RowCount<kRows>, row, x, y) for each weight row and each of those groups.
template <class MultiplyRow>
void multiply_tiles(const LinearBlock& block, MultiplyRow multiply_row) {
    for_each_tile(block, [&](auto n_rows, const float* x, float* y) {
        const auto* row = static_cast<const uint8_t*>(block.weights);
        for (int64_t i = 0; i < block.n_out; ++i, row += block.row_bytes) {
            multiply_row(n_rows, row, x, y + i);
        }
    });
}

}  // namespace
}  // namespace puna::core
