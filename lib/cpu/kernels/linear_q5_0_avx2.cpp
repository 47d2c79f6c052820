#include "cpu/kernels/fifth_bits_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, a bit 4 per element, then 16 bytes; byte i holds the lower 4
// bits of the elements i and i + 16. The numbers are from -16.
struct Q5_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        at = block + 2;
    }
    void load(int, __m256 w[kVectors]) const {
        // Without its bit 4 a number is negative: less 16 it has all upper bits.
        const __m256i upper = _mm256_andnot_si256(load_bit_mask(at), _mm256_set1_epi8(-16));
        const __m128i q = load_16(at + 4);
        scale_bytes(_mm_or_si128(low_nibbles(q), _mm256_castsi256_si128(upper)), scale, w);
        scale_bytes(_mm_or_si128(high_nibbles(q), _mm256_extracti128_si256(upper, 1)), scale,
                    w + 2);
    }

    __m256 scale;
    const uint8_t* at;
};

}  // namespace

void linear_q5_0_avx2(const LinearBlock& block) {
    multiply_block<Q5_0>(block);
}

}  // namespace puna::core
