#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 nibbles in 16 bytes, as indices of values.
struct IQ4_NL {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kSigned = true;
    static constexpr int kOffset = 0;
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
        const __m256i both = load_pair(two + 2, two + kBlockBytes + 2);
        first = look_up_iq4(low_nibbles(both));
        second = look_up_iq4(high_nibbles(both));
    }
};

}  // namespace
}  // namespace puna::core
