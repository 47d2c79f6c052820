#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// Scales and minimums, 32 bytes with the fifth bits of 8 elements each, then 256 nibbles in pieces of
// 32 bytes.
struct Q5_K : NibblesOf32 {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;
    static constexpr bool kHasMinimums = true;
    static constexpr int scale_of(int group) { return group / 2; }
    static constexpr int minimum_of(int group) { return 8 + group / 2; }

    __m512i pieces[2];
    __m512i fifth;
    __m512 scales;
    __m512 minimums;

    void open(const uint8_t* at) {
        fifth = _mm512_broadcast_i64x4(load_32(at + 16));
        pieces[0] = _mm512_loadu_si512(at + 48);
        pieces[1] = _mm512_loadu_si512(at + 112);
        scales = load_k_factors(at);
        minimums = scales;
    }
    template <int kQuad>
    void load(Step& q) const {
        // Bit g / 2 of a byte belongs to group g: it goes to bit 4.
        constexpr Lanes kRotation =
            make_lanes([](int lane) { return (group_of(kQuad, lane / 4) / 2 - 4) & 31; });
        const __m512i nibbles =
            kQuad % 2 == 0 ? pieces[kQuad / 2] : _mm512_srli_epi32(pieces[kQuad / 2], 4);
        const __m512i high = _mm512_rorv_epi32(fifth, kRotation);
        look_up(choose_bits(_mm512_set1_epi8(0x0f), nibbles, high), count_from(0), count_from(16),
                q);
    }
};

}  // namespace

void linear_q5_k_avx512(const LinearBlock& block) {
    multiply_blocks<Q5_K>(block);
}

}  // namespace puna::core
