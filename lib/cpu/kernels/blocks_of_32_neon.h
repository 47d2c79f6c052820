// Formats whose blocks hold 32 elements. Where these are nibbles, the low ones of 16 bytes are the first
// group and the high ones the second.
#pragma once

#include "cpu/kernels/chunk_neon.h"

namespace puna::core {
namespace {

// An F16 for each block of a chunk, at `at` in the first one.
template <int64_t kBlockBytes>
inline void load_factors(const uint8_t* at, float32x4_t (&factors)[2]) {
    factors[0] = load_halves<kBlockBytes>(at);
    factors[1] = load_halves<kBlockBytes>(at + 4 * kBlockBytes);
}

// All ones in the bytes whose bit is set, of 32 bits.
struct BitMasks {
    uint8x16_t first;
    uint8x16_t second;
};
inline BitMasks spread_bits(const uint8_t* at) {
    const uint8x16_t bytes = vreinterpretq_u8_u32(vdupq_n_u32(load_u32(at)));
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const uint8x16_t in_first = vcombine_u8(vcreate_u8(0), vcreate_u8(0x0101010101010101));
    const uint8x16_t in_second = vaddq_u8(in_first, vdupq_n_u8(2));
    return {vtstq_u8(vqtbl1q_u8(bytes, in_first), bit),
            vtstq_u8(vqtbl1q_u8(bytes, in_second), bit)};
}

// An F16 scale, then nibbles less 8.
struct Q4_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    float32x4_t scales[2];

    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
    }
    template <int kPart>
    Quants quants() const {
        const uint8x16_t bytes = vld1q_u8(blocks + kPart * kBlockBytes + 2);
        return {less(low_nibbles(bytes), 8), less(shift_right<4>(bytes), 8)};
    }
};

// An F16 scale and minimum, then nibbles.
struct Q4_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 20;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* blocks;
    float32x4_t scales[2];
    float32x4_t minimums[2];

    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
        load_factors<kBlockBytes>(at + 2, minimums);
    }
    template <int kPart>
    Quants quants() const {
        const uint8x16_t bytes = vld1q_u8(blocks + kPart * kBlockBytes + 4);
        return {vreinterpretq_s8_u8(low_nibbles(bytes)),
                vreinterpretq_s8_u8(shift_right<4>(bytes))};
    }
};

// An F16 scale, 32 fifth bits, then nibbles; less 16.
struct Q5_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    float32x4_t scales[2];

    // Without the fifth bit a nibble is less 16: its upper bits are ones.
    static int8x16_t join(uint8x16_t nibbles, uint8x16_t fifth) {
        const uint8x16_t top = vbicq_u8(vdupq_n_u8(0xf0), fifth);
        return vreinterpretq_s8_u8(vorrq_u8(nibbles, top));
    }
    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* block = blocks + kPart * kBlockBytes;
        const BitMasks fifth = spread_bits(block + 2);
        const uint8x16_t bytes = vld1q_u8(block + 6);
        return {join(low_nibbles(bytes), fifth.first), join(shift_right<4>(bytes), fifth.second)};
    }
};

// An F16 scale and minimum, 32 fifth bits, then nibbles.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* blocks;
    float32x4_t scales[2];
    float32x4_t minimums[2];

    static int8x16_t join(uint8x16_t nibbles, uint8x16_t fifth) {
        const uint8x16_t top = vandq_u8(vdupq_n_u8(0x10), fifth);
        return vreinterpretq_s8_u8(vorrq_u8(nibbles, top));
    }
    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
        load_factors<kBlockBytes>(at + 2, minimums);
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* block = blocks + kPart * kBlockBytes;
        const BitMasks fifth = spread_bits(block + 4);
        const uint8x16_t bytes = vld1q_u8(block + 8);
        return {join(low_nibbles(bytes), fifth.first), join(shift_right<4>(bytes), fifth.second)};
    }
};

// An F16 scale, then signed bytes.
struct Q8_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    float32x4_t scales[2];

    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = blocks + kPart * kBlockBytes + 2;
        return {vreinterpretq_s8_u8(vld1q_u8(at)), vreinterpretq_s8_u8(vld1q_u8(at + 16))};
    }
};

// An F16 scale, then nibbles as indices of values.
struct IQ4_NL {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    float32x4_t scales[2];

    void open(const uint8_t* at) {
        blocks = at;
        load_factors<kBlockBytes>(at, scales);
    }
    template <int kPart>
    Quants quants() const {
        const uint8x16_t bytes = vld1q_u8(blocks + kPart * kBlockBytes + 2);
        return {look_up_iq4(low_nibbles(bytes)), look_up_iq4(shift_right<4>(bytes))};
    }
};

// A power of two, then nibbles, each a 4-bit float.
struct MXFP4 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 17;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    float32x4_t scales[2];

    // 2^(e - 128), e being the first bytes of four blocks.
    static float32x4_t half_powers(const uint8_t* at) {
        uint32_t exponents[4];
        for (int i = 0; i < 4; ++i) exponents[i] = at[i * kBlockBytes];
        const uint32x4_t e = vld1q_u32(exponents);
        const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
        const uint32x4_t subnormal = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
        const uint32x4_t is_subnormal = vcltq_u32(e, vdupq_n_u32(2));
        return vreinterpretq_f32_u32(vbslq_u32(is_subnormal, subnormal, normal));
    }
    // Twice the values.
    static int8x16_t look_up(uint8x16_t nibbles) {
        alignas(16) constexpr int8_t kValues[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                    0, -1, -2, -3, -4, -6, -8, -12};
        return vqtbl1q_s8(vld1q_s8(kValues), nibbles);
    }
    void open(const uint8_t* at) {
        blocks = at;
        scales[0] = half_powers(at);
        scales[1] = half_powers(at + 4 * kBlockBytes);
    }
    template <int kPart>
    Quants quants() const {
        const uint8x16_t bytes = vld1q_u8(blocks + kPart * kBlockBytes + 1);
        return {look_up(low_nibbles(bytes)), look_up(shift_right<4>(bytes))};
    }
};

}  // namespace
}  // namespace puna::core
