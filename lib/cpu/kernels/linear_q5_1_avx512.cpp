#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, 32 fifth bits, then 32 nibbles in 16 bytes.
struct Q5_1 : NibblesOf16 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kHasMinimums = true;
    static constexpr int scale_of(int group) { return group / 2 * 2; }
    static constexpr int minimum_of(int group) { return group / 2 * 2 + 1; }

    __m512i pieces[2];
    const uint8_t* fifth;
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        pieces[0] = load_pieces<kBlockBytes>(at + 8);
        pieces[1] = load_pieces<kBlockBytes>(at + 8 + 4 * kBlockBytes);
        fifth = at + 4;
        scales = _mm512_cvtph_ps(gather_u32<kBlockBytes>(at));
        minimums = scales;
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up(join_fifth<kQuad, kBlockBytes>(pieces[kQuad / 2], fifth), count_from(0),
                count_from(16), q);
    }
};

}  // namespace

void linear_q5_1_avx512(const LinearBlock& block) {
    multiply_blocks<Q5_1>(block);
}

}  // namespace puna::core
