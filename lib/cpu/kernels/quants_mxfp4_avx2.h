#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// A power of two, then 32 nibbles in 16 bytes, each a 4-bit float.
struct MXFP4 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 17;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 28;
    static constexpr int kOffset = 16;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = true;

    const uint8_t* blocks;
    __m256 scales;

    // 2^(e - 128), e being the first bytes of eight blocks.
    static __m256 half_powers(const uint8_t* blocks) {
        const auto byte = [blocks](int64_t i) { return int32_t{blocks[i * kBlockBytes]}; };
        const __m256i e = _mm256_setr_epi32(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5),
                                            byte(6), byte(7));
        const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
        const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
        const __m256i is_normal = _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1));
        return _mm256_castsi256_ps(_mm256_blendv_epi8(subnormal, normal, is_normal));
    }

    void open(const uint8_t* at) {
        blocks = at;
        scales = half_powers(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        // Twice the values, plus 16.
        const __m256i values = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4));
        const uint8_t* two = blocks + 2 * kPair * kBlockBytes;
        const __m256i both = load_pair(two + 1, two + kBlockBytes + 1);
        first = _mm256_shuffle_epi8(values, low_nibbles(both));
        second = _mm256_shuffle_epi8(values, high_nibbles(both));
    }
};

}  // namespace
}  // namespace puna::core
