#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// 32 bytes with the third bits of 8 elements each, 64 bytes with two bits of 4 elements each, 16
// scales of 6 bits, less 32, and their F16 factor. Quants are less 4.
struct Q3_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 7;
    static constexpr int kOffset = 4;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = false;

    const uint8_t* block;
    __m256 scale;
    __m128i sub_scales;

    static __m128i load_scales(const uint8_t* at) {
        const auto join = [](uint32_t low, uint32_t high) {
            return static_cast<int32_t>((low & 0x0f0f0f0f) | ((high & 0x03030303) << 4));
        };
        const auto a = load_word<uint32_t>(at);
        const auto b = load_word<uint32_t>(at + 4);
        const auto high = load_word<uint32_t>(at + 8);
        const __m128i bytes = _mm_setr_epi32(join(a, high), join(b, high >> 2),
                                             join(a >> 4, high >> 4), join(b >> 4, high >> 6));
        return _mm_sub_epi8(bytes, _mm_set1_epi8(32));
    }
    void open(const uint8_t* at) {
        block = at;
        scale = load_half(at + 108);
        sub_scales = load_scales(at + 96);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        constexpr int kDown = kPair % 2 * 4;
        const __m256i four = load_32(block + 32 + kPair / 2 * 32);
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 2.
        const __m256i third = load_32(block);
        first = _mm256_or_si256(pick_bits<-kDown>(four, 3), pick_bits<2 - 2 * kPair>(third, 4));
        second =
            _mm256_or_si256(pick_bits<-kDown - 2>(four, 3), pick_bits<1 - 2 * kPair>(third, 4));
    }
};

}  // namespace
}  // namespace puna::core
