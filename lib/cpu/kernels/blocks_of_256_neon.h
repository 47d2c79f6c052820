// Formats whose blocks hold 256 elements.
#pragma once

#include "cpu/kernels/chunk_neon.h"

namespace puna::core {
namespace {

// Q4_K and Q5_K: an F16 scale and an F16 that is subtracted, and eight pairs of 6 bits that multiply
// them.
inline void load_k_factors(const uint8_t* block, float32x4_t (&scales)[2],
                           float32x4_t (&minimums)[2]) {
    // The words a, b and c behind the factors hold six bits of four scales each and of four minimums
    // each, the last four of both in the nibbles of c and the top bits of a and b.
    const uint32_t a = load_u32(block + 4);
    const uint32_t b = load_u32(block + 8);
    const uint32_t c = load_u32(block + 12);
    const auto join = [](uint32_t first, uint32_t low, uint32_t high) {
        const uint32_t second = (low & 0x0f0f0f0f) | (high >> 2 & 0x30303030);
        return vcreate_s8((first & 0x3f3f3f3f) | static_cast<uint64_t>(second) << 32);
    };
    scale_bytes(splat_half(block), join(a, c, a), scales);
    scale_bytes(vnegq_f32(splat_half(block + 2)), join(b, c >> 4, b), minimums);
}

// 16 bytes with a scale in the low and a minimum in the high nibble, 64 bytes with two bits of 4
// elements each, then the F16 factors of the scales and of the minimums, which are subtracted.
struct Q2_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;
    static constexpr bool kWideScales = false;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    float32x4_t scales[4];
    float32x4_t minimums[4];

    void open(const uint8_t* at) {
        block = at;
        const uint8x16_t pairs = vld1q_u8(at);
        scale_bytes(splat_half(at + 80), vreinterpretq_s8_u8(low_nibbles(pairs)), scales);
        scale_bytes(vnegq_f32(splat_half(at + 82)), vreinterpretq_s8_u8(shift_right<4>(pairs)),
                    minimums);
    }
    template <int kPart>
    static int8x16_t unpack(const uint8_t* at) {
        const uint8x16_t two = shift_right<kPart % 4 * 2>(vld1q_u8(at));
        return vreinterpretq_s8_u8(vandq_u8(two, vdupq_n_u8(3)));
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = block + 16 + kPart / 4 * 32;
        return {unpack<kPart>(at), unpack<kPart>(at + 16)};
    }
};

// 32 bytes with the third bits of 8 elements each, 64 bytes with two bits of 4 elements each, 16
// scales of 6 bits, less 32, and their F16 factor. Quants are less 4.
struct Q3_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;
    static constexpr bool kWideScales = false;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    float32x4_t scales[4];

    static int8x16_t load_scales(const uint8_t* at) {
        const auto join = [](uint64_t low, uint64_t high) {
            return (low & 0x0f0f0f0f0f0f0f0f) | (high & 0x0303030303030303) << 4;
        };
        const uint64_t low = load_u64(at);
        const uint64_t high = load_u32(at + 8);
        const uint64_t first = join(low, high | high >> 2 << 32);
        const uint64_t last = join(low >> 4, high >> 4 | high >> 6 << 32);
        return less(vcombine_u8(vcreate_u8(first), vcreate_u8(last)), 32);
    }
    void open(const uint8_t* at) {
        block = at;
        scale_bytes(splat_half(at + 108), load_scales(at + 96), scales);
    }
    // Bit i of a byte of `third` belongs to part i.
    template <int kPart>
    static int8x16_t unpack(const uint8_t* at, const uint8_t* third) {
        const uint8x16_t two = shift_right<kPart % 4 * 2>(vld1q_u8(at));
        const uint8x16_t three = stack_bits<2>(two, shift_right<kPart>(vld1q_u8(third)));
        return less(vandq_u8(three, vdupq_n_u8(7)), 4);
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = block + 32 + kPart / 4 * 32;
        return {unpack<kPart>(at, block), unpack<kPart>(at + 16, block + 16)};
    }
};

// Scales and minimums, then nibbles in pieces of 32 bytes: the low ones are a part, the high ones the
// next.
struct Q4_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    float32x4_t scales[2];
    float32x4_t minimums[2];

    void open(const uint8_t* at) {
        block = at;
        load_k_factors(at, scales, minimums);
    }
    template <int kPart>
    static int8x16_t unpack(const uint8_t* at) {
        const uint8x16_t bytes = vld1q_u8(at);
        return vreinterpretq_s8_u8(kPart % 2 == 0 ? low_nibbles(bytes) : shift_right<4>(bytes));
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = block + 16 + kPart / 2 * 32;
        return {unpack<kPart>(at), unpack<kPart>(at + 16)};
    }
};

// Scales and minimums, 32 bytes with the fifth bits of 8 elements each, then nibbles as those of Q4_K.
struct Q5_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    float32x4_t scales[2];
    float32x4_t minimums[2];

    void open(const uint8_t* at) {
        block = at;
        load_k_factors(at, scales, minimums);
    }
    // Bit i of a byte of `fifth` belongs to part i.
    template <int kPart>
    static int8x16_t unpack(const uint8_t* at, const uint8_t* fifth) {
        const uint8x16_t four = shift_right<kPart % 2 * 4>(vld1q_u8(at));
        const uint8x16_t five = stack_bits<4>(four, shift_right<kPart>(vld1q_u8(fifth)));
        return vreinterpretq_s8_u8(vandq_u8(five, vdupq_n_u8(0x1f)));
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = block + 48 + kPart / 2 * 32;
        return {unpack<kPart>(at, block + 16), unpack<kPart>(at + 16, block + 32)};
    }
};

// Two halves of 128 elements: nibbles in 64 bytes, and two bits of 4 elements each in 32 bytes; then
// a signed byte per group and their F16 factor. Quants are less 32.
struct Q6_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;
    static constexpr bool kWideScales = false;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    float32x4_t scales[4];

    void open(const uint8_t* at) {
        block = at;
        scale_bytes(splat_half(at + 208), vreinterpretq_s8_u8(vld1q_u8(at + 192)), scales);
    }
    // Low nibbles are the first two parts of a half, high ones the others. Bits 2 i and 2 i + 1 of a
    // byte of `upper` belong to part i of the half.
    template <int kPart>
    static int8x16_t unpack(const uint8_t* at, const uint8_t* upper) {
        const uint8x16_t four = shift_right<kPart % 4 / 2 * 4>(vld1q_u8(at));
        const uint8x16_t six = stack_bits<4>(four, shift_right<kPart % 4 * 2>(vld1q_u8(upper)));
        return less(vandq_u8(six, vdupq_n_u8(0x3f)), 32);
    }
    template <int kPart>
    Quants quants() const {
        const uint8_t* at = block + kPart / 4 * 64 + kPart % 2 * 32;
        const uint8_t* upper = block + 128 + kPart / 4 * 32;
        return {unpack<kPart>(at, upper), unpack<kPart>(at + 16, upper + 16)};
    }
};

// An F16 scale, 8 scales of 6 bits, less 32, of which 16 bits hold the high pairs and 4 bytes the low
// nibbles; then nibbles in pieces of 16 bytes as those of IQ4_NL.
struct IQ4_XS {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 136;
    static constexpr bool kWideScales = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    float32x4_t scales[2];

    static int8x8_t load_scales(const uint8_t* at) {
        const int8x8_t low_shifts = vcreate_s8(0xfc00fc00fc00fc00);   // 0 and -4
        const int8x8_t high_shifts = vcreate_s8(0xfafcfe00fafcfe00);  // 0, -2, -4 and -6
        const uint8x8_t pairs = vreinterpret_u8_u32(vdup_n_u32(load_u32(at + 2)));
        const uint8x8_t low = vshl_u8(vzip1_u8(pairs, pairs), low_shifts);
        const uint8x8_t fours = vreinterpret_u8_u16(vdup_n_u16(load_u16(at)));
        const uint8x8_t in_high = vcreate_u8(0x0101010100000000);
        const uint8x8_t high = vshl_u8(vtbl1_u8(fours, in_high), high_shifts);
        const uint8x8_t six = vand_u8(vsli_n_u8(low, high, 4), vdup_n_u8(0x3f));
        return vsub_s8(vreinterpret_s8_u8(six), vdup_n_s8(32));
    }
    void open(const uint8_t* at) {
        block = at;
        scale_bytes(splat_half(at), load_scales(at + 2), scales);
    }
    template <int kPart>
    Quants quants() const {
        const uint8x16_t bytes = vld1q_u8(block + 8 + 16 * kPart);
        return {look_up_iq4(low_nibbles(bytes)), look_up_iq4(shift_right<4>(bytes))};
    }
};

}  // namespace
}  // namespace puna::core
