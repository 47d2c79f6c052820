#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, then 16 bytes; byte i holds the elements i and i + 16, 4 bits
// each, from -8.
struct Q4_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        offset = _mm256_mul_ps(scale, _mm256_set1_ps(-8.0f));
        q = block + 2;
    }
    void load(int, __m256 w[kVectors]) const { scale_nibbles(q, scale, offset, w); }

    __m256 scale;
    __m256 offset;
    const uint8_t* q;
};

}  // namespace

void linear_q4_0_avx2(const LinearBlock& block) {
    multiply_block<Q4_0>(block);
}

}  // namespace puna::core
