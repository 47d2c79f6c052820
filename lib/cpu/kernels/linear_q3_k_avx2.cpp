#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

// 32 bytes with the third bits of 8 elements each, 64 bytes with two bits of 4 elements each, 16
// scales of 6 bits, less 32, and their F16 factor. Quants are less 4.
struct Q3_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 110;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 7;
    static constexpr int kOffset = 4;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = false;

    const uint8_t* block;
    __m256 scale;
    __m128i sub_scales;

    static __m128i load_scales(const uint8_t* at) {
        const auto join = [](uint32_t low, uint32_t high) {
            return static_cast<int32_t>((low & 0x0f0f0f0f) | ((high & 0x03030303) << 4));
        };
        const auto a = load_word<uint32_t>(at);
        const auto b = load_word<uint32_t>(at + 4);
        const auto high = load_word<uint32_t>(at + 8);
        const __m128i bytes = _mm_setr_epi32(join(a, high), join(b, high >> 2),
                                             join(a >> 4, high >> 4), join(b >> 4, high >> 6));
        return _mm_sub_epi8(bytes, _mm_set1_epi8(32));
    }
    void open(const uint8_t* at) {
        block = at;
        scale = load_half(at + 108);
        sub_scales = load_scales(at + 96);
    }
    template <int kIndex>
    __m256i quants() const {
        const __m256i pairs = load_32(block + 32 + kIndex / 4 * 32);
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 2.
        return _mm256_or_si256(pick_bits<kIndex % 4 * -2>(pairs, 3),
                               pick_bits<2 - kIndex>(load_32(block), 4));
    }
};

}  // namespace

void linear_q3_k_avx2(const LinearBlock& block) {
    multiply_blocks<Q3_K>(block);
}
void panel_q3_k_avx2(const PanelBlock& block) {
    multiply_panels_of_rows<Q3_K>(block);
}

}  // namespace puna::core
