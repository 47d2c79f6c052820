#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// Two halves of 128 elements: nibbles in 64 bytes, and two bits of 4 elements each in 32 bytes; then
// a signed byte per group and their F16 factor. Quants are less 32.
struct Q6_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;
    static constexpr bool kWideScales = false;
    static constexpr int kOffset = 32;
    static constexpr int kLevels = 64;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    __m512 scales;

    void open(const uint8_t* at) {
        const __m512 sub = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(at + 192)));
        scales = _mm512_mul_ps(spread_last_half(at + kBlockBytes), sub);
    }
    template <int kQuad>
    static __m512i quants(const uint8_t* block) {
        // Bits 2 i and 2 i + 1 of a byte belong to the elements 32 i .. 32 i + 31 of the half.
        constexpr int kShift = kQuad % 2 * 4;
        return join_bits<4, all_by(kShift), 2, halves_by(kShift, kShift + 2)>(
            _mm512_loadu_si512(block + 64 * (kQuad / 2)),
            load_twice(block + 128 + 32 * (kQuad / 2)));
    }
    // Groups 0, 4, 1, 5, 2, 6, 3, 7 of a half.
    static constexpr int eight_at(int slot) {
        const int i = slot % 8;
        return slot / 16 * 16 + i % 2 * 8 + i / 2 * 2 + (i + slot / 8) % 2;
    }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        constexpr Shifts kLow = {{0, 4, 0, 4, 0, 4, 0, 4}};
        constexpr Shifts kHigh = {{0, 4, 0, 4, 2, 6, 2, 6}};
        constexpr Shifts kOtherLow = {{4, 0, 4, 0, 4, 0, 4, 0}};
        constexpr Shifts kOtherHigh = {{4, 0, 4, 0, 6, 2, 6, 2}};
        const __m512i low = _mm512_loadu_si512(block + 64 * kPair);
        const __m512i high = load_twice(block + 128 + 32 * kPair);
        first = join_bits<4, kLow, 2, kHigh>(low, high);
        second = exchange_eights(join_bits<4, kOtherLow, 2, kOtherHigh>(low, high));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        for (int half = 0; half < 2; ++half) {
            __m512i high[8];
            load_dwords(rows, 128 + 32 * half, 8, high);
            for (int quarter = 0; quarter < 4; ++quarter) {  // of 64 bytes
                for_four_dwords(
                    rows, 64 * half + 16 * quarter,
                    [&](int i, __m512i low) __attribute__((always_inline)) {
                        const int four =
                            4 * quarter + i;  // of the half; the high nibbles are 16 behind
                        put(32 * half + four,
                            add_bits(low_nibbles(low), high[four % 8], four / 8 * 2, 4, 2));
                        put(32 * half + 16 + four,
                            add_bits(high_nibbles(low), high[four % 8], 4 + four / 8 * 2, 4, 2));
                    });
            }
        }
    }
    template <class PutScale, class PutMinimum>
    [[gnu::always_inline]] static void factors_of_rows(const SixteenRows& rows,
                                                       const PutScale& scale, const PutMinimum&) {
        __m512i last[4];  // the factor is the upper half of the last dword
        load_dwords(rows, kBlockBytes - 16, 4, last);
        const __m512 factor = high_halves(last[3]);
        __m512i sub[4];
        load_dwords(rows, 192, 4, sub);
        for (int i = 0; i < kGroups; ++i) {
            const __m512i integers = signed_bytes_of_dwords(sub[i / 4], i % 4);
            scale(i, _mm512_mul_ps(factor, _mm512_cvtepi32_ps(integers)));
        }
    }
};

}  // namespace
}  // namespace puna::core
