#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, 8 scales of 6 bits, less 32, of which 16 bits hold the high pairs and 4 bytes the low
// nibbles; then 256 nibbles in pieces of 16 bytes, as indices of values.
struct IQ4_XS : NibblesOf16 {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 136;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group / 2; }

    __m512i pieces[2];
    __m512 scales;

    static __m512 load_scales(const uint8_t* at) {
        const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(load_u16(at)),
                                               _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
        const __m256i low =
            _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(load_u32(at + 2))),
                              _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
        const __m256i six =
            _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                            _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
        return _mm512_castps256_ps512(
            _mm256_cvtepi32_ps(_mm256_sub_epi32(six, _mm256_set1_epi32(32))));
    }
    void open(const uint8_t* at) {
        pieces[0] = _mm512_loadu_si512(at + 8);
        pieces[1] = _mm512_loadu_si512(at + 72);
        scales = _mm512_mul_ps(splat_half(at), load_scales(at + 2));
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up<kQuad % 2 * 4>(pieces[kQuad / 2], iq4_values(), q);
    }
};

}  // namespace

void linear_iq4_xs_avx512(const LinearBlock& block) {
    multiply_blocks<IQ4_XS>(block);
}

}  // namespace puna::core
