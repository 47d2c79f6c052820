#include "cpu/kernels/sub_blocks_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements: for each sub-block of 16 a byte with 4 bits of scale and 4 of minimum, then
// 2 times 32 bytes; byte i of a half holds the elements i, i + 32, i + 64 and i + 96 of its 128, 2 bits
// each; at last an F16 scale and an F16 minimum.
struct Q2_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;

    void begin(const uint8_t* block) {
        const __m128i factors = load_16(block);
        scale_16(low_nibbles(factors), load_half(block + 80), scales);
        const __m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), load_half(block + 82));
        scale_16(high_nibbles(factors), minus, offsets);
        q = block + 16;
    }
    void load(int step, __m256 w[kVectors]) const {
        const __m256i four = load_32(q + step / 4 * 32);
        const __m256i bits =
            _mm256_and_si256(_mm256_srli_epi16(four, step % 4 * 2), _mm256_set1_epi8(3));
        scale_bytes(_mm256_castsi256_si128(bits), _mm256_set1_ps(scales[2 * step]),
                    _mm256_set1_ps(offsets[2 * step]), w);
        scale_bytes(_mm256_extracti128_si256(bits, 1), _mm256_set1_ps(scales[2 * step + 1]),
                    _mm256_set1_ps(offsets[2 * step + 1]), w + 2);
    }

    float scales[16];
    float offsets[16];
    const uint8_t* q;
};

}  // namespace

void linear_q2_k_avx2(const LinearBlock& block) {
    multiply_block<Q2_K>(block);
}

}  // namespace puna::core
