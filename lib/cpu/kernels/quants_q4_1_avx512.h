#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, then 32 nibbles in 16 bytes.
struct Q4_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 20;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 16;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = true;

    __m512 factors;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        factors = _mm512_cvtph_ps(_mm512_castsi512_si256(Halves<kBlockBytes, 8, 2>::load(at)));
        scales = _mm512_castps512_ps256(factors);
        minimums = _mm512_extractf32x8_ps(factors, 1);
    }
    static SixteenFactors open_two(const uint8_t* at) {
        return load_scales_and_minimums<kBlockBytes>(at);
    }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return spread_nibbles(two + 4, two + kBlockBytes + 4);
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* blocks, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes, 4>(blocks + 4 * kPair * kBlockBytes);
        first = low_nibbles(bytes);
        second = high_nibbles(bytes);
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_nibbles<kBlockBytes, 4>(rows, put);
    }
};

}  // namespace
}  // namespace puna::core
