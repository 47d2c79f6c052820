#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// Scales and minimums, then 256 nibbles in pieces of 32 bytes.
struct Q4_K : KFactors {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 15;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = true;

    const uint8_t* block;

    void open(const uint8_t* at) {
        block = at;
        load_factors(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const uint8_t* nibbles = block + 16 + 32 * kPair;
        first = spread_nibbles(nibbles);
        second = spread_nibbles(nibbles + 16);
    }
};

}  // namespace
}  // namespace puna::core
