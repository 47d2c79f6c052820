// The AVX-512 linear kernel for weights that are floats of any width, and what it shares with the one
// for quantised weights, linear_blocks_avx512.h.
//
// A format is a struct with
//   static constexpr int64_t kBytes;               // of an element
//   static void load(const uint8_t* at, Step& w);  // the kStep elements at `at`
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"
#include "cpu/kernels/linear_tile.h"
#include "cpu/kernels/prefetch.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 16;
constexpr int kVectors = 4;  // accumulators per result
constexpr int64_t kStep = kVectors * kLanes;
// Weight rows that pass together under a single activation row: they share its loads, and give FMA
// enough independent sums to hide its latency.
constexpr int32_t kTileOuts = 2;
// How far ahead of a weight row L2 is asked. On Zen 4 (2 cores) 4 KB were best, 1 KB halved the speed of
// Q8_0.
constexpr int64_t kPrefetchBytes = 4096;

// One activation row's sums and one weight row's elements of a step.
using Sums = __m512[kVectors];
using Step = __m512[kVectors];

// Makes the compiler load a vector once: it would rather load it again at each use, and loads of
// whole vectors are as scarce as multiplications.
template <class Vector>
inline void stay_in_register(Vector& v) {
    __asm__("" : "+v"(v));
}

// Adds the products of a step of kOuts weight rows and of kRows activation rows.
template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_step(const uint8_t* at, int64_t out_bytes, const float* x,
                                            int64_t x_stride, Sums (&sums)[kOuts][kRows]) {
    Step w[kOuts];
    for (int32_t o = 0; o < kOuts; ++o) Format::load(at + o * out_bytes, w[o]);
    for (int32_t r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) {
            __m512 xv = _mm512_loadu_ps(x + r * x_stride + v * kLanes);
            if constexpr (kOuts > 1) stay_in_register(xv);
            for (int32_t o = 0; o < kOuts; ++o) {
                sums[o][r][v] = _mm512_fmadd_ps(w[o][v], xv, sums[o][r][v]);
            }
        }
    }
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
    constexpr int64_t kStepBytes = kStep * Format::kBytes;
    Sums sums[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            for (int v = 0; v < kVectors; ++v) sums[o][r][v] = _mm512_setzero_ps();
        }
    }
    const int64_t tail = block.n_in % kStep;
    const int64_t n = block.n_in - tail;
    if (tail > 0) add_tail<Format>(block, row + n * Format::kBytes, x + n, tail, sums);
    const int64_t n_bytes = n * Format::kBytes;
    for (int64_t at = 0; at < n_bytes; at += kStepBytes) {
        if (kOuts == 1 && block.read_order != ReadOrder::kRowsTogether) {
            prefetch_stream<kStepBytes>(row + at, block.read_order);
        } else {
            // In the rows that pass together or, beyond their end, in the next ones.
            int64_t ahead = at + kPrefetchBytes;
            if (ahead >= n_bytes) ahead += (kOuts - 1) * block.row_bytes;
            for (int32_t o = 0; o < kOuts; ++o, ahead += block.row_bytes) {
                prefetch_bytes<kStepBytes>(row, ahead);
            }
        }
        add_step<Format>(row + at, block.row_bytes, x, block.x_stride, sums);
        x += kStep;
    }
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            const __m512 low = _mm512_add_ps(sums[o][r][0], sums[o][r][1]);
            const __m512 high = _mm512_add_ps(sums[o][r][2], sums[o][r][3]);
            y[r * block.y_stride + o] = _mm512_reduce_add_ps(_mm512_add_ps(low, high));
        }
    }
}

template <class Format>
void multiply_block(const LinearBlock& block) {
    if (block.n_rows == 1) {
        const auto* row = static_cast<const uint8_t*>(block.weights);
        int64_t i = 0;
        const int64_t n_together = block.read_order == ReadOrder::kRowsTogether ? block.n_out : 0;
        for (; i + kTileOuts <= n_together; i += kTileOuts, row += kTileOuts * block.row_bytes) {
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
