#include "support/tensor_encoding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "support/little_endian.h"

namespace puna::test {
namespace {

constexpr size_t kBlockLength = 32;  // of Q8_0 and Q4_0

float largest_magnitude(std::span<const float> block) {
    return *std::max_element(block.begin(), block.end(),
                             [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

// The nearest of the steps low..high of size `scale`. A scale that rounded to zero stores zeros.
int nearest_step(float value, float scale, int low, int high) {
    if (scale == 0.0f) return 0;
    return std::clamp(static_cast<int>(std::nearbyint(value / scale)), low, high);
}

// A half as scale, then 32 signed bytes.
void encode_q8_0(std::span<const float> block, std::vector<uint8_t>& out) {
    const uint16_t scale = to_half(std::fabs(largest_magnitude(block)) / 127.0f);
    append_little_endian(out, scale);
    for (const float value : block) {
        const int step = nearest_step(value, from_half(scale), -127, 127);
        append_little_endian(out, static_cast<int8_t>(step));
    }
}

// A half as scale, then 16 bytes: numbers 0..15 in the low nibbles, 16..31 in the high ones, each
// stored with 8 added. The scale takes its sign such that the largest number becomes step -8.
void encode_q4_0(std::span<const float> block, std::vector<uint8_t>& out) {
    const uint16_t scale = to_half(largest_magnitude(block) / -8.0f);
    append_little_endian(out, scale);
    const auto nibble = [&](size_t i) {
        return static_cast<unsigned>(nearest_step(block[i], from_half(scale), -8, 7) + 8);
    };
    for (size_t i = 0; i < kBlockLength / 2; ++i) {
        out.push_back(static_cast<uint8_t>(nibble(i) | nibble(i + kBlockLength / 2) << 4));
    }
}

void decode_q8_0(const uint8_t* block, float* out) {
    const float scale = from_half(load_little_endian<uint16_t>(block));
    for (size_t i = 0; i < kBlockLength; ++i) {
        out[i] = scale * static_cast<float>(load_little_endian<int8_t>(block + 2 + i));
    }
}

void decode_q4_0(const uint8_t* block, float* out) {
    const float scale = from_half(load_little_endian<uint16_t>(block));
    for (size_t i = 0; i < kBlockLength / 2; ++i) {
        const int nibbles = block[2 + i];
        out[i] = scale * static_cast<float>((nibbles & 15) - 8);
        out[i + kBlockLength / 2] = scale * static_cast<float>((nibbles >> 4) - 8);
    }
}

void decode_block(Encoding encoding, const uint8_t* block, float* out) {
    switch (encoding) {
        case Encoding::kF32:
            *out = load_little_endian<float>(block);
            return;
        case Encoding::kF16:
            *out = from_half(load_little_endian<uint16_t>(block));
            return;
        case Encoding::kBF16:
            *out = from_bfloat16(load_little_endian<uint16_t>(block));
            return;
        case Encoding::kQ8_0:
            decode_q8_0(block, out);
            return;
        case Encoding::kQ4_0:
            decode_q4_0(block, out);
            return;
    }
}

}  // namespace

uint16_t to_half(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half = 0;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u;  // NaN
    } else if (magnitude >= 0x477ff000u) {
        half = 0x7c00u;  // 65520 and more: infinity
    } else if (magnitude < 0x38800000u) {
        // Below 2^-14 halves are the multiples of 2^-24.
        half = static_cast<uint32_t>(std::nearbyint(std::fabs(value) * 0x1p24f));
    } else {
        const uint32_t rebased = magnitude - (112u << 23);
        half = (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13;
    }
    return static_cast<uint16_t>(sign | half);
}

float from_half(uint16_t half) {
    const uint32_t sign = (half & 0x8000u) << 16;
    const uint32_t exponent = half >> 10 & 31u;
    const uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    const uint32_t rebased = exponent == 31 ? 255u : exponent + 112u;
    return std::bit_cast<float>(sign | rebased << 23 | fraction << 13);
}

uint16_t to_bfloat16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40u);
    return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float from_bfloat16(uint16_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

size_t block_length(Encoding encoding) {
    return encoding == Encoding::kQ8_0 || encoding == Encoding::kQ4_0 ? kBlockLength : 1;
}

size_t encoded_size(Encoding encoding, size_t n_values) {
    const size_t n_blocks = n_values / block_length(encoding);
    switch (encoding) {
        case Encoding::kF32:
            return n_blocks * 4;
        case Encoding::kF16:
        case Encoding::kBF16:
            return n_blocks * 2;
        case Encoding::kQ8_0:
            return n_blocks * (2 + kBlockLength);
        case Encoding::kQ4_0:
            return n_blocks * (2 + kBlockLength / 2);
    }
    throw std::invalid_argument("tensor type " + std::to_string(static_cast<uint32_t>(encoding)) +
                                " is not one that the test support reads");
}

Encoding encoding_named(std::string_view name) {
    if (name == "f32") return Encoding::kF32;
    if (name == "f16") return Encoding::kF16;
    if (name == "bf16") return Encoding::kBF16;
    if (name == "q8_0") return Encoding::kQ8_0;
    if (name == "q4_0") return Encoding::kQ4_0;
    throw std::invalid_argument("no encoding is named '" + std::string(name) + "'");
}

std::vector<uint8_t> encode(Encoding encoding, std::span<const float> values) {
    const size_t block = block_length(encoding);
    if (values.size() % block != 0) {
        throw std::invalid_argument(std::to_string(values.size()) +
                                    " values are no multiple of the block length");
    }
    std::vector<uint8_t> out;
    out.reserve(encoded_size(encoding, values.size()));
    for (size_t i = 0; i < values.size(); i += block) {
        switch (encoding) {
            case Encoding::kF32:
                append_little_endian(out, values[i]);
                break;
            case Encoding::kF16:
                append_little_endian(out, to_half(values[i]));
                break;
            case Encoding::kBF16:
                append_little_endian(out, to_bfloat16(values[i]));
                break;
            case Encoding::kQ8_0:
                encode_q8_0(values.subspan(i, block), out);
                break;
            case Encoding::kQ4_0:
                encode_q4_0(values.subspan(i, block), out);
                break;
        }
    }
    return out;
}

std::vector<float> decode(Encoding encoding, std::span<const uint8_t> bytes) {
    const size_t block = block_length(encoding);
    const size_t block_size = encoded_size(encoding, block);
    std::vector<float> out(bytes.size() / block_size * block);
    for (size_t i = 0; i < out.size() / block; ++i) {
        decode_block(encoding, bytes.data() + i * block_size, out.data() + i * block);
    }
    return out;
}

}  // namespace puna::test
