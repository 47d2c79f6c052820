// Activations of many rows as the AVX-512 panel kernel takes them.
//
// Rows are in quartets; those beyond the last are zeros. A quartet is a sequence of blocks of 32 columns.
#pragma once

#include <cstdint>

namespace puna::core {
namespace {

constexpr int64_t kRowBlock = 32;
constexpr int32_t kQuartetRows = 4;

// Of the memory of a kernel: results of up to so many rows at a time, [rows][kMostOuts].
constexpr int32_t kRowsAtOnce = 1024;
constexpr int32_t kMostOuts = 48;

// x = scale * byte
struct alignas(16) PackedBlock {
    int8_t bytes[kRowBlock / 4][kQuartetRows][4];
    float scales[kQuartetRows];
    int32_t sums[2][kQuartetRows];  // of the bytes of each half
};

}  // namespace
}  // namespace puna::core
