// Half precision for the scalar kernels: without branches, so that loops over it become SIMD.
#pragma once

#include <cstdint>
#include <cstring>

namespace puna::core {
namespace {

// Exact, subnormals, infinities and NaN included. `bits` is an IEEE binary16.
[[maybe_unused]] inline float half_bits_to_float(uint32_t bits) {
    const uint32_t magnitude = bits & 0x7fff;
    uint32_t normal = (magnitude << 13) + (112u << 23);  // the exponent bias from 15 to 127
    normal += magnitude >= 0x7c00 ? 112u << 23 : 0;      // infinity and NaN: from 143 to 255
    const float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f;
    uint32_t subnormal_bits;
    std::memcpy(&subnormal_bits, &subnormal, sizeof subnormal_bits);
    const uint32_t result =
        (magnitude < 0x0400 ? subnormal_bits : normal) | ((bits & 0x8000) << 16);
    float value;
    std::memcpy(&value, &result, sizeof value);
    return value;
}

// `count` halves at `source`, which need not be aligned.
[[maybe_unused]] inline void load_halves(const void* source, int64_t count, float* out) {
    const auto* bytes = static_cast<const uint8_t*>(source);
    for (int64_t i = 0; i < count; ++i) {
        uint16_t bits;
        std::memcpy(&bits, bytes + 2 * i, sizeof bits);
        out[i] = half_bits_to_float(bits);
    }
}

}  // namespace
}  // namespace puna::core
