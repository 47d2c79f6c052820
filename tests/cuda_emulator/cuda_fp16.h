// IEEE binary16 of the CUDA emulator.
#pragma once

#include "cuda_runtime.h"

struct __half_raw {
    unsigned short x;
};
struct __half {
    unsigned short bits = 0;
    __half() = default;
    __half(const __half_raw& raw) : bits(raw.x) {}
};
using half = __half;

inline __half __ushort_as_half(unsigned short bits) {
    return __half_raw{bits};
}
inline unsigned short __half_as_ushort(__half value) {
    return value.bits;
}
inline float __half2float(__half value) {
    const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
    const uint32_t magnitude = value.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | magnitude << 13);
    if (magnitude >= 0x0400u) return __uint_as_float(sign | ((magnitude << 13) + (112u << 23)));
    const float small = static_cast<float>(magnitude) * 0x1p-24f;
    return __uint_as_float(sign | __float_as_uint(small));
}
inline __half __float2half_rn(float value) {
    const uint32_t bits = __float_as_uint(value);
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half_bits = 0;
    if (magnitude > 0x7f800000u) {
        half_bits = 0x7fffu;  // as the device does
    } else if (magnitude >= 0x477ff000u) {
        half_bits = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {
        half_bits = (magnitude - (112u << 23) + 0x0fffu + (magnitude >> 13 & 1u)) >> 13;
    } else {
        const float shifted = __uint_as_float(magnitude) + 0.5f;
        half_bits = __float_as_uint(shifted) - 0x3f000000u;
    }
    return __ushort_as_half(static_cast<unsigned short>((bits >> 16 & 0x8000u) | half_bits));
}
