// How quantised weights look to the NEON kernels: chunks of 256 elements in 8 parts of 32, each of two
// groups of 16 that have one scale each. An element is scale * quant + minimum, with signed bytes as
// quants.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr bool kWideScales;             // a part has one scale, else one for each group
//   static constexpr bool kHasMinimums;
//   float32x4_t scales[kFactors<kWideScales>];  // of the parts or groups, four to a vector
//   float32x4_t minimums[kFactors<kWideScales>];  // only where there are any
//   void open(const uint8_t* at);
//   template <int kPart> Quants quants() const;
// `open` prepares the chunk at `at`; `quants` gives the elements of a part in order.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "cpu/kernels/unroll.h"

namespace puna::core {
namespace {

constexpr int64_t kChunk = 256;
constexpr int64_t kPart = 32;
constexpr int kParts = 8;
// Vectors of four factors that a chunk has.
template <bool kWideScales>
constexpr int kFactors = kWideScales ? 2 : 4;

struct Quants {
    int8x16_t first;
    int8x16_t second;
};

// ---- Parts of formats ---------------------------------------------------------------------------

inline uint16_t load_u16(const uint8_t* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint32_t load_u32(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint64_t load_u64(const uint8_t* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// The F16 at `at`, in all lanes.
inline float32x4_t splat_half(const uint8_t* at) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(load_u16(at))));
}
// Four F16 that lie kStep bytes apart. Integer units join them: they have little else to do.
template <int64_t kStep>
inline float32x4_t load_halves(const uint8_t* at) {
    const uint64_t bits = load_u16(at) | static_cast<uint64_t>(load_u16(at + kStep)) << 16 |
                          static_cast<uint64_t>(load_u16(at + 2 * kStep)) << 32 |
                          static_cast<uint64_t>(load_u16(at + 3 * kStep)) << 48;
    return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(bits)));
}

// Four numbers from -32,768 to 32,767.
inline float32x4_t to_floats(int16x4_t v) {
    return vcvtq_f32_s32(vmovl_s16(v));
}
// factor * bytes[i]
inline void scale_bytes(float32x4_t factor, int8x16_t bytes, float32x4_t (&out)[4]) {
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
    const int16x8_t high = vmovl_s8(vget_high_s8(bytes));
    out[0] = vmulq_f32(factor, to_floats(vget_low_s16(low)));
    out[1] = vmulq_f32(factor, to_floats(vget_high_s16(low)));
    out[2] = vmulq_f32(factor, to_floats(vget_low_s16(high)));
    out[3] = vmulq_f32(factor, to_floats(vget_high_s16(high)));
}
inline void scale_bytes(float32x4_t factor, int8x8_t bytes, float32x4_t (&out)[2]) {
    const int16x8_t wide = vmovl_s8(bytes);
    out[0] = vmulq_f32(factor, to_floats(vget_low_s16(wide)));
    out[1] = vmulq_f32(factor, to_floats(vget_high_s16(wide)));
}

template <int kBits>
inline uint8x16_t shift_right(uint8x16_t bytes) {
    if constexpr (kBits == 0) return bytes;
    if constexpr (kBits > 0) return vshrq_n_u8(bytes, kBits);
}
// The lowest kBits bits from `low`, those above from `high`.
template <int kBits>
inline uint8x16_t stack_bits(uint8x16_t low, uint8x16_t high) {
    return vsliq_n_u8(low, high, kBits);
}
inline uint8x16_t low_nibbles(uint8x16_t bytes) {
    return vandq_u8(bytes, vdupq_n_u8(0x0f));
}
inline int8x16_t less(uint8x16_t bytes, int8_t offset) {
    return vsubq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(offset));
}

// The values of IQ4_NL and IQ4_XS by nibble.
inline int8x16_t look_up_iq4(uint8x16_t nibbles) {
    alignas(16) constexpr int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};
    return vqtbl1q_s8(vld1q_s8(kValues), nibbles);
}

}  // namespace
}  // namespace puna::core
