#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// A power of two, then 32 nibbles in 16 bytes, each a 4-bit float.
struct MXFP4 : NibblesOf16 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 17;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group / 2; }

    __m512i pieces[2];
    __m512 scales;

    static __m512 values_times_2() {
        return _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    }
    // 2^(e - 128), e being the first bytes of eight blocks.
    static __m512 half_powers(const uint8_t* blocks) {
        const __m256i e =
            _mm256_and_si256(gather_u32<kBlockBytes>(blocks), _mm256_set1_epi32(0xff));
        const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
        const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
        const __mmask8 is_subnormal = _mm256_cmplt_epi32_mask(e, _mm256_set1_epi32(2));
        const __m256i bits = _mm256_mask_mov_epi32(normal, is_subnormal, subnormal);
        return _mm512_castsi512_ps(_mm512_castsi256_si512(bits));
    }

    void open(const uint8_t* at) {
        pieces[0] = load_pieces<kBlockBytes>(at + 1);
        pieces[1] = load_pieces<kBlockBytes>(at + 1 + 4 * kBlockBytes);
        scales = half_powers(at);
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up<kQuad % 2 * 4>(pieces[kQuad / 2], values_times_2(), q);
    }
};

}  // namespace

void linear_mxfp4_avx512(const LinearBlock& block) {
    multiply_blocks<MXFP4>(block);
}

}  // namespace puna::core
