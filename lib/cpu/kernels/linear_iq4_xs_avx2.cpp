#include "cpu/kernels/places_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements: an F16 scale, the upper 2 bits of the 8 scales of sub-blocks, their lower
// 4 bits, then 16 bytes per sub-block of 32; byte i holds the elements i and i + 16, each a place in a
// table. The scales of sub-blocks are from -32.
struct IQ4_XS {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 136;

    void begin(const uint8_t* block) {
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i upper = _mm256_srlv_epi32(_mm256_set1_epi32(load_word<uint16_t>(block + 2)),
                                                _mm256_slli_epi32(lane, 1));
        const __m256i lower = _mm256_srlv_epi32(_mm256_set1_epi32(load_word<int32_t>(block + 4)),
                                                _mm256_slli_epi32(lane, 2));
        const __m256i bits =
            _mm256_or_si256(_mm256_and_si256(lower, _mm256_set1_epi32(15)),
                            _mm256_slli_epi32(_mm256_and_si256(upper, _mm256_set1_epi32(3)), 4));
        const __m256i numbers = _mm256_sub_epi32(bits, _mm256_set1_epi32(32));
        _mm256_storeu_ps(scales, _mm256_mul_ps(_mm256_cvtepi32_ps(numbers), load_half(block)));
        q = block + 8;
    }
    void load(int step, __m256 w[kVectors]) const {
        scale_places(load_16(q + 16 * step), uneven_steps(), _mm256_set1_ps(scales[step]), w);
    }

    float scales[8];
    const uint8_t* q;
};

}  // namespace

void linear_iq4_xs_avx2(const LinearBlock& block) {
    multiply_block<IQ4_XS>(block);
}

}  // namespace puna::core
