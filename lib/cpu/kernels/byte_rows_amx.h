// Activations of up to eight rows as the AMX kernels for small batches take them (pack_bytes_amx.cpp): words with a
// scale for 256 columns from the beginning of a row on, x = scale * (high + low / 256), two signed bytes. Both bytes
// are columns of a tile: lane 2 r of an array is what belongs to the high bytes of row r, lane 2 r + 1 what belongs to
// its low ones.
#pragma once

#include <cstdint>

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/tiles_amx.h"

namespace puna::core {
namespace {

constexpr int32_t kByteRows = kTileRows / 2;

// For formats with a factor for 32 elements: so many columns.
constexpr int64_t kByteColumns = 32;

struct alignas(64) ByteBlock {
    // A tile: four columns of a row beside each other.
    int8_t bytes[kByteColumns / 4][kTileRows][4];
    // The scale, and 1/256 of it.
    float scales[kTileRows];
    // Of even blocks: sums of high + low / 256, and of 256 high + low in the next block, or 0 if there is none.
    // Once it has met its scale, each is the sum of the row's elements in a block.
    float sums[kTileRows];
};
static_assert(sizeof(ByteBlock) == 10 * 64);

// For K-quants: 256 columns.
struct alignas(64) ByteChunk {
    // Four tiles.
    int8_t bytes[kChunk / 4][kTileRows][4];
    // The scale, and 1/256 of it.
    float scales[kTileRows];
    // Sums of the bytes of 32 columns and of 16, those of two neighbours beside each other.
    int16_t sums_of_32[kChunk / 64][kTileRows][2];
    int16_t sums_of_16[kChunk / 32][kTileRows][2];
};
static_assert(sizeof(ByteChunk) == 77 * 64);

}  // namespace
}  // namespace puna::core
