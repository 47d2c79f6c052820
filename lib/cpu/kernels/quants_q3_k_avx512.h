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
    static constexpr bool kCrosses = false;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    __m512 scales;

    static __m512 load_scales(const uint8_t* at) {
        const auto join = [](uint32_t low, uint32_t high) {
            return static_cast<int32_t>((low & 0x0f0f0f0f) | ((high & 0x03030303) << 4));
        };
        const uint32_t a = load_u32(at);
        const uint32_t b = load_u32(at + 4);
        const uint32_t high = load_u32(at + 8);
        const __m128i bytes = _mm_setr_epi32(join(a, high), join(b, high >> 2),
                                             join(a >> 4, high >> 4), join(b >> 4, high >> 6));
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(bytes, _mm_set1_epi8(32))));
    }
    void open(const uint8_t* at) {
        block = at;
        scales = _mm512_mul_ps(splat_half(at + 108), load_scales(at + 96));
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
