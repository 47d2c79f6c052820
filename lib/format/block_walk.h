// What the dequantisers of all quantised formats share.
#pragma once

#include <cstdint>

#include "format/block_layout.h"
#include "format/byte_order.h"
#include "format/half.h"

namespace puna::core {

inline float load_half(HalfBytes half) {
    return half_to_float(load_le<uint16_t>(half.bytes));
}

// Calls kUnpack for every block of a row of n elements.
template <class Block, int64_t kLength, void (*kUnpack)(const Block& block, float* dst)>
void unpack_blocks(const void* src, float* dst, int64_t n) {
    static_assert(alignof(Block) == 1);
    const auto* block = static_cast<const Block*>(src);
    for (int64_t i = 0; i < n; i += kLength, ++block) kUnpack(*block, dst + i);
}

}  // namespace puna::core
