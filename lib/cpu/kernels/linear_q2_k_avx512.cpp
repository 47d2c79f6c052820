#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// 16 bytes with a scale in the low and a minimum in the high nibble, 64 bytes with two bits of 4
// elements each, then the F16 factors of the scales and of the minimums, which are subtracted.
struct Q2_K : PairsOf32 {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 84;
    static constexpr bool kHasMinimums = true;
    static constexpr int scale_of(int group) { return group; }
    static constexpr int minimum_of(int group) { return group; }

    __m512i pairs;
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        pairs = _mm512_loadu_si512(at + 16);
        const __m512i sub = _mm512_cvtepu8_epi32(load_16(at));
        const __m512i scale = _mm512_and_si512(sub, _mm512_set1_epi32(15));
        const __m512i minimum = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_srli_epi32(sub, 4));
        scales = _mm512_mul_ps(splat_half(at + 80), _mm512_cvtepi32_ps(scale));
        minimums = _mm512_mul_ps(splat_half(at + 82), _mm512_cvtepi32_ps(minimum));
    }
    template <int kQuad>
    void load(Step& q) const {
        // The third and fourth bits are another's: the table has all values four times.
        const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
        look_up<2 * kQuad>(pairs, values, q);
    }
};

}  // namespace

void linear_q2_k_avx512(const LinearBlock& block) {
    multiply_blocks<Q2_K>(block);
}

}  // namespace puna::core
