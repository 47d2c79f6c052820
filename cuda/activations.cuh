// Rounding of activations: activations.h has the layout.
#pragma once

#include "cuda/activations.h"
#include "cuda/device_math.cuh"

namespace puna::cuda {

constexpr int kHalfSpan = kRoundedSpan / 2;       // elements of a lane
constexpr int kRoundLanes = 2;                    // that have a span
constexpr int kRoundSpans = kWarp / kRoundLanes;  // of a warp

// The fifth piece: what all quants have in common, and their sums over the halves of the span.
struct alignas(16) RoundedScale {
    float scale;
    int32_t sums[2];
    int32_t unused;
};

// Piece 0 of a span; the next one is `step` bytes further.
struct RoundedSpan {
    int64_t offset;
    int64_t step;
};
__device__ inline RoundedSpan rounded_span(int64_t n_spans, int64_t span) {
    const int64_t group = span / kGroupSpans;
    const int64_t left = n_spans - group * kGroupSpans;
    const int64_t width = left < kGroupSpans ? left : kGroupSpans;
    return {group * kGroupSpans * kRoundedSpanBytes + span % kGroupSpans * kPieceBytes,
            width * kPieceBytes};
}

// Elements of a lane from an address that is a multiple of 16 bytes.
__device__ inline void load_half_span(const float* from, float* x) {
#pragma unroll
    for (int i = 0; i < kHalfSpan; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(from + i);
        x[i] = four.x;
        x[i + 1] = four.y;
        x[i + 2] = four.z;
        x[i + 3] = four.w;
    }
}

// The largest magnitude of a span, as bits.
__device__ inline uint32_t span_magnitude(const float* x) {
    uint32_t magnitude = 0;
#pragma unroll
    for (int i = 0; i < kHalfSpan; ++i) {
        const uint32_t bits = __float_as_uint(x[i]) & 0x7fffffffu;
        magnitude = bits > magnitude ? bits : magnitude;
    }
    const uint32_t other = __shfl_xor_sync(kAllLanes, magnitude, 1);
    return other > magnitude ? other : magnitude;
}

// Rounds 16 spans, each by two neighbouring lanes of a warp: x is the first half of the span for the even one,
// the second for the odd one. All lanes come; those whose span `is_there` not write nothing. What is not
// finite makes the whole span NaN.
__device__ inline void round_spans(const float* x, bool is_there, uint8_t* row, int64_t n_spans,
                                   int64_t span) {
    const uint32_t magnitude = span_magnitude(x);
    const float largest = __uint_as_float(magnitude);
    const bool is_finite = magnitude < 0x7f800000u;
    // Below, the inverse would overflow; what is that small is nothing.
    const bool is_zero = largest < 1e-30f;
    const float inverse = is_finite && !is_zero ? kLargestRounded / largest : 0.0f;

    int sum = 0;
    uint32_t high_words[kHalfSpan / 4] = {};
    uint32_t low_words[kHalfSpan / 4] = {};
#pragma unroll
    for (int i = 0; i < kHalfSpan; ++i) {
        const int quant = is_finite ? __float2int_rn(x[i] * inverse) : 0;
        const int high = (quant + 128) >> 8;
        high_words[i / 4] |= (static_cast<uint32_t>(high) & 255u) << i % 4 * 8;
        low_words[i / 4] |= (static_cast<uint32_t>(quant) & 255u) << i % 4 * 8;  // quant - 256 high
        sum += quant;
    }
    const int other_sum = __shfl_xor_sync(kAllLanes, sum, 1);
    if (!is_there) return;

    const int half = lane_of_thread() % kRoundLanes;
    const RoundedSpan at = rounded_span(n_spans, span);
    uint8_t* piece = row + at.offset;
    *reinterpret_cast<uint4*>(piece + half * at.step) =
        make_uint4(high_words[0], high_words[1], high_words[2], high_words[3]);
    *reinterpret_cast<uint4*>(piece + (2 + half) * at.step) =
        make_uint4(low_words[0], low_words[1], low_words[2], low_words[3]);
    if (half != 0) return;
    RoundedScale scale;
    scale.scale = !is_finite ? __uint_as_float(0x7fc00000u)
                  : is_zero  ? 0.0f
                             : largest / kLargestRounded;
    scale.sums[0] = sum;
    scale.sums[1] = other_sum;
    scale.unused = 0;
    *reinterpret_cast<RoundedScale*>(piece + 4 * at.step) = scale;
}

}  // namespace puna::cuda
