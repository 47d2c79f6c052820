#include "cpu/kernels/linear_blocks_avx512.h"

namespace puna::core {
namespace {

// 32 bytes with the third bits of 8 elements each, 64 bytes with two bits of 4 elements each, 16
// scales of 6 bits, less 32, and their F16 factor. Quants are less 4.
struct Q3_K : PairsOf32 {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;
    static constexpr bool kHasMinimums = false;
    static constexpr int scale_of(int group) { return group; }

    __m512i pairs;
    __m512i third;
    __m512 scales;

    static __m512 load_scales(const uint8_t* at) {
        const auto join = [](uint32_t low, uint32_t high) {
            return static_cast<int32_t>((low & 0x0f0f0f0f) | ((high & 0x03030303) << 4));
        };
        const uint32_t a = load_u32(at);
        const uint32_t b = load_u32(at + 4);
        const uint32_t high = load_u32(at + 8);
        const __m128i bytes = _mm_setr_epi32(join(a, high), join(b, high >> 2),
                                             join(a >> 4, high >> 4), join(b >> 4, high >> 6));
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(bytes, _mm_set1_epi8(32))));
    }
    void open(const uint8_t* at) {
        third = _mm512_broadcast_i64x4(load_32(at));
        pairs = _mm512_loadu_si512(at + 32);
        scales = _mm512_mul_ps(splat_half(at + 108), load_scales(at + 96));
    }
    template <int kQuad>
    void load(Step& q) const {
        // Bit g / 2 of a byte belongs to group g: it goes to bit 2.
        constexpr Lanes kRotation =
            make_lanes([](int lane) { return (group_of(kQuad, lane / 4) / 2 - 2) & 31; });
        const __m512i high = _mm512_rorv_epi32(third, kRotation);
        const __m512i bits =
            choose_bits(_mm512_set1_epi8(3), _mm512_srli_epi32(pairs, 2 * kQuad), high);
        // The fourth bit is another's: the table has all values twice.
        const __m512 values =
            _mm512_setr_ps(-4, -3, -2, -1, 0, 1, 2, 3, -4, -3, -2, -1, 0, 1, 2, 3);
        look_up<0>(bits, values, q);
    }
};

}  // namespace

void linear_q3_k_avx512(const LinearBlock& block) {
    multiply_blocks<Q3_K>(block);
}

}  // namespace puna::core
