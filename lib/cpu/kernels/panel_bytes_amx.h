// Activations of up to eight rows as the AMX kernels for few rows take them (panel_bytes_amx.cpp).
#pragma once

#include <cstdint>

namespace puna::core {
namespace {

constexpr int32_t kByteRows = 8;
constexpr int64_t kByteColumns = 32;     // of a block
constexpr int64_t kScaledColumns = 256;  // that share a scale, from the beginning of a row on

// 32 columns of eight rows: x = scale * (high + low / 256), two signed bytes. Lane 2 r of each array is what
// belongs to the high bytes of row r, lane 2 r + 1 what belongs to its low ones.
struct alignas(64) ByteBlock {
    // A tile: four columns of a row beside each other.
    int8_t bytes[kByteColumns / 4][2 * kByteRows][4];
    // The scale, and 1/256 of it.
    float scales[2 * kByteRows];
    // Of even blocks: sums of high + low / 256, and of 256 high + low in the next block, or 0 if there is none.
    // Once it has met its scale, each is the sum of the row's elements in a block.
    float sums[2 * kByteRows];
};
static_assert(sizeof(ByteBlock) == 10 * 64);

}  // namespace
}  // namespace puna::core
