#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/half_scalar.h"

namespace puna::core {
namespace {

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// To nearest, ties to even; NaN becomes quiet. Without branches, so that loops over it become SIMD.
uint32_t half_bits_of(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t is_nan = 0u - ((0x7f800000 - magnitude) >> 31);
    const uint32_t is_small = 0u - ((magnitude - 0x38800000) >> 31);  // below 2^-14
    const uint32_t is_large = 0u - ((0x477fefff - magnitude) >> 31);  // rounds to infinity
    const uint32_t normal = (magnitude - (112u << 23) + 0x0fff + ((magnitude >> 13) & 1)) >> 13;
    // Adding 0.5 leaves the multiple of 2^-24, rounded by the addition, in the low bits.
    const uint32_t small = bits_of(float_of(magnitude & is_small) + 0.5f) - 0x3f000000;
    const uint32_t nan = 0x0200 | ((magnitude >> 13) & 0x03ff);
    const uint32_t finite = (small & is_small) | (normal & ~is_small & ~is_large);
    return (finite & ~is_large) | (is_large & 0x7c00) | (is_nan & nan) | ((bits >> 16) & 0x8000);
}

uint32_t bfloat16_bits_of(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t is_nan = 0u - ((0x7f800000 - (bits & 0x7fffffff)) >> 31);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (rounded & ~is_nan) | (((bits >> 16) | 0x40) & is_nan);
}

void store_16(uint8_t* out, uint32_t bits) {
    const auto low = static_cast<uint16_t>(bits);
    std::memcpy(out, &low, sizeof low);
}

constexpr int64_t kBlock = 32;

// To nearest, ties to even, within -127 .. 127.
int8_t byte_of(float value) {
    constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: its last bit is worth 1
    value = value < -127.0f ? -127.0f : value;
    value = value > 127.0f ? 127.0f : value;
    return static_cast<int8_t>(static_cast<int32_t>((value + kShift) - kShift));
}

// n is 1 .. kBlock.
void encode_block(const float* from, int64_t n, uint8_t* out) {
    uint32_t largest = 0;  // as bits, whose order is that of magnitudes, with NaN at the end
    for (int64_t i = 0; i < n; ++i) {
        const uint32_t magnitude = bits_of(from[i]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    const uint32_t scale = half_bits_of(float_of(largest) / 127.0f);
    store_16(out, scale);
    auto* bytes = reinterpret_cast<int8_t*>(out + 2);
    if (scale == 0 || scale >= 0x7c00) {
        std::memset(bytes, 0, static_cast<size_t>(n));
        return;
    }
    const float inverse = 1.0f / half_bits_to_float(scale);
    for (int64_t i = 0; i < n; ++i) bytes[i] = byte_of(from[i] * inverse);
}

}  // namespace

void kv_encode_f32_scalar(const float* from, int64_t n, uint8_t* out) {
    std::memcpy(out, from, static_cast<size_t>(n) * sizeof *from);
}

void kv_encode_f16_scalar(const float* from, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i) store_16(out + 2 * i, half_bits_of(from[i]));
}

void kv_encode_bf16_scalar(const float* from, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; ++i) store_16(out + 2 * i, bfloat16_bits_of(from[i]));
}

void kv_encode_q8_0_scalar(const float* from, int64_t n, uint8_t* out) {
    for (int64_t i = 0; i < n; i += kBlock, out += kBlock + 2) {
        encode_block(from + i, n - i < kBlock ? n - i : kBlock, out);
    }
}

}  // namespace puna::core
