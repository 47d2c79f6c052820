#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 signed bytes.
struct Q8_0 : Bytes {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group / 2; }

    const uint8_t* blocks;
    __m512 scales;

    void open(const uint8_t* at) {
        blocks = at;
        scales = _mm512_mul_ps(gather_halves<kBlockBytes>(at), _mm512_set1_ps(kByteScale));
    }
    template <int kQuad>
    void load(Step& q) const {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        const __m256i first = load_32(two + 2);
        const __m256i second = load_32(two + kBlockBytes + 2);
        load_signed_bytes(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1), q);
    }
};

}  // namespace

void linear_q8_0_avx512(const LinearBlock& block) {
    multiply_blocks<Q8_0>(block);
}

}  // namespace puna::core
