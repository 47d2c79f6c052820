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
    static constexpr bool kCrosses = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        block = at;
        const __m512 factors = load_k_factors(at);
        scales = twice<0>(factors);
        minimums = twice<8>(factors);
    }
    template <int kQuad>
    __m512i quants() const {
        return low_nibbles(spread_bits<0, 4>(block + 16 + 32 * kQuad));
    }
    template <int kPair>
    void halves(__m512i& first, __m512i& second) const {
        const uint8_t* two = block + 16 + 64 * kPair;
        first = low_nibbles(spread_nibbles(two, two + 32));
        second = low_nibbles(spread_nibbles(two + 16, two + 48));
    }
};

}  // namespace
}  // namespace puna::core
