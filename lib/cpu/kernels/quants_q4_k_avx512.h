#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// Scales and minimums, then 256 nibbles in pieces of 32 bytes.
struct Q4_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 16;
    static constexpr Order kOrder = Order::kCrossed;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        block = at;
        load_k_factors(at, scales, minimums);
    }
    template <int kQuad>
    __m512i quants() const {
        return low_nibbles(spread_bits<0, 4>(block + 16 + 32 * kQuad));
    }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        spread_pair(block + 16 + 64 * kPair, first, second);
        first = low_nibbles(first);
        second = exchange_pairs(low_nibbles(second));
    }
};

}  // namespace
}  // namespace puna::core
