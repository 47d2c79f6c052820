// Weights as tensor cores take them for left operands, 16 outputs and 32 columns: the lanes of a warp unpack a span
// each, and then take their part of those of others through shared memory.
#pragma once

#include "cuda/blocks.cuh"
#include "cuda/mma.cuh"

namespace puna::cuda {

// What a warp has unpacked: a span for each lane, of 32 bytes with its scales.
struct WeightSpans {
    uint4 quants[kWarp][2];
    float scales[kWarp][2];
    float mins[kWarp][2];
};
// The half of an output's 32 bytes that lies first: eight lanes that write halves meet in no bank.
__device__ inline int first_half(int output) {
    return output >> 2 & 1;
}
template <class Format>
__device__ inline void put_span(const Span& span, WeightSpans& spans) {
    const int output = lane_of_thread();
    const int first = first_half(output);
    const uint32_t* q = span.quants;
    spans.quants[output][first] = make_uint4(q[0], q[1], q[2], q[3]);
    spans.quants[output][1 - first] = make_uint4(q[4], q[5], q[6], q[7]);
#pragma unroll
    for (int i = 0; i < (Format::kHalves ? 2 : 1); ++i) {
        spans.scales[output][i] = span.scale[i];
        if constexpr (Format::kMins) spans.mins[output][i] = span.min[i];
    }
}

// What makes weights of quants. A byte becomes the float 2^15 + byte, off which kZero is to be taken. That
// and a scale of 16 bits have a product that a float holds: where it is so, one operation does all.
template <class Format>
struct Dequantiser {
    static constexpr bool kSigned = Format::kOffset == 0 && !Format::kMins;
    static constexpr float kZero = 32768.0f + (kSigned ? 128 : Format::kOffset);
    // Blocks of 32 have such a scale, but for those of MXFP4 with an odd number of bytes.
    static constexpr bool kAtOnce =
        Format::kLength == kSpan && Format::kBytes % 2 == 0 && !Format::kMins;
    float scale;
    float less;

    __device__ Dequantiser(const WeightSpans& spans, int output, int i)
        : scale(spans.scales[output][i]),
          less(kAtOnce         ? scale * kZero
               : Format::kMins ? spans.mins[output][i]
                               : 0.0f) {}

    // Of byte i of a word, to which 128 was added where bytes are signed.
    __device__ float weight(uint32_t word, int i) const {
        constexpr uint32_t kExponent = 0x47000000u;
        const float quant = __uint_as_float(__byte_perm(word, kExponent, 0x7604u | i << 4));
        if constexpr (kAtOnce) return __fmaf_rn(scale, quant, -less);
        if constexpr (Format::kMins) return __fmaf_rn(scale, quant - kZero, -less);
        return scale * (quant - kZero);
    }
};

// Columns 8 t .. 8 t + 7 of an output as four words of two: those of two products.
template <class Format>
__device__ inline void take_weights(const WeightSpans& spans, int output, uint32_t* words) {
    const int t = lane_of_thread() % 4;
    const Dequantiser<Format> weights(spans, output, Format::kHalves ? t / 2 : 0);
    const auto* bytes =
        reinterpret_cast<const uint2*>(&spans.quants[output][t / 2 ^ first_half(output)]);
    const uint2 eight = bytes[t % 2];
    const uint32_t both[2] = {eight.x, eight.y};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const uint32_t word = both[i / 2] ^ (weights.kSigned ? 0x80808080u : 0u);
        const int first = i % 2 * 2;
        words[i] = bfloat16_pair(weights.weight(word, first), weights.weight(word, first + 1));
    }
}

// The left operands of two products of 16 columns: those of spans `first` and `first` + 8 of the warp, where a lane
// has columns 8 t .. 8 t + 3 for the one, and the next four for the other.
template <class Format>
__device__ inline void take_operands(const WeightSpans& spans, int first, uint32_t (*a)[4]) {
    uint32_t low[4];
    uint32_t high[4];
    take_weights<Format>(spans, first, low);
    take_weights<Format>(spans, first + 8, high);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        a[i][0] = low[2 * i];
        a[i][1] = high[2 * i];
        a[i][2] = low[2 * i + 1];
        a[i][3] = high[2 * i + 1];
    }
}

}  // namespace puna::cuda
