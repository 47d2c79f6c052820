// Exact scalar conversions between float and the two 16-bit float formats.
#pragma once

#include <bit>
#include <cstdint>

namespace puna::core {

// IEEE binary16: 1 sign, 5 exponent, 10 mantissa bits.
inline float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00) {  // infinity and NaN keep their mantissa
        return std::bit_cast<float>(sign | 0x7f800000u | (magnitude << 13));
    }
    if (magnitude >= 0x0400) {  // normal: move the exponent bias from 15 to 127
        return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
    }
    // Subnormal or zero: a multiple of 2^-24, exact in float.
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

// Rounds to nearest, ties to even. NaN becomes a quiet NaN with the leading payload bits.
inline uint16_t float_to_half(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u | ((magnitude >> 13) & 0x03ffu);
    } else if (magnitude >= 0x477ff000u) {  // 65520 and more round to infinity
        half = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {  // 2^-14 and more are normal
        const uint32_t odd = (magnitude >> 13) & 1;
        half = (magnitude - (112u << 23) + 0x0fffu + odd) >> 13;
    } else {
        // Adding 0.5 leaves the multiple of 2^-24, rounded by the addition, in the low bits.
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        half = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f);
    }
    return static_cast<uint16_t>(sign | half);
}

// bfloat16: the upper half of a float.
inline float bfloat16_to_float(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest, ties to even. NaN becomes quiet.
inline uint16_t float_to_bfloat16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

}  // namespace puna::core
