#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale, 32 fifth bits, then 32 nibbles in 16 bytes; less 16.
struct Q5_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 31;
    static constexpr int kOffset = 16;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = true;

    const uint8_t* blocks;
    __m256 scales;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const uint8_t* two = blocks + 2 * kPair * kBlockBytes;
        const __m256i both = load_pair(two + 6, two + kBlockBytes + 6);
        first = low_nibbles(both);
        second = high_nibbles(both);
        join_fifths(two + 2, two + kBlockBytes + 2, first, second);
    }
};

}  // namespace
}  // namespace puna::core
