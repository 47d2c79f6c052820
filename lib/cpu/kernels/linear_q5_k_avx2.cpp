#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

// Scales and minimums, 32 bytes with the fifth bits of 8 elements each, then 256 nibbles in pieces of
// 32 bytes.
struct Q5_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 176;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 31;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = true;

    const uint8_t* block;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        block = at;
        load_k_factors(at, scales, minimums);
    }
    template <int kIndex>
    __m256i quants() const {
        const __m256i nibbles = load_32(block + 48 + kIndex / 2 * 32);
        // Bit i of a byte belongs to the elements 32 i .. 32 i + 31: it goes to bit 4.
        return _mm256_or_si256(pick_bits<kIndex % 2 * -4>(nibbles, 0x0f),
                               pick_bits<4 - kIndex>(load_32(block + 16), 0x10));
    }
};

}  // namespace

void linear_q5_k_avx2(const LinearBlock& block) {
    multiply_blocks<Q5_K>(block);
}
void panel_q5_k_avx2(const PanelBlock& block) {
    multiply_panels_of_rows<Q5_K>(block);
}

}  // namespace puna::core
