#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, 32 fifth bits, then 32 nibbles in 16 bytes.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 31;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = true;

    const uint8_t* blocks;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
        minimums = load_halves<kBlockBytes, 2>(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const uint8_t* two = blocks + 2 * kPair * kBlockBytes;
        const __m256i both = load_pair(two + 8, two + kBlockBytes + 8);
        first = low_nibbles(both);
        second = high_nibbles(both);
        join_fifths(two + 4, two + kBlockBytes + 4, first, second);
    }
};

}  // namespace
}  // namespace puna::core
