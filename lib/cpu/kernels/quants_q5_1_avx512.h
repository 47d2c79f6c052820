#pragma once

#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// An F16 scale and minimum, 32 fifth bits, then 32 nibbles in 16 bytes.
struct Q5_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 24;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 0;
    static constexpr int kLevels = 32;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = true;

    const uint8_t* blocks;
    __m512 factors;
    __m256 scales;
    __m256 minimums;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
        minimums = load_halves<kBlockBytes, 2>(at);
        factors = _mm512_insertf32x8(_mm512_castps256_ps512(scales), minimums, 1);
    }
    template <int kQuad>
    __m512i quants() const {
        return Bits::in_order(blocks + 2 * kQuad * kBlockBytes);
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    void pair(__m512i& first, __m512i& second) const {
        Bits::halves(blocks + 4 * kPair * kBlockBytes, first, second);
    }

  private:
    using Bits = FifthBits<kBlockBytes, 4>;
};

}  // namespace
}  // namespace puna::core
