#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// 32 bytes with the third bits of 8 elements each, 64 bytes with two bits of 4 elements each, 16
// scales of 6 bits, less 32, and their F16 factor. Quants are less 4.
struct Q3_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;
    static constexpr bool kWideScales = false;
    static constexpr int kOffset = 4;
    static constexpr int kLevels = 8;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;
    static constexpr int64_t kFactorAt = 108;

    __m512 scales;

    void open(const uint8_t* at) {
        const __m512 sub = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(integer_scales(at)));
        scales = _mm512_mul_ps(spread_last_half(at + kBlockBytes), sub);
    }
    // Times the factor they are `scales`.
    static __m128i integer_scales(const uint8_t* at) {
        // Eight bytes hold the low nibbles of the scales, the four behind them two more bits of each.
        const auto eight = static_cast<int64_t>(load_u64(at + 96));
        const __m128i low = _mm_srlv_epi64(_mm_set1_epi64x(eight), _mm_set_epi64x(4, 0));
        const __m128i high = _mm_rorv_epi32(
            _mm_set1_epi32(static_cast<int32_t>(load_u32(at + 104))), _mm_setr_epi32(28, 30, 0, 2));
        const __m128i six = _mm_and_si128(
            _mm_ternarylogic_epi32(_mm_set1_epi8(0x0f), low, high, 0xca), _mm_set1_epi8(0x3f));
        return _mm_sub_epi8(six, _mm_set1_epi8(32));
    }
    template <int kQuad>
    static __m512i quants(const uint8_t* block) {
        constexpr int kShift = kQuad % 2 * 4;
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31.
        return join_bits<2, halves_by(kShift, kShift + 2), 1, halves_by(2 * kQuad, 2 * kQuad + 1)>(
            load_twice(block + 32 + kQuad / 2 * 32), load_twice(block));
    }
    static constexpr int eight_at(int slot) { return eight_of_two_bits(slot); }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        constexpr int64_t k = 4 * kPair;
        constexpr Shifts kThird = {{k, k + 1, k, k + 1, k + 2, k + 3, k + 2, k + 3}};
        constexpr Shifts kOtherTwo = {{2, 0, 2, 0, 6, 4, 6, 4}};
        constexpr Shifts kOtherThird = {{k + 1, k, k + 1, k, k + 3, k + 2, k + 3, k + 2}};
        const __m512i low = load_twice(block + 32 + 32 * kPair);
        const __m512i third = load_twice(block);
        first = join_bits<2, kTwoBits, 1, kThird>(low, third);
        second = exchange_eights(join_bits<2, kOtherTwo, 1, kOtherThird>(low, third));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        __m512i third[8];
        load_dwords(rows, 0, 8, third);
        fours_of_two_bits<32>(
            rows, [&](int four, __m512i two) __attribute__((always_inline)) {
                put(four, add_bits(two, third[four % 8], four / 8, 2, 1));
            });
    }
};

}  // namespace
}  // namespace puna::core
