// Half precision for the scalar kernels: without branches, so that loops over it become SIMD.
#pragma once

#include <cstdint>
#include <cstring>

namespace puna::core {
namespace {

// Exact, subnormals, infinities and NaN included. `bits` is an IEEE binary16. The cases are chosen
// by masks, all ones or zeros: compilers do not turn a choice between float results into SIMD.
[[maybe_unused]] inline float half_bits_to_float(uint32_t bits) {
    const uint32_t magnitude = bits & 0x7fff;
    const uint32_t is_special = 0u - ((0x7bff - magnitude) >> 31);  // infinity or NaN
    const uint32_t is_small = 0u - ((magnitude - 0x0400) >> 31);    // subnormal or zero
    // The exponent bias goes from 15 to 127, the largest exponent from 31 to 255.
    const uint32_t normal = (magnitude << 13) + (112u << 23) + (is_special & (112u << 23));
    const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f;
    uint32_t small_bits;
    std::memcpy(&small_bits, &small, sizeof small_bits);
    const uint32_t result =
        (small_bits & is_small) | (normal & ~is_small) | ((bits & 0x8000) << 16);
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
