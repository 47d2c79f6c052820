// Activations of many rows as the NEON panel kernels take them: in groups of four rows, a group being a
// sequence of blocks of 32 columns. Rows beyond the last are zeros.
#pragma once

#include <cstdint>

namespace puna::core {
namespace {

constexpr int32_t kGroupRows = 4;

// x = scale * byte. Eight columns of two rows fill a vector: smmla multiplies it as it is, and sdot takes
// four columns of one row out of it.
struct alignas(16) PackedBlock {
    int8_t bytes[4][2][2][8];  // [columns 8 i .. 8 i + 7][pair of rows][row of it]
    float scales[kGroupRows];
    float sums[2][kGroupRows];  // of x in each half of the block, as rounded
};

}  // namespace
}  // namespace puna::core
