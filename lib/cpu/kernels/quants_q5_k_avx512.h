#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

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
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = true;

    __m512 factors;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        factors = load_k_factors(at);
        scales = _mm512_castps512_ps256(factors);
        minimums = _mm512_extractf32x8_ps(factors, 1);
    }
    static SixteenFactors open_two(const uint8_t* at) {
        return load_k_factors_of_two(at, at + kBlockBytes);
    }
    template <int kQuad>
    static __m512i quants(const uint8_t* block) {
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31.
        return join_bits<4, halves_by(0, 4), 1, halves_by(2 * kQuad, 2 * kQuad + 1)>(
            load_twice(block + 48 + 32 * kQuad), load_twice(block + 16));
    }
    static constexpr int eight_at(int slot) { return halves_crossed(slot); }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        constexpr int64_t k = 4 * kPair;
        constexpr Shifts kFirst = {{k, k, k + 1, k + 1, k + 2, k + 2, k + 3, k + 3}};
        constexpr Shifts kSecond = {{k + 1, k + 1, k, k, k + 3, k + 3, k + 2, k + 2}};
        const __m512i nibbles = _mm512_loadu_si512(block + 48 + 64 * kPair);
        const __m512i fifth = load_twice(block + 16);
        first = join_bits<4, kFirstNibbles, 1, kFirst>(nibbles, fifth);
        second = exchange_groups(join_bits<4, kSecondNibbles, 1, kSecond>(nibbles, fifth));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        __m512i fifth[8];
        load_dwords(rows, 16, 8, fifth);
        fours_of_k_nibbles<48>(
            rows, [&](int four, __m512i nibbles) __attribute__((always_inline)) {
                put(four, add_bits(nibbles, fifth[four % 8], four / 8, 4, 1));
            });
    }
    template <class PutScale, class PutMinimum>
    [[gnu::always_inline]] static void factors_of_rows(const SixteenRows& rows,
                                                       const PutScale& scale,
                                                       const PutMinimum& minimum) {
        for_each_k_factor(rows, scale, minimum);
    }
};

}  // namespace
}  // namespace puna::core
