// The NEON linear kernel for weights that are floats of any width.
//
// A format is a struct with
//   static constexpr int64_t kBytes;               // of an element
//   static void load(const uint8_t* at, Step& w);  // the kStep elements at `at`
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/linear_tile.h"
#include "cpu/kernels/unroll.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 4;
constexpr int kVectors = 4;  // accumulators per result
constexpr int64_t kStep = kVectors * kLanes;
// Weight rows that pass together under a single activation row: they share its loads, and 16
// independent sums hide a latency of four cycles where four FMA begin in each.
constexpr int32_t kTileOuts = 4;

// One activation row's sums and one weight row's elements of a step.
using Sums = float32x4_t[kVectors];
using Step = float32x4_t[kVectors];

// Adds the products of a step of kOuts weight rows and of kRows activation rows.
template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_step(const uint8_t* at, int64_t out_bytes, const float* x,
                                            int64_t x_stride, Sums (&sums)[kOuts][kRows]) {
    unroll<kOuts>([&](auto o) __attribute__((always_inline)) {
        Step w;
        Format::load(at + o * out_bytes, w);
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
            for (int v = 0; v < kVectors; ++v) {
                const float32x4_t xv = vld1q_f32(x + r * x_stride + v * kLanes);
                sums[o][r][v] = vfmaq_f32(sums[o][r][v], w[v], xv);
            }
        });
    });
}

// The last n elements of rows that end within a step: as one that is zero beyond them.
template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_tail(const LinearBlock& block, const uint8_t* at,
                                            const float* x, int64_t n, Sums (&sums)[kOuts][kRows]) {
    uint8_t w_tail[kOuts][kStep * Format::kBytes] = {};
    for (int32_t o = 0; o < kOuts; ++o) {
        std::memcpy(w_tail[o], at + o * block.row_bytes, static_cast<size_t>(n * Format::kBytes));
    }
    float x_tail[kRows][kStep] = {};
    for (int32_t r = 0; r < kRows; ++r) {
        std::memcpy(x_tail[r], x + r * block.x_stride, static_cast<size_t>(n) * sizeof(float));
    }
    add_step<Format>(w_tail[0], kStep * Format::kBytes, x_tail[0], kStep, sums);
}

// y[r * y_stride + o] for kOuts weight rows and kRows activation rows. The tail comes first: the calls
// that copy it would make the compiler keep the sums in memory.
template <class Format, int32_t kOuts, int32_t kRows>
void multiply_rows(const LinearBlock& block, const uint8_t* row, const float* x, float* y) {
    Sums sums[kOuts][kRows];
    unroll<kOuts>([&](auto o) __attribute__((always_inline)) {
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
            for (int v = 0; v < kVectors; ++v) sums[o][r][v] = vdupq_n_f32(0.0f);
        });
    });
    const int64_t tail = block.n_in % kStep;
    const int64_t n = block.n_in - tail;
    if (tail > 0) add_tail<Format>(block, row + n * Format::kBytes, x + n, tail, sums);
    for (int64_t j = 0; j < n; j += kStep) {
        add_step<Format>(row + j * Format::kBytes, block.row_bytes, x + j, block.x_stride, sums);
    }
    unroll<kOuts>([&](auto o) __attribute__((always_inline)) {
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
            const float32x4_t low = vaddq_f32(sums[o][r][0], sums[o][r][1]);
            const float32x4_t high = vaddq_f32(sums[o][r][2], sums[o][r][3]);
            y[r * block.y_stride + o] = vaddvq_f32(vaddq_f32(low, high));
        });
    });
}

template <class Format>
void multiply_block(const LinearBlock& block) {
    if (block.n_rows == 1) {
        const auto* row = static_cast<const uint8_t*>(block.weights);
        int64_t i = 0;
        for (; i + kTileOuts <= block.n_out; i += kTileOuts, row += kTileOuts * block.row_bytes) {
            multiply_rows<Format, kTileOuts, 1>(block, row, block.x, block.y + i);
        }
        for (; i < block.n_out; ++i, row += block.row_bytes) {
            multiply_rows<Format, 1, 1>(block, row, block.x, block.y + i);
        }
        return;
    }
    multiply_tiles(
        block, [&]<int32_t kRows>(RowCount<kRows>, const uint8_t* row, const float* x, float* y) {
            multiply_rows<Format, 1, kRows>(block, row, x, y);
        });
}

}  // namespace
}  // namespace puna::core
