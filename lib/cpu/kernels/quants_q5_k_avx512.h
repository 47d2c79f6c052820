#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// Scales and minimums, 32 bytes with the fifth bits of 8 elements each, then 256 nibbles in pieces of
// 32 bytes.
struct Q5_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr bool kCrosses = false;
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
        const __m512i nibbles = spread_bits<0, 4>(block + 48 + 32 * kQuad);
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 4.
        const __m512i fifth = rotate_bits<2 * kQuad - 4, 2 * kQuad - 3>(block + 16);
        return _mm512_and_si512(choose_bits(_mm512_set1_epi8(0x0f), nibbles, fifth),
                                _mm512_set1_epi8(0x1f));
    }
};

}  // namespace
}  // namespace puna::core
