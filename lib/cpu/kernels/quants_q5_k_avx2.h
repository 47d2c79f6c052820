#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// Scales and minimums, 32 bytes with the fifth bits of 8 elements each, then 256 nibbles in pieces of
// 32 bytes.
struct Q5_K : KFactors {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 31;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = true;

    const uint8_t* block;

    // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 4.
    template <int kPair>
    static __m256i spread_fifth(const uint8_t* at) {
        constexpr int kUp = 4 - 2 * kPair;
        return _mm256_and_si256(spread_bits<kUp, kUp - 1>(at), _mm256_set1_epi8(0x10));
    }

    void open(const uint8_t* at) {
        block = at;
        load_factors(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const uint8_t* nibbles = block + 48 + 32 * kPair;
        first = _mm256_or_si256(spread_nibbles(nibbles), spread_fifth<kPair>(block + 16));
        second = _mm256_or_si256(spread_nibbles(nibbles + 16), spread_fifth<kPair>(block + 32));
    }
};

}  // namespace
}  // namespace puna::core
