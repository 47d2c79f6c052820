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
    static constexpr int kLevels = 32;
    static constexpr Order kOrder = Order::kCrossed;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        block = at;
        load_k_factors(at, scales, minimums);
    }
    template <int kQuad>
    __m512i quants() const {
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 4.
        return join(spread_bits<0, 4>(block + 48 + 32 * kQuad),
                    rotate_bits<2 * kQuad - 4, 2 * kQuad - 3>(block + 16));
    }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        constexpr Lanes kFirst =
            make_lanes([](int lane) { return (4 * kPair + lane / 4 - 4) & 31; });
        constexpr Lanes kSecond =
            make_lanes([](int lane) { return (4 * kPair + (lane / 4 ^ 1) - 4) & 31; });
        const __m512i bits = _mm512_broadcast_i64x4(load_32(block + 16));
        spread_pair(block + 48 + 64 * kPair, first, second);
        first = join(first, _mm512_rorv_epi32(bits, kFirst));
        second = exchange_pairs(join(second, _mm512_rorv_epi32(bits, kSecond)));
    }

  private:
    static __m512i join(__m512i nibbles, __m512i fifth) {
        return _mm512_and_si512(choose_bits(_mm512_set1_epi8(0x0f), nibbles, fifth),
                                _mm512_set1_epi8(0x1f));
    }
};

}  // namespace
}  // namespace puna::core
