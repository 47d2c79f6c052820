#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace puna::test {

// How the numbers of a tensor are stored. The values are GGUF's type numbers.
enum class Encoding : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8, kBF16 = 30 };

// Rounded to nearest, ties to even; beyond the range gives infinity.
uint16_t to_half(float value);
float from_half(uint16_t half);
uint16_t to_bfloat16(float value);
float from_bfloat16(uint16_t value);

// Numbers that share one block: a row must be a multiple of it.
size_t block_length(Encoding encoding);
size_t encoded_size(Encoding encoding, size_t n_values);

// "f32", "f16", "bf16", "q8_0", "q4_0"; throws std::invalid_argument for any other name.
Encoding encoding_named(std::string_view name);

// Throws std::invalid_argument unless the number of values is a multiple of the block length.
std::vector<uint8_t> encode(Encoding encoding, std::span<const float> values);

// The stored values, exactly: each of these encodings has only values that a float holds.
std::vector<float> decode(Encoding encoding, std::span<const uint8_t> bytes);

}  // namespace puna::test
