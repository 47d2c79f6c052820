// Q2_K to Q6_K as spans.
#pragma once

#include "cuda/blocks.cuh"

namespace puna::cuda {

struct Q2_K : BlockTraits<256, 84, 0, true, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        load_words<4, 8>(block + 16 + index / 4 * 32, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = span.quants[i] >> index % 4 * 2 & 0x03030303u;
        }
        uint32_t both;
        load_words<4, 1>(block + 80, &both);
        const float scale = half_value(both & 0xffffu);
        const float min = half_value(both >> 16);
        const uint32_t packed = load_16(block + 2 * index);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            span.scale[i] = scale * static_cast<float>(packed >> 8 * i & 15u);
            span.min[i] = min * static_cast<float>(packed >> (8 * i + 4) & 15u);
        }
    }
};

struct Q3_K : BlockTraits<256, 110, 4, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t high[8];
        load_words<2, 8>(block, high);
        load_words<2, 8>(block + 32 + index / 4 * 32, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = (span.quants[i] >> index % 4 * 2 & 0x03030303u) |
                             (high[i] >> index & 0x01010101u) << 2;
        }
        const float scale = load_half(block + 108);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int sub = 2 * index + i;
            const int low = block[96 + sub % 8] >> sub / 8 * 4 & 15;
            const int high_bits = block[104 + sub % 4] >> sub / 4 * 2 & 3;
            span.scale[i] = scale * static_cast<float>((low | high_bits << 4) - 32);
        }
    }
};

// The first 16 bytes of Q4_K and Q5_K: scale, min, and the packed sub-scales s0..s7, m0..m7.
__device__ inline void unpack_k_scales(const uint32_t* head, int index, Span& span) {
    const int shift = index % 4 * 8;
    const uint32_t s = head[1] >> shift;
    const uint32_t m = head[2] >> shift;
    const uint32_t both = head[3] >> shift;
    const uint32_t sub_scale = index < 4 ? s & 63u : (both & 15u) | (s >> 6 & 3u) << 4;
    const uint32_t sub_min = index < 4 ? m & 63u : (both >> 4 & 15u) | (m >> 6 & 3u) << 4;
    span.scale[0] = half_value(head[0] & 0xffffu) * static_cast<float>(sub_scale);
    span.min[0] = half_value(head[0] >> 16) * static_cast<float>(sub_min);
}

struct Q4_K : BlockTraits<256, 144, 0, false, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t head[4];
        load_words<16, 4>(block, head);
        load_words<16, 8>(block + 16 + index / 2 * 32, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = low_nibbles(span.quants[i] >> index % 2 * 4);
        }
        unpack_k_scales(head, index, span);
    }
};

struct Q5_K : BlockTraits<256, 176, 0, false, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t head[4];
        uint32_t high[8];
        load_words<16, 4>(block, head);
        load_words<16, 8>(block + 16, high);
        load_words<16, 8>(block + 48 + index / 2 * 32, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = low_nibbles(span.quants[i] >> index % 2 * 4) |
                             (high[i] >> index & 0x01010101u) << 4;
        }
        unpack_k_scales(head, index, span);
    }
};

struct Q6_K : BlockTraits<256, 210, 32, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        uint32_t high[8];
        load_words<2, 8>(block + index / 4 * 64 + index % 2 * 32, span.quants);
        load_words<2, 8>(block + 128 + index / 4 * 32, high);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = low_nibbles(span.quants[i] >> index / 2 % 2 * 4) |
                             (high[i] >> index % 4 * 2 & 0x03030303u) << 4;
        }
        const float scale = load_half(block + 208);
        const uint32_t packed = load_16(block + 192 + 2 * index);
        span.scale[0] = scale * static_cast<float>(static_cast<int8_t>(packed & 255u));
        span.scale[1] = scale * static_cast<float>(static_cast<int8_t>(packed >> 8));
    }
};

}  // namespace puna::cuda
