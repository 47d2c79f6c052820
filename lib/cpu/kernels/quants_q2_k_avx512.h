#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// 16 bytes with a scale in the low and a minimum in the high nibble, 64 bytes with two bits of 4
// elements each, then the F16 factors of the scales and of the minimums, which are subtracted.
struct Q2_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;
    static constexpr bool kWideScales = false;
    static constexpr int kOffset = 0;
    static constexpr bool kCrosses = false;
    static constexpr bool kHasMinimums = true;

    const uint8_t* block;
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        block = at;
        const __m512i sub = _mm512_cvtepu8_epi32(load_16(at));
        const __m512i scale = _mm512_and_si512(sub, _mm512_set1_epi32(15));
        const __m512i minimum = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_srli_epi32(sub, 4));
        scales = _mm512_mul_ps(splat_half(at + 80), _mm512_cvtepi32_ps(scale));
        minimums = _mm512_mul_ps(splat_half(at + 82), _mm512_cvtepi32_ps(minimum));
    }
    template <int kQuad>
    __m512i quants() const {
        constexpr int kShift = kQuad % 2 * 4;
        const __m512i pairs = spread_bits<kShift, kShift + 2>(block + 16 + kQuad / 2 * 32);
        return _mm512_and_si512(pairs, _mm512_set1_epi8(3));
    }
};

}  // namespace
}  // namespace puna::core
