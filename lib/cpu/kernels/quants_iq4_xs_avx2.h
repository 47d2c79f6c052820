#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale, 8 scales of 6 bits, less 32, of which 16 bits hold the high pairs and 4 bytes the low
// nibbles; then 256 nibbles in pieces of 16 bytes, as indices of values.
struct IQ4_XS {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 136;
    static constexpr bool kSigned = true;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = true;

    const uint8_t* block;
    __m256 scales;

    static __m256 load_scales(const uint8_t* at) {
        const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(load_word<uint16_t>(at)),
                                               _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
        const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(load_word<int32_t>(at + 2)),
                                              _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
        const __m256i six =
            _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                            _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
        return _mm256_cvtepi32_ps(_mm256_sub_epi32(six, _mm256_set1_epi32(32)));
    }
    void open(const uint8_t* at) {
        block = at;
        scales = _mm256_mul_ps(load_half(at), load_scales(at + 2));
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const __m256i both = load_32(block + 8 + 32 * kPair);
        first = look_up_iq4(low_nibbles(both));
        second = look_up_iq4(high_nibbles(both));
    }
};

}  // namespace
}  // namespace puna::core
