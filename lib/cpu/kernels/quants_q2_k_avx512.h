#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// 16 bytes with a scale in the low and a minimum in the high nibble, 64 bytes with two bits of 4
// elements each, then the F16 factors of the scales and of the minimums, which are subtracted.
struct Q2_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;
    static constexpr bool kWideScales = false;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 4;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = true;
    static constexpr int64_t kFactorAt = 80;

    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        const __m512i sub = _mm512_cvtepu8_epi32(load_16(at));
        const __m512 scale = _mm512_cvtepi32_ps(_mm512_and_si512(sub, _mm512_set1_epi32(15)));
        const __m512 minimum = _mm512_cvtepi32_ps(_mm512_srli_epi32(sub, 4));
        // The second factor is subtracted.
        const auto factors = static_cast<int32_t>(load_u32(at + kFactorAt) ^ 0x80000000);
        const __m128 halves = _mm_cvtph_ps(_mm_cvtsi32_si128(factors));
        scales = _mm512_mul_ps(_mm512_broadcastss_ps(halves), scale);
        minimums = _mm512_mul_ps(spread_second(halves), minimum);
    }
    // Times the factor they are `scales`.
    static __m128i integer_scales(const uint8_t* at) {
        return _mm_and_si128(load_16(at), _mm_set1_epi8(15));
    }
    template <int kQuad>
    static __m512i quants(const uint8_t* block) {
        constexpr int kShift = kQuad % 2 * 4;
        return take_bits<2, halves_by(kShift, kShift + 2)>(load_twice(block + 16 + kQuad / 2 * 32));
    }
    static constexpr int eight_at(int slot) { return eight_of_two_bits(slot); }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        const __m512i bytes = load_twice(block + 16 + 32 * kPair);
        first = take_bits<2, kTwoBits>(bytes);
        second = take_bits<2, kTwoBits>(exchange_eights(bytes));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_two_bits<16>(rows, put);
    }
};

}  // namespace
}  // namespace puna::core
