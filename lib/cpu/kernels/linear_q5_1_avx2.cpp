#include "cpu/kernels/fifth_bits_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, an F16 offset, a bit 4 per element, then 16 bytes; byte i
// holds the lower 4 bits of the elements i and i + 16.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        offset = load_half(block + 2);
        at = block + 4;
    }
    void load(int, __m256 w[kVectors]) const {
        const __m256i bit_4 = _mm256_and_si256(load_bit_mask(at), _mm256_set1_epi8(16));
        const __m128i q = load_16(at + 4);
        scale_bytes(_mm_or_si128(low_nibbles(q), _mm256_castsi256_si128(bit_4)), scale, offset, w);
        scale_bytes(_mm_or_si128(high_nibbles(q), _mm256_extracti128_si256(bit_4, 1)), scale,
                    offset, w + 2);
    }

    __m256 scale;
    __m256 offset;
    const uint8_t* at;
};

}  // namespace

void linear_q5_1_avx2(const LinearBlock& block) {
    multiply_block<Q5_1>(block);
}

}  // namespace puna::core
