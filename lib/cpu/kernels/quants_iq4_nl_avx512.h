#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

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

    __m256 scales;

    void open(const uint8_t* at) { scales = load_halves<kBlockBytes>(at); }
    static SixteenFactors open_two(const uint8_t* at) { return load_scales<kBlockBytes>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return look_up_iq4(spread_nibbles(two + 2, two + kBlockBytes + 2));
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* blocks, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes, 2>(blocks + 4 * kPair * kBlockBytes);
        first = look_up_iq4(low_nibbles(bytes));
        second = look_up_iq4(high_nibbles(bytes));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_nibbles<kBlockBytes, 2>(
            rows, [&](int four, __m512i nibbles)
                      __attribute__((always_inline)) { put(four, look_up_iq4(nibbles)); });
    }
};

}  // namespace
}  // namespace puna::core
