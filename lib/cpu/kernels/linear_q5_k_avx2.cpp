#include "cpu/kernels/sub_blocks_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements: as Q4_K, but with 32 bytes before the lower 4 bits; bit s of byte i is the
// fifth bit of element i of sub-block s.
struct Q5_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;

    void begin(const uint8_t* block) {
        factors.begin(block);
        fifth = load_32(block + 16);
        q = block + 48;
    }
    void load(int step, __m256 w[kVectors]) const {
        const __m256i both = load_32(q + step / 2 * 32);
        const __m256i low =
            _mm256_and_si256(_mm256_srli_epi16(both, step % 2 * 4), _mm256_set1_epi8(15));
        const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << step));
        const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(fifth, bit), bit);
        const __m256i bit_4 = _mm256_and_si256(is_set, _mm256_set1_epi8(16));
        factors.apply(_mm256_or_si256(low, bit_4), step, w);
    }

    ScalesAndOffsets factors;
    __m256i fifth;
    const uint8_t* q;
};

}  // namespace

void linear_q5_k_avx2(const LinearBlock& block) {
    multiply_block<Q5_K>(block);
}

}  // namespace puna::core
