// Rows of random weights in any block format, made without a quantiser: for synthetic models,
// tests and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "format/block_format.h"
#include "format/byte_order.h"

namespace puna::core {

// The SplitMix64 sequence (Steele, Lea and Flood, OOPSLA 2014): the same bits for the same seed on
// every platform. No secret.
class RandomBits {
  public:
    explicit RandomBits(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        uint64_t mixed = state_;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        return mixed ^ mixed >> 31;
    }

    void fill(void* dst, size_t n_bytes) {
        auto* bytes = static_cast<uint8_t*>(dst);
        for (; n_bytes >= 8; n_bytes -= 8, bytes += 8) store_le(bytes, next());
        if (n_bytes == 0) return;
        uint8_t last[8];
        store_le(last, next());
        std::memcpy(bytes, last, n_bytes);
    }

  private:
    uint64_t state_;
};

// Fills dst with n elements, a multiple of the block length, in a format that is_supported. The
// values are finite, their mean is 0 and their standard deviation is the given one, from 0.001 to
// 1000, both within a few percent over some hundred blocks. All quants occur, and the scales of
// blocks differ by up to a quarter from their mean.
void random_blocks(BlockFormat format, RandomBits& bits, float deviation, void* dst,
                   int64_t n_elements);

}  // namespace puna::core
