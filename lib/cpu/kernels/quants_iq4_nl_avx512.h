#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 nibbles in 16 bytes, as indices of values.
struct IQ4_NL {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 128;
    static constexpr int kLevels = 256;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    const uint8_t* blocks;
    __m256 scales;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
    }
    template <int kQuad>
    __m512i quants() const {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return look_up_iq4(spread_nibbles(two + 2, two + kBlockBytes + 2));
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        const __m512i bytes = load_fours<kBlockBytes>(blocks + 4 * kPair * kBlockBytes + 2);
        first = look_up_iq4(low_nibbles(bytes));
        second = look_up_iq4(high_nibbles(bytes));
    }
};

}  // namespace
}  // namespace puna::core
