#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// Scales and minimums, then 256 nibbles in pieces of 32 bytes.
struct Q4_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 16;
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
        return take_bits<4, halves_by(0, 4)>(load_twice(block + 16 + 32 * kQuad));
    }
    static constexpr int eight_at(int slot) { return halves_crossed(slot); }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        const __m512i bytes = _mm512_loadu_si512(block + 16 + 64 * kPair);
        first = take_bits<4, kFirstNibbles>(bytes);
        second = exchange_groups(take_bits<4, kSecondNibbles>(bytes));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_k_nibbles<16>(rows, put);
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
