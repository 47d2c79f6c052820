#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, then 32 nibbles in 16 bytes.
struct Q4_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 20;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 16;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* blocks;
    __m512 factors;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
        minimums = load_halves<kBlockBytes, 2>(at);
        factors = _mm512_insertf32x8(_mm512_castps256_ps512(scales), minimums, 1);
    }
    template <int kQuad>
    __m512i quants() const {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return spread_nibbles(two + 4, two + kBlockBytes + 4);
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        const __m512i bytes = load_fours<kBlockBytes>(blocks + 4 * kPair * kBlockBytes + 4);
        first = low_nibbles(bytes);
        second = high_nibbles(bytes);
    }
};

}  // namespace
}  // namespace puna::core
