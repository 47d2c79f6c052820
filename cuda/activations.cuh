// Rounding of activations: activations.h has the layout.
#pragma once

#include "cuda/activations.h"
#include "cuda/device_math.cuh"

namespace puna::cuda {

constexpr int kRoundLanes = 8;                    // that have a span
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

// Rounds four spans, each by 8 neighbouring lanes of a warp: x is elements 4 l .. 4 l + 3 of the span, l
// being lane % 8. All lanes come; those whose span `is_there` not write nothing. What is not finite makes
// the whole span NaN.
__device__ inline void round_spans(const float4& x, bool is_there, uint8_t* row, int64_t n_spans,
                                   int64_t span) {
    const float values[4] = {x.x, x.y, x.z, x.w};
    uint32_t magnitude = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const uint32_t bits = __float_as_uint(values[i]) & 0x7fffffffu;
        magnitude = bits > magnitude ? bits : magnitude;
    }
#pragma unroll
    for (int bits = kRoundLanes / 2; bits > 0; bits /= 2) {
        const uint32_t other = __shfl_xor_sync(kAllLanes, magnitude, bits);
        magnitude = other > magnitude ? other : magnitude;
    }
    const float largest = __uint_as_float(magnitude);
    const bool is_finite = magnitude < 0x7f800000u;
    // Below, the inverse would overflow; what is that small is nothing.
    const bool is_zero = largest < 1e-30f;
    const float inverse = is_finite && !is_zero ? kLargestRounded / largest : 0.0f;

    int sum = 0;
    uint32_t high_bytes = 0;
    uint32_t low_bytes = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int quant = is_finite ? __float2int_rn(values[i] * inverse) : 0;
        const int high = (quant + 128) >> 8;
        high_bytes |= (static_cast<uint32_t>(high) & 255u) << 8 * i;
        low_bytes |= (static_cast<uint32_t>(quant) & 255u) << 8 * i;  // quant - 256 high
        sum += quant;
    }
    sum += __shfl_xor_sync(kAllLanes, sum, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    const int other_sum = __shfl_xor_sync(kAllLanes, sum, 4);
    if (!is_there) return;

    const int lane = lane_of_thread() % kRoundLanes;
    const RoundedSpan at = rounded_span(n_spans, span);
    uint8_t* piece = row + at.offset;
    uint8_t* bytes = piece + lane / 4 * at.step + lane % 4 * 4;
    *reinterpret_cast<uint32_t*>(bytes) = high_bytes;
    *reinterpret_cast<uint32_t*>(bytes + 2 * at.step) = low_bytes;
    if (lane == 0) {
        RoundedScale scale;
        scale.scale = !is_finite ? __uint_as_float(0x7fc00000u)
                      : is_zero  ? 0.0f
                                 : largest / kLargestRounded;
        scale.sums[0] = sum;
        scale.sums[1] = other_sum;
        scale.unused = 0;
        *reinterpret_cast<RoundedScale*>(piece + 4 * at.step) = scale;
    }
}

}  // namespace puna::cuda
