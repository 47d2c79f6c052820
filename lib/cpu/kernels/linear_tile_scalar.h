// The scalar linear kernel, written once for all formats.
//
// A format is a struct with
//   static void load(const uint8_t* row, int64_t j, int64_t count, float* w);
// that dequantises the elements j .. j + count - 1 of a row; j is a multiple of kStep and count is
// kStep, or less at the end of a row.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/linear_tile.h"

namespace puna::core {
namespace {

constexpr int64_t kStep = 32;
constexpr int64_t kLanes = 16;  // partial sums per result; lane l adds the elements l, l + 16, ...

// One weight row times kRows activation rows.
template <class Format, int32_t kRows>
void multiply_row(const LinearBlock& block, const uint8_t* row, const float* x, float* y) {
    float sums[kRows][kLanes] = {};
    float w[kStep];
    int64_t j = 0;
    for (; j + kStep <= block.n_in; j += kStep) {
        Format::load(row, j, kStep, w);
        for (int32_t r = 0; r < kRows; ++r) {
            const float* xr = x + r * block.x_stride + j;
            for (int64_t l = 0; l < kLanes; ++l) sums[r][l] += w[l] * xr[l];
            for (int64_t l = 0; l < kLanes; ++l) sums[r][l] += w[kLanes + l] * xr[kLanes + l];
        }
    }
    const int64_t tail = block.n_in - j;
    if (tail > 0) {
        Format::load(row, j, tail, w);
        for (int32_t r = 0; r < kRows; ++r) {
            const float* xr = x + r * block.x_stride + j;
            for (int64_t l = 0; l < tail; ++l) sums[r][l % kLanes] += w[l] * xr[l];
        }
    }
    for (int32_t r = 0; r < kRows; ++r) {
        for (int64_t half = kLanes / 2; half > 0; half /= 2) {
            for (int64_t l = 0; l < half; ++l) sums[r][l] += sums[r][l + half];
        }
        y[r * block.y_stride] = sums[r][0];
    }
}

template <class Format>
void multiply_block(const LinearBlock& block) {
    multiply_tiles(
        block, [&]<int32_t kRows>(RowCount<kRows>, const uint8_t* row, const float* x, float* y) {
            multiply_row<Format, kRows>(block, row, x, y);
        });
}

}  // namespace
}  // namespace puna::core
