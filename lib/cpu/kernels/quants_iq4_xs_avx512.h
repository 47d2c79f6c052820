#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, 8 scales of 6 bits, less 32, of which 16 bits hold the high pairs and 4 bytes the low
// nibbles; then 256 nibbles in pieces of 16 bytes, as indices of values.
struct IQ4_XS {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 136;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 128;
    static constexpr int kLevels = 256;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    __m256 scales;

    static __m256 load_scales(const uint8_t* at) {
        const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(load_u16(at)),
                                               _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
        const __m256i low =
            _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(load_u32(at + 2))),
                              _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
        const __m256i six =
            _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                            _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
        return _mm256_cvtepi32_ps(_mm256_sub_epi32(six, _mm256_set1_epi32(32)));
    }
    void open(const uint8_t* at) {
        scales = _mm256_mul_ps(_mm256_broadcastss_ps(load_half(at)), load_scales(at + 2));
    }
    static SixteenFactors open_two(const uint8_t* at) { return open_each<IQ4_XS>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* block) {
        const uint8_t* two = block + 8 + 32 * kQuad;
        return look_up_iq4(spread_nibbles(two, two + 16));
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* block, __m512i& first, __m512i& second) {
        const __m512i bytes = _mm512_loadu_si512(block + 8 + 64 * kPair);
        first = look_up_iq4(low_nibbles(bytes));
        second = look_up_iq4(high_nibbles(bytes));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_nibbles<16, 8>(
            rows, [&](int four, __m512i nibbles)
                      __attribute__((always_inline)) { put(four, look_up_iq4(nibbles)); });
    }
};

}  // namespace
}  // namespace puna::core
