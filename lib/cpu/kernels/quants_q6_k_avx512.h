#pragma once

#include "cpu/kernels/quants_avx512.h"

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
    static constexpr Order kOrder = Order::kPlain;
    static constexpr bool kHasMinimums = false;

    const uint8_t* block;
    __m512 scales;

    void open(const uint8_t* at) {
        block = at;
        const __m512 sub = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(at + 192)));
        scales = _mm512_mul_ps(_mm512_broadcastss_ps(load_half(at + 208)), sub);
    }
    template <int kQuad>
    __m512i quants() const {
        const __m512i nibbles = _mm512_loadu_si512(block + 64 * (kQuad / 2));
        const __m512i low = kQuad % 2 == 0 ? nibbles : _mm512_srli_epi32(nibbles, 4);
        // Bits 2 i and 2 i + 1 of a byte belong to the elements 32 i .. 32 i + 31 of the half: they go
        // to bit 4.
        constexpr int kShift = kQuad % 2 * 4 - 4;
        const __m512i high = rotate_bits<kShift, kShift + 2>(block + 128 + 32 * (kQuad / 2));
        return _mm512_and_si512(choose_bits(_mm512_set1_epi8(0x0f), low, high),
                                _mm512_set1_epi8(0x3f));
    }
};

}  // namespace
}  // namespace puna::core
