#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// A power of two, then 32 nibbles in 16 bytes, each a 4-bit float.
struct MXFP4 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 17;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 16;
    static constexpr int kLevels = 32;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    __m256 scales;

    // 2^(e - 128), e being the first bytes of eight blocks.
    static __m256 half_powers(const uint8_t* blocks) {
        const auto at = [blocks](int i) { return blocks[i * kBlockBytes]; };
        const __m256i e = _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
        const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
        const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
        const __mmask8 is_subnormal = _mm256_cmplt_epi32_mask(e, _mm256_set1_epi32(2));
        return _mm256_castsi256_ps(_mm256_mask_mov_epi32(normal, is_subnormal, subnormal));
    }

    void open(const uint8_t* at) { scales = half_powers(at); }
    // Twice the values, plus 16, by nibble.
    static __m512i look_up(__m512i nibbles) {
        const __m128i values =
            _mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4);
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), nibbles);
    }
    static SixteenFactors open_two(const uint8_t* at) { return open_each<MXFP4>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return look_up(spread_nibbles(two + 1, two + kBlockBytes + 1));
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* blocks, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes, 1>(blocks + 4 * kPair * kBlockBytes);
        first = look_up(low_nibbles(bytes));
        second = look_up(high_nibbles(bytes));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_nibbles<kBlockBytes, 1>(
            rows, [&](int four, __m512i nibbles)
                      __attribute__((always_inline)) { put(four, look_up(nibbles)); });
    }
};

}  // namespace
}  // namespace puna::core
