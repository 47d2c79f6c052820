// The scalar linear kernel, written once for all formats.
//
// A format is a struct with
//   static void load(const uint8_t* row, int64_t j, int64_t count, float* w);
// that dequantises the elements j .. j + count - 1 of a row; j is a multiple of kStep and count is
// kStep, or less at the end of a row.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"

namespace puna::core {
namespace {

constexpr int64_t kStep = 32;
constexpr int64_t kLanes = 16;  // partial sums per result; lane l adds the elements l, l + 16, ...
constexpr int32_t kTileRows = 4;

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

template <class Format, int32_t kRows>
void multiply_rows(const LinearBlock& block, const float* x, float* y) {
    const auto* row = static_cast<const uint8_t*>(block.weights);
    for (int64_t i = 0; i < block.n_out; ++i, row += block.row_bytes) {
        multiply_row<Format, kRows>(block, row, x, y + i);
    }
}

template <class Format>
void multiply_block(const LinearBlock& block) {
    for (int32_t r = 0; r < block.n_rows; r += kTileRows) {
        const float* x = block.x + r * block.x_stride;
        float* y = block.y + r * block.y_stride;
        switch (block.n_rows - r) {
            case 1:
                multiply_rows<Format, 1>(block, x, y);
                break;
            case 2:
                multiply_rows<Format, 2>(block, x, y);
                break;
            case 3:
                multiply_rows<Format, 3>(block, x, y);
                break;
            default:
                multiply_rows<Format, kTileRows>(block, x, y);
                break;
        }
    }
}

}  // namespace
}  // namespace puna::core
