#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, then 32 nibbles in 16 bytes.
struct Q4_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 20;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 15;
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
        const __m256i both = load_pair(two + 4, two + kBlockBytes + 4);
        first = low_nibbles(both);
        second = high_nibbles(both);
    }
};

}  // namespace
}  // namespace puna::core
