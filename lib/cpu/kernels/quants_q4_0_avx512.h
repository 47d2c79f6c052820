#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 nibbles in 16 bytes, less 8.
struct Q4_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 8;
    static constexpr int kLevels = 16;
    static constexpr bool kPairs = true;
    static constexpr bool kHasMinimums = false;

    __m256 scales;

    void open(const uint8_t* at) { scales = load_halves<kBlockBytes>(at); }
    static SixteenFactors open_two(const uint8_t* at) { return load_scales<kBlockBytes>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return spread_nibbles(two + 2, two + kBlockBytes + 2);
    }
    static constexpr int eight_at(int slot) { return halves_apart(slot); }
    template <int kPair>
    static void pair(const uint8_t* blocks, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes, 2>(blocks + 4 * kPair * kBlockBytes);
        first = low_nibbles(bytes);
        second = high_nibbles(bytes);
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        fours_of_nibbles<kBlockBytes, 2>(rows, put);
    }
};

}  // namespace
}  // namespace puna::core
