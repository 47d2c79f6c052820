#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

// Two halves of 128 elements: nibbles in 64 bytes, and two bits of 4 elements each in 32 bytes; then
// a signed byte per group and their F16 factor. Quants are less 32.
struct Q6_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 63;
    static constexpr int kOffset = 32;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = false;

    const uint8_t* block;
    __m256 scale;
    __m128i sub_scales;

    void open(const uint8_t* at) {
        block = at;
        scale = load_half(at + 208);
        sub_scales = load_16(at + 192);
    }
    template <int kIndex>
    __m256i quants() const {
        constexpr int kQuarter = kIndex % 4;
        const __m256i nibbles = load_32(block + kIndex / 4 * 64 + kQuarter % 2 * 32);
        // Bits 2 i and 2 i + 1 of a byte belong to the elements 32 i .. 32 i + 31 of the half: they go
        // to bit 4.
        return _mm256_or_si256(
            pick_bits<kQuarter / 2 * -4>(nibbles, 0x0f),
            pick_bits<4 - 2 * kQuarter>(load_32(block + 128 + kIndex / 4 * 32), 0x30));
    }
};

}  // namespace

void linear_q6_k_avx2(const LinearBlock& block) {
    multiply_blocks<Q6_K>(block);
}
void panel_q6_k_avx2(const PanelBlock& block) {
    multiply_panels_of_rows<Q6_K>(block);
}

}  // namespace puna::core
