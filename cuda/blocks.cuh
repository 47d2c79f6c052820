// Block formats as the kernels see them: spans of 32 weights, each a byte times a scale. lib/format is the
// reference, and its block_layout.h says how blocks lie.
//
//   weight j of a span = scale[j / 16] * (quant j - kOffset) - min[j / 16]
//
// quant j is byte j % 4 of quants[j / 4], from -128 to 127. kHalves: the halves of a span have a scale
// each; else scale[0] is for both. kMins: there are minimums (with kHalves two).
#pragma once

#include "cuda/device_math.cuh"

namespace puna::cuda {

constexpr int kSpan = 32;

struct Span {
    uint32_t quants[8];
    float scale[2];
    float min[2];
};

// What a format is: block length, bytes of a block, how blocks are aligned, and the above.
template <int kLengthOf, int kBytesOf, int kOffsetOf = 0, bool kHalvesOf = false,
          bool kMinsOf = false>
struct BlockTraits {
    static constexpr int kLength = kLengthOf;
    static constexpr int kBytes = kBytesOf;
    // The largest power of two that divides the bytes: what every block is aligned to.
    static constexpr int kAlign = (kBytesOf & -kBytesOf) < 16 ? (kBytesOf & -kBytesOf) : 16;
    static constexpr int kOffset = kOffsetOf;
    static constexpr bool kHalves = kHalvesOf;
    static constexpr bool kMins = kMinsOf;
};

__device__ inline uint32_t low_nibbles(uint32_t word) {
    return word & 0x0f0f0f0fu;
}
__device__ inline uint32_t high_nibbles(uint32_t word) {
    return word >> 4 & 0x0f0f0f0fu;
}

// 32 nibbles in a group of 16 bytes.
__device__ inline void spread_nibbles(const uint32_t* words, uint32_t* quants) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        quants[i] = low_nibbles(words[i]);
        quants[i + 4] = high_nibbles(words[i]);
    }
}

// The four low bits of `bits`, each as bit 4 of a byte.
__device__ inline uint32_t fifth_bits(uint32_t bits) {
    return (bits & 15u) * 0x02040810u & 0x10101010u;
}

// ---- 32 elements --------------------------------------------------------------------------------

struct Q4_0 : BlockTraits<32, 18, 8> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[4];
        load_words<2, 4>(block + 2, words);
        spread_nibbles(words, span.quants);
        span.scale[0] = load_half(block);
    }
};

struct Q4_1 : BlockTraits<32, 20, 0, false, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[5];
        load_words<4, 5>(block, words);
        spread_nibbles(words + 1, span.quants);
        span.scale[0] = half_value(words[0] & 0xffffu);
        span.min[0] = -half_value(words[0] >> 16);
    }
};

struct Q5_0 : BlockTraits<32, 22, 16> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[5];
        load_words<2, 5>(block + 2, words);
        spread_nibbles(words + 1, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) span.quants[i] |= fifth_bits(words[0] >> 4 * i);
        span.scale[0] = load_half(block);
    }
};

struct Q5_1 : BlockTraits<32, 24, 0, false, true> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        uint32_t words[6];
        load_words<8, 6>(block, words);
        spread_nibbles(words + 2, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) span.quants[i] |= fifth_bits(words[1] >> 4 * i);
        span.scale[0] = half_value(words[0] & 0xffffu);
        span.min[0] = -half_value(words[0] >> 16);
    }
};

struct Q8_0 : BlockTraits<32, 34> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int, Span& span) {
        load_words<2, 8>(block + 2, span.quants);
        span.scale[0] = load_half(block);
    }
};

// ---- 256 elements, three values -----------------------------------------------------------------

struct TQ2_0 : BlockTraits<256, 66, 1> {
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        load_words<2, 8>(block + index / 4 * 32, span.quants);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            span.quants[i] = span.quants[i] >> index % 4 * 2 & 0x03030303u;
        }
        span.scale[0] = load_half(block + 64);
    }
};

struct TQ1_0 : BlockTraits<256, 54, 1> {
    // Digit 0, 1, 2, ... of four fractions in base 3, each a byte: power is 3^digit.
    __device__ static uint32_t digits(uint32_t bytes, uint32_t power) {
        const uint32_t even = (bytes & 0x00ff00ffu) * power & 0x00ff00ffu;
        const uint32_t odd = (bytes >> 8 & 0x00ff00ffu) * power & 0x00ff00ffu;
        return (even * 3 >> 8 & 0x00ff00ffu) | (odd * 3 & 0xff00ff00u);
    }
    __device__ static uint32_t power_of(int digit) {
        constexpr uint32_t kPowers = 0x1b090301u;  // 27, 9, 3, 1
        return digit == 4 ? 81u : kPowers >> 8 * digit & 255u;
    }
    template <class Bytes>
    __device__ static void unpack(Bytes block, int index, Span& span) {
        span.scale[0] = load_half(block + 52);
        if (index < 5) {  // a digit of the 32 bytes
            uint32_t words[8];
            load_words<2, 8>(block, words);
#pragma unroll
            for (int i = 0; i < 8; ++i) span.quants[i] = digits(words[i], power_of(index));
            return;
        }
        // Two digits of the 16 bytes; the last span has one of them, and 4 of the 4 bytes.
        uint32_t words[5];
        load_words<2, 5>(block + 32, words);
        const int digit = (index - 5) * 2;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            span.quants[i] = digits(words[i], power_of(digit));
            span.quants[i + 4] =
                digit == 4 ? digits(words[4], power_of(i)) : digits(words[i], power_of(digit + 1));
        }
    }
};

}  // namespace puna::cuda
