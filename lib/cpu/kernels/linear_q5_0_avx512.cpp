#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, 32 fifth bits, then 32 nibbles in 16 bytes; less 16.
struct Q5_0 : NibblesOf16 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group / 2; }

    __m512i pieces[2];
    const uint8_t* fifth;
    __m512 scales;

    void open(const uint8_t* at) {
        pieces[0] = load_pieces<kBlockBytes>(at + 6);
        pieces[1] = load_pieces<kBlockBytes>(at + 6 + 4 * kBlockBytes);
        fifth = at + 2;
        scales = gather_halves<kBlockBytes>(at);
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up(join_fifth<kQuad, kBlockBytes>(pieces[kQuad / 2], fifth), count_from(-16),
                count_from(0), q);
    }
};

}  // namespace

void linear_q5_0_avx512(const LinearBlock& block) {
    multiply_blocks<Q5_0>(block);
}

}  // namespace puna::core
