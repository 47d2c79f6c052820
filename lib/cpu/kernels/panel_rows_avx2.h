// Activations of many rows as the AVX2 panel kernels take them: as bytes or as words of 16 bits.
//
// Rows are in groups of 8, a vector of 32-bit lanes; rows beyond the last are zeros. A group is a
// sequence of blocks of 32 columns.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"

namespace puna::core {
namespace {

constexpr int32_t kGroupRows = 8;

// x = scale * byte, from -127 to 127.
struct alignas(32) PackedBytes {
    int8_t elements[8][kGroupRows][4];
    float scales[kGroupRows];
    float sums[2][kGroupRows];  // of the activations of each half of the columns, as rounded
    // Of the bytes of each half, but with the other sign: those of the columns 4 i and 4 i + 1, and of
    // 4 i + 2 and 4 i + 3.
    int16_t minus_pairs[2][kGroupRows][2];
};

// x = scale * word
struct alignas(32) PackedWords {
    int16_t elements[16][kGroupRows][2];
    float scales[kGroupRows];
};

}  // namespace
}  // namespace puna::core
