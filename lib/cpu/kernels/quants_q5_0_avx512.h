#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, 32 fifth bits, then 32 nibbles in 16 bytes; less 16.
struct Q5_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 22;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 16;
    static constexpr int kLevels = 32;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    __m256 scales;

    void open(const uint8_t* at) { scales = load_halves<kBlockBytes>(at); }
    static SixteenFactors open_two(const uint8_t* at) { return open_each<Q5_0>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        return Bits::in_order(blocks + 2 * kQuad * kBlockBytes);
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* blocks, __m512i& first, __m512i& second) {
        Bits::halves(blocks + 4 * kPair * kBlockBytes, first, second);
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_five_bits<kBlockBytes, 2>(rows, put);
    }

  private:
    using Bits = FifthBits<kBlockBytes, 2>;
};

}  // namespace
}  // namespace puna::core
