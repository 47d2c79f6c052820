#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, 32 fifth bits, then 32 nibbles in 16 bytes.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr Order kOrder = Order::kApart;
    static constexpr bool kHasMinimums = true;

    const uint8_t* blocks;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
        minimums = load_halves<kBlockBytes, 2>(at);
    }
    template <int kQuad>
    __m512i quants() const {
        const uint8_t* first = blocks + 2 * kQuad * kBlockBytes;
        const uint8_t* second = first + kBlockBytes;
        return join_fifth(low_nibbles(spread_nibbles(first + 8, second + 8)),
                          join_words(first + 4, second + 4));
    }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        const uint8_t* four = blocks + 4 * kPair * kBlockBytes;
        const __m512i bytes = load_fours<kBlockBytes>(four + 8);
        first = join_fifth(low_nibbles(bytes), join_half_words<kBlockBytes>(four + 4));
        second = join_fifth(low_nibbles(_mm512_srli_epi32(bytes, 4)),
                            join_half_words<kBlockBytes>(four + 6));
    }
};

}  // namespace
}  // namespace puna::core
