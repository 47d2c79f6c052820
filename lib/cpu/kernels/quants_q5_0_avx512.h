#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, 32 fifth bits, then 32 nibbles in 16 bytes; less 16.
struct Q5_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 16;
    static constexpr bool kCrosses = false;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    __m512 scales;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
    }
    template <int kQuad>
    __m512i quants() const {
        const uint8_t* first = blocks + 2 * kQuad * kBlockBytes;
        const uint8_t* second = first + kBlockBytes;
        return join_fifth(low_nibbles(spread_nibbles(first + 6, second + 6)), first + 2,
                          second + 2);
    }
};

}  // namespace
}  // namespace puna::core
