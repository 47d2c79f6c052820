// The AVX-512 linear kernel for float32 activations, written once for all formats.
//
// A format is a struct with
//   static constexpr int64_t kBytesPerStep;  // of kStep elements
//   static void load_step(const uint8_t* row, int64_t j, __m512 w[kVectors]);
//   static __m512 load_tail(const uint8_t* row, int64_t j, __mmask16 lanes);
// load_step dequantises the elements j .. j + kStep - 1, j a multiple of kStep; load_tail those of
// one vector whose lanes are set, j a multiple of 16, and zeros elsewhere.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"
#include "cpu/kernels/linear_tile.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 16;
constexpr int kVectors = 4;  // accumulators per result: enough to hide the latency of FMA
constexpr int64_t kStep = kVectors * kLanes;
// How far ahead of the weights the cache is asked; 0.5 to 2 KB were best where it was measured
// (Sapphire Rapids, 2 cores).
constexpr uintptr_t kPrefetchBytes = 1024;

inline void prefetch_step(const uint8_t* at, int64_t n_bytes) {
    // An address beyond the matrix is fine for a prefetch, but not for pointer arithmetic.
    const uintptr_t ahead = reinterpret_cast<uintptr_t>(at) + kPrefetchBytes;
    for (int64_t i = 0; i < n_bytes; i += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(ahead + static_cast<uintptr_t>(i)), _MM_HINT_T1);
    }
}

template <class Format, int32_t kRows>
void multiply_row(const LinearBlock& block, const uint8_t* row, const float* x, float* y) {
    __m512 sums[kRows][kVectors];
    for (int32_t r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_ps();
    }
    int64_t j = 0;
    for (; j + kStep <= block.n_in; j += kStep) {
        prefetch_step(row + j / kStep * Format::kBytesPerStep, Format::kBytesPerStep);
        __m512 w[kVectors];
        Format::load_step(row, j, w);
        for (int32_t r = 0; r < kRows; ++r) {
            const float* xr = x + r * block.x_stride + j;
            for (int v = 0; v < kVectors; ++v) {
                sums[r][v] = _mm512_fmadd_ps(w[v], _mm512_loadu_ps(xr + v * kLanes), sums[r][v]);
            }
        }
    }
    for (int v = 0; v < kVectors && j < block.n_in; ++v, j += kLanes) {
        const int64_t left = block.n_in - j;
        const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
        const __m512 w = Format::load_tail(row, j, lanes);
        for (int32_t r = 0; r < kRows; ++r) {
            const __m512 xr = _mm512_maskz_loadu_ps(lanes, x + r * block.x_stride + j);
            sums[r][v] = _mm512_fmadd_ps(w, xr, sums[r][v]);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) {
        const __m512 low = _mm512_add_ps(sums[r][0], sums[r][1]);
        const __m512 high = _mm512_add_ps(sums[r][2], sums[r][3]);
        y[r * block.y_stride] = _mm512_reduce_add_ps(_mm512_add_ps(low, high));
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
