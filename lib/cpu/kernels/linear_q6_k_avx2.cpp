#include "cpu/kernels/sub_blocks_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements, two halves of 128: 64 bytes per half, of which byte i holds the lower 4 bits
// of its elements i and i + 64; 32 bytes per half, of which byte i holds the upper 2 bits of i, i + 32,
// i + 64 and i + 96; a signed byte of scale per 16 elements; an F16 scale. The numbers are from -32.
struct Q6_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;

    void begin(const uint8_t* block) {
        q = block;
        scale_16(load_16(block + 192), load_half(block + 208), scales);
    }
    void load(int step, __m256 w[kVectors]) const {
        const int half = step / 4;
        const int quarter = step % 4;
        const __m256i two = load_32(q + 64 * half + quarter % 2 * 32);
        const __m256i four = load_32(q + 128 + 32 * half);
        const __m256i low =
            _mm256_and_si256(_mm256_srli_epi16(two, quarter / 2 * 4), _mm256_set1_epi8(15));
        const __m256i upper = _mm256_and_si256(
            _mm256_slli_epi16(_mm256_srli_epi16(four, 2 * quarter), 4), _mm256_set1_epi8(0x30));
        const __m256i bits = _mm256_or_si256(low, upper);
        scale_pair(_mm256_sub_epi8(bits, _mm256_set1_epi8(32)), scales + 2 * step, w);
    }

    float scales[16];
    const uint8_t* q;
};

}  // namespace

void linear_q6_k_avx2(const LinearBlock& block) {
    multiply_block<Q6_K>(block);
}

}  // namespace puna::core
