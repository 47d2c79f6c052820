// Weight rows 16 at a time, a strip, for the AMX kernels of small batches: where a strip lies, what comes after it,
// and where its results go.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/byte_rows_amx.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/tiles_amx.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

// Some weight rows, at most 16.
struct Strip {
    const uint8_t* first;
    int64_t row_bytes;
    int64_t n_rows;
    int64_t n_columns;

    // The one that begins with an output of those before `end`.
    static Strip of(const PanelBlock& block, int64_t out, int64_t end) {
        const int64_t left = end - out;
        return {static_cast<const uint8_t*>(block.weights) + out * block.row_bytes, block.row_bytes,
                left < kTileRows ? left : kTileRows, block.n_in};
    }
    int64_t columns_of(int64_t chunk) const {
        const int64_t left = n_columns - chunk * kChunk;
        return left < kChunk ? left : kChunk;
    }
    // Rows that are missing are like the last.
    const uint8_t* row(int32_t i) const {
        return first + (i < n_rows ? i : n_rows - 1) * row_bytes;
    }
};

// What follows a strip in memory comes into L2 while the strip is at work. Rows advance together, so that the last
// of a strip is wanted as early as the first: it is asked for more than a strip ahead.
class NextStrip {
  public:
    // For the outputs begin .. end - 1, with so many calls of ask() for a strip.
    NextStrip(const PanelBlock& block, int64_t begin, int64_t end, int64_t n_calls)
        : next_(at(block, begin) + static_cast<uintptr_t>(kTileRows * block.row_bytes)),
          end_(at(block, end)),
          even_bytes_(kTileRows * block.row_bytes / n_calls),
          bytes_(kTileRows * block.row_bytes * 5 / 4 / n_calls) {}

    [[gnu::always_inline]] void ask() {
        const auto left = static_cast<int64_t>(end_ - next_);
        const int64_t n = left < bytes_ ? left : bytes_;
        if (n <= 0) return;
        prefetch_ahead(next_, n);
        next_ += static_cast<uintptr_t>(n);
    }
    // To call after each strip: from the second on as much is asked for as is used.
    void go_on() { bytes_ = even_bytes_; }

  private:
    static uintptr_t at(const PanelBlock& block, int64_t out) {
        return reinterpret_cast<uintptr_t>(block.weights) +
               static_cast<uintptr_t>(out * block.row_bytes);
    }

    uintptr_t next_;
    uintptr_t end_;
    int64_t even_bytes_;
    int64_t bytes_;  // for each call
};

// y[row + r][out + i] = sums[i][2 r] + sums[i][2 r + 1], of the high bytes and of the low ones, or that is added.
inline void store_strip(const PanelBlock& block, const Strip& strip, int32_t row, int64_t out,
                        const float (&sums)[kTileRows][kTileRows]) {
    const __mmask16 outs = lanes_before(strip.n_rows, 0);
    __m512 of_rows[kTileRows];
    for_each_column(sums[0], [&](int32_t r, __m512 values) { of_rows[r] = values; });
    const int32_t left = block.n_rows - row;
    for (int32_t r = 0; r < (left < kByteRows ? left : kByteRows); ++r) {
        float* to = block.y + (row + r) * block.y_stride + out;
        __m512 values = _mm512_add_ps(of_rows[2 * r], of_rows[2 * r + 1]);
        if (block.adds) values = _mm512_add_ps(values, _mm512_maskz_loadu_ps(outs, to));
        _mm512_mask_storeu_ps(to, outs, values);
    }
}

}  // namespace
}  // namespace puna::core
