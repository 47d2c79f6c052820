#include "cpu/kernels/sub_blocks_avx2.h"

namespace puna::core {
namespace {

// Blocks of 256 elements: an F16 scale and an F16 minimum, 6 bits for the scale and 6 for the minimum
// of each sub-block of 32, then 4 times 32 bytes; byte i of a group holds the elements i and i + 32 of
// its 64.
struct Q4_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;

    void begin(const uint8_t* block) {
        factors.begin(block);
        q = block + 16;
    }
    void load(int step, __m256 w[kVectors]) const {
        const __m256i both = load_32(q + step / 2 * 32);
        const __m256i bits = _mm256_srli_epi16(both, step % 2 * 4);
        factors.apply(_mm256_and_si256(bits, _mm256_set1_epi8(15)), step, w);
    }

    ScalesAndOffsets factors;
    const uint8_t* q;
};

}  // namespace

void linear_q4_k_avx2(const LinearBlock& block) {
    multiply_block<Q4_K>(block);
}

}  // namespace puna::core
