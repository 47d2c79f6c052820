#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, 32 fifth bits, then 32 nibbles in 16 bytes.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 31;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = true;
    static constexpr bool kWideScales = true;

    const uint8_t* blocks;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
        minimums = load_halves<kBlockBytes, 2>(at);
    }
    template <int kIndex>
    __m256i quants() const {
        const uint8_t* block = blocks + kIndex * kBlockBytes;
        return join_fifth(spread_nibbles(block + 8), block + 4);
    }
};

}  // namespace

void linear_q5_1_avx2(const LinearBlock& block) {
    multiply_blocks<Q5_1>(block);
}
void panel_q5_1_avx2(const PanelBlock& block) {
    multiply_panels_of_rows<Q5_1>(block);
}

}  // namespace puna::core
