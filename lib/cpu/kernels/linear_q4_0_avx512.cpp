#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 nibbles in 16 bytes, less 8.
struct Q4_0 : NibblesOf16 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group / 2; }

    __m512i pieces[2];
    __m512 scales;

    void open(const uint8_t* at) {
        pieces[0] = load_pieces<kBlockBytes>(at + 2);
        pieces[1] = load_pieces<kBlockBytes>(at + 2 + 4 * kBlockBytes);
        scales = gather_halves<kBlockBytes>(at);
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up<kQuad % 2 * 4>(pieces[kQuad / 2], count_from(-8), q);
    }
};

}  // namespace

void linear_q4_0_avx512(const LinearBlock& block) {
    multiply_blocks<Q4_0>(block);
}

}  // namespace puna::core
