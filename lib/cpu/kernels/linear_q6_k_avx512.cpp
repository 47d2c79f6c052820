#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// Two halves of 128 elements: nibbles in 64 bytes, and two bits of 4 elements each in 32 bytes; then
// a signed byte per group and their F16 factor. Quants are less 32.
struct Q6_K : Bytes {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group; }

    const uint8_t* block;
    __m512 scales;

    void open(const uint8_t* at) {
        block = at;
        const __m512 factor = _mm512_mul_ps(splat_half(at + 208), _mm512_set1_ps(kByteScale));
        const __m512 sub = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(at + 192)));
        scales = _mm512_mul_ps(factor, sub);
    }
    template <int kQuad>
    void load(Step& q) const {
        // The two bits of groups g and g + 1 are g % 8 bits up in a byte: they go to bit 4.
        constexpr Lanes kRotation =
            make_lanes([](int lane) { return (group_of(kQuad, lane / 4) % 8 / 2 * 2 - 4) & 31; });
        const __m512i nibbles = _mm512_loadu_si512(block + 64 * (kQuad / 2));
        const __m512i low = kQuad % 2 == 0 ? nibbles : _mm512_srli_epi32(nibbles, 4);
        const __m512i pairs = _mm512_broadcast_i64x4(load_32(block + 128 + 32 * (kQuad / 2)));
        const __m512i bits =
            choose_bits(_mm512_set1_epi8(0x0f), low, _mm512_rorv_epi32(pairs, kRotation));
        const __m512i six = _mm512_and_si512(bits, _mm512_set1_epi8(0x3f));
        load_signed_bytes(_mm512_sub_epi8(six, _mm512_set1_epi8(32)), q);
    }
};

}  // namespace

void linear_q6_k_avx512(const LinearBlock& block) {
    multiply_blocks<Q6_K>(block);
}

}  // namespace puna::core
