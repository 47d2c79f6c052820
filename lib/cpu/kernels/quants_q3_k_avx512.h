#pragma once

#include "cpu/kernels/quants_avx512.h"

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
    static constexpr Order kOrder = Order::kPlain;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    __m512 scales;

    void open(const uint8_t* at) {
        block = at;
        // The dwords a and b hold the low nibbles of the scales, the third two more bits of each.
        const __m128i bytes = _mm_srli_si128(load_16(at + 94), 2);
        const __m128i low =
            _mm_srlv_epi32(_mm_unpacklo_epi64(bytes, bytes), _mm_setr_epi32(0, 0, 4, 4));
        const __m128i high = _mm_srlv_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(2, 2, 2, 2)),
                                            _mm_setr_epi32(0, 2, 4, 6));
        const __m128i six =
            _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(0x0f)),
                         _mm_and_si128(_mm_slli_epi32(high, 4), _mm_set1_epi8(0x30)));
        const __m512 sub =
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(six, _mm_set1_epi8(32))));
        scales = _mm512_mul_ps(_mm512_broadcastss_ps(load_half(at + 108)), sub);
    }
    template <int kQuad>
    __m512i quants() const {
        constexpr int kShift = kQuad % 2 * 4;
        const __m512i pairs = spread_bits<kShift, kShift + 2>(block + 32 + kQuad / 2 * 32);
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 2.
        const __m512i third = rotate_bits<2 * kQuad - 2, 2 * kQuad - 1>(block);
        return _mm512_and_si512(choose_bits(_mm512_set1_epi8(3), pairs, third),
                                _mm512_set1_epi8(7));
    }
};

}  // namespace
}  // namespace puna::core
