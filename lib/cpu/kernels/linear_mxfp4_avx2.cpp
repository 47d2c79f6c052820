#include "cpu/kernels/places_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: the exponent of a power of two, then 16 bytes; byte i holds the elements i
// and i + 16, each a sign, two bits of exponent and one of mantissa.
struct MXFP4 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 17;

    void begin(const uint8_t* block) {
        // 2 to the power of exponent - 127, halved since the table holds the doubled numbers. Below 2
        // that is subnormal.
        const uint32_t exponent = block[0];
        const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
        scale = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int32_t>(bits)));
        q = block + 1;
    }
    void load(int, __m256 w[kVectors]) const {
        const __m128i doubled =
            _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
        scale_places(load_16(q), doubled, scale, w);
    }

    __m256 scale;
    const uint8_t* q;
};

}  // namespace

void linear_mxfp4_avx2(const LinearBlock& block) {
    multiply_block<MXFP4>(block);
}

}  // namespace puna::core
