#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// 16 bytes with a scale in the low and a minimum in the high nibble, 64 bytes with two bits of 4
// elements each, then the F16 factors of the scales and of the minimums, which are subtracted.
struct Q2_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 3;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = false;

    const uint8_t* block;
    __m256 scale;
    __m128i sub_scales;
    __m256 minimums[2];

    void open(const uint8_t* at) {
        block = at;
        const __m128i both = load_16(at);
        scale = load_half(at + 80);
        sub_scales = _mm_and_si128(both, _mm_set1_epi8(15));
        const __m128i nibbles = _mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15));
        const __m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), load_half(at + 82));
        minimums[0] = _mm256_mul_ps(minus, signed_floats(nibbles));
        minimums[1] = _mm256_mul_ps(minus, signed_floats(upper_half(nibbles)));
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        constexpr int kDown = kPair % 2 * 4;
        const __m256i four = load_32(block + 16 + kPair / 2 * 32);
        first = pick_bits<-kDown>(four, 3);
        second = pick_bits<-kDown - 2>(four, 3);
    }
};

}  // namespace
}  // namespace puna::core
