// Rounding of activations: activations.h has the layout.
#pragma once

#include "cuda/activations.h"
#include "cuda/device_math.cuh"

namespace puna::cuda {

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

// Rounds a span, of which each lane of a warp has an element. What is not finite makes the whole span NaN.
__device__ inline void round_span(float x, uint8_t* row, int64_t n_spans, int64_t span) {
    const uint32_t magnitude = warp_max(__float_as_uint(x) & 0x7fffffffu);
    const float largest = __uint_as_float(magnitude);
    const bool is_finite = magnitude < 0x7f800000u;
    // Below, the inverse would overflow; what is that small is nothing.
    const bool is_zero = largest < 1e-30f;
    const float inverse = is_finite && !is_zero ? kLargestRounded / largest : 0.0f;
    const int quant = is_finite ? __float2int_rn(x * inverse) : 0;
    const int high = (quant + 128) >> 8;
    const int low = quant - high * 256;

    int sum = quant;
#pragma unroll
    for (int bits = 8; bits > 0; bits /= 2) sum += __shfl_xor_sync(kAllLanes, sum, bits);
    const int other_sum = __shfl_sync(kAllLanes, sum, 16);

    const int lane = lane_of_thread();
    const RoundedSpan at = rounded_span(n_spans, span);
    uint8_t* bytes = row + at.offset + lane / 16 * at.step + lane % 16;
    bytes[0] = static_cast<uint8_t>(high);
    bytes[2 * at.step] = static_cast<uint8_t>(low);
    if (lane == 0) {
        RoundedScale scale;
        scale.scale = !is_finite ? __uint_as_float(0x7fc00000u)
                      : is_zero  ? 0.0f
                                 : largest / kLargestRounded;
        scale.sums[0] = sum;
        scale.sums[1] = other_sum;
        scale.unused = 0;
        *reinterpret_cast<RoundedScale*>(row + at.offset + 4 * at.step) = scale;
    }
}

}  // namespace puna::cuda
