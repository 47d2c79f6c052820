// The AVX2 linear kernel for weights that are floats of any width, and what it shares with the one for
// quantised weights, linear_blocks_avx2.h.
//
// A format is a struct with
//   static constexpr int64_t kBytes;                        // of an element
//   static void load(const uint8_t* at, __m256 w[kVectors]);  // the kStep elements at `at`
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_avx2.h"
#include "cpu/kernels/linear_tile.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 8;
constexpr int kVectors = 4;
constexpr int64_t kStep = kVectors * kLanes;
// Accumulators per result. 16 registers hold those of 4 results and the vectors of a step, and 4
// results are enough to hide the latency of FMA.
constexpr int kSums = 2;
// How far ahead of the weights the cache is asked. 4 KB were best where it was measured (Zen 4, busy
// cores): with 2 KB one row of floats streamed at 0.8 of the speed, without it at half.
constexpr int64_t kPrefetchBytes = 4096;

// Asks for what a tile of kOut weight rows reads kPrefetchBytes after `at`, a step of one of them:
// beyond the end of the row, the row kOut further on.
template <int32_t kOut>
inline void prefetch_step(const uint8_t* at, int64_t left, int64_t row_bytes, int64_t n_bytes) {
    // An address beyond the matrix is fine for a prefetch, but not for pointer arithmetic.
    auto ahead = reinterpret_cast<uintptr_t>(at) + static_cast<uintptr_t>(kPrefetchBytes);
    if (left <= kPrefetchBytes) ahead += static_cast<uintptr_t>((kOut - 1) * row_bytes);
    for (int64_t i = 0; i < n_bytes; i += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead + static_cast<uintptr_t>(i)), _MM_HINT_T1);
    }
}

// kRows activation rows times kOut weight rows.
template <class Format, int32_t kRows, int32_t kOut>
struct Tile {
    __m256 sums[kOut][kRows][kSums];

    void clear() {
        for (int32_t i = 0; i < kOut; ++i) {
            for (int32_t r = 0; r < kRows; ++r) {
                for (int s = 0; s < kSums; ++s) sums[i][r][s] = _mm256_setzero_ps();
            }
        }
    }
    // A step of each row; weight rows are row_bytes apart.
    void add(const uint8_t* weights, int64_t row_bytes, const float* x, int64_t x_stride) {
        for (int32_t i = 0; i < kOut; ++i) {
            __m256 w[kVectors];
            Format::load(weights + i * row_bytes, w);
            for (int32_t r = 0; r < kRows; ++r) {
                for (int v = 0; v < kVectors; ++v) {
                    const __m256 xv = _mm256_loadu_ps(x + r * x_stride + v * kLanes);
                    sums[i][r][v % kSums] = _mm256_fmadd_ps(w[v], xv, sums[i][r][v % kSums]);
                }
            }
        }
    }
    // The `left` elements after the last whole step.
    void add_rest(const uint8_t* weights, int64_t row_bytes, const float* x, int64_t x_stride,
                  int64_t left) {
        constexpr int64_t kStepBytes = kStep * Format::kBytes;
        uint8_t w_rest[kOut][kStepBytes] = {};
        float x_rest[kRows][kStep] = {};
        for (int32_t i = 0; i < kOut; ++i) {
            std::memcpy(w_rest[i], weights + i * row_bytes,
                        static_cast<size_t>(left * Format::kBytes));
        }
        for (int32_t r = 0; r < kRows; ++r) {
            std::memcpy(x_rest[r], x + r * x_stride, static_cast<size_t>(left) * sizeof(float));
        }
        add(w_rest[0], kStepBytes, x_rest[0], kStep);
    }
    void store(float* y, int64_t y_stride) const {
        static_assert(kSums == 2);
        for (int32_t i = 0; i < kOut; ++i) {
            for (int32_t r = 0; r < kRows; ++r) {
                y[r * y_stride + i] = sum_lanes(_mm256_add_ps(sums[i][r][0], sums[i][r][1]));
            }
        }
    }
};

template <class Format, int32_t kRows, int32_t kOut>
void multiply_tile(const LinearBlock& block, const uint8_t* weights, const float* x, float* y) {
    constexpr int64_t kStepBytes = kStep * Format::kBytes;
    Tile<Format, kRows, kOut> tile;
    tile.clear();
    int64_t j = 0;
    const uint8_t* at = weights;
    for (; j + kStep <= block.n_in; j += kStep, at += kStepBytes) {
        for (int32_t i = 0; i < kOut; ++i) {
            prefetch_step<kOut>(at + i * block.row_bytes, weights + block.row_bytes - at,
                                block.row_bytes, kStepBytes);
        }
        tile.add(at, block.row_bytes, x + j, block.x_stride);
    }
    if (j < block.n_in) {
        tile.add_rest(at, block.row_bytes, x + j, block.x_stride, block.n_in - j);
    }
    tile.store(y, block.y_stride);
}

// All weight rows, for kRows activation rows; two at a time where the registers allow it.
template <class Format, int32_t kRows>
void multiply_rows(const LinearBlock& block, const float* x, float* y) {
    constexpr int32_t kOut = kRows <= 2 ? 2 : 1;
    const auto* weights = static_cast<const uint8_t*>(block.weights);
    int64_t i = 0;
    for (; i + kOut <= block.n_out; i += kOut) {
        multiply_tile<Format, kRows, kOut>(block, weights + i * block.row_bytes, x, y + i);
    }
    for (; i < block.n_out; ++i) {
        multiply_tile<Format, kRows, 1>(block, weights + i * block.row_bytes, x, y + i);
    }
}

template <class Format>
void multiply_block(const LinearBlock& block) {
    for_each_tile(block, [&]<int32_t kRows>(RowCount<kRows>, const float* x, float* y) {
        multiply_rows<Format, kRows>(block, x, y);
    });
}

}  // namespace
}  // namespace puna::core
