#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// Scales and minimums, then 256 nibbles in pieces of 32 bytes.
struct Q4_K : NibblesOf32 {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 144;
    static constexpr bool kHasMinimums = true;
    static constexpr int scale_of(int group) { return group / 2; }
    static constexpr int minimum_of(int group) { return 8 + group / 2; }

    __m512i pieces[2];
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        pieces[0] = _mm512_loadu_si512(at + 16);
        pieces[1] = _mm512_loadu_si512(at + 80);
        scales = load_k_factors(at);
        minimums = scales;
    }
    template <int kQuad>
    void load(Step& q) const {
        look_up<kQuad % 2 * 4>(pieces[kQuad / 2], count_from(0), q);
    }
};

}  // namespace

void linear_q4_k_avx512(const LinearBlock& block) {
    multiply_blocks<Q4_K>(block);
}

}  // namespace puna::core
