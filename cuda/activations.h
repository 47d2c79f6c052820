// Rows of activations rounded for quantised matrices: 16 bits with a scale per span of 32.
//
//   x = scale * (256 high + low)    high, low: signed bytes, so that two __dp4a multiply four weights
//
// The largest magnitude of a span becomes 32512 = 127 * 256, so that both bytes stay in range. A span is
// five pieces of 16 bytes: 32 high bytes, 32 low bytes, and {scale, sums}. Pieces of the same kind lie
// side by side for 32 spans (a group; a row's last one may be shorter), so that a warp whose lanes take a
// span each reads without gaps:
//
//   [row][group][piece][span of the group] 16 bytes
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace puna::cuda {

constexpr int kRoundedSpan = 32;  // elements
constexpr int kRoundedPieces = 5;
constexpr int kPieceBytes = 16;
constexpr int kRoundedSpanBytes = kRoundedPieces * kPieceBytes;
constexpr int kGroupSpans = 32;
constexpr float kLargestRounded = 32512.0f;

// A row's bytes. Columns are a multiple of 32 wherever there are quantised matrices.
__host__ __device__ inline int64_t rounded_row_bytes(int64_t columns) {
    return (columns + 31) / 32 * kRoundedSpanBytes;
}

}  // namespace puna::cuda
