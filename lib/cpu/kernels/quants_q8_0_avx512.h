#pragma once

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 signed bytes.
struct Q8_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;
    static constexpr bool kWideScales = true;
    static constexpr int kOffset = 128;
    static constexpr int kLevels = 256;
    static constexpr bool kPairs = false;
    static constexpr bool kHasMinimums = false;

    __m256 scales;

    void open(const uint8_t* at) { scales = load_halves<kBlockBytes>(at); }
    static SixteenFactors open_two(const uint8_t* at) { return open_each<Q8_0>(at); }
    template <int kQuad>
    static __m512i quants(const uint8_t* blocks) {
        const uint8_t* two = blocks + 2 * kQuad * kBlockBytes;
        return _mm512_xor_si512(load_pair(two + 2, two + kBlockBytes + 2), _mm512_set1_epi8(-128));
    }
    template <class Put>
    [[gnu::always_inline]] static void fours(const SixteenRows& rows, const Put& put) {
        for (int half = 0; half < 2 * kChunk / kBlock; ++half) {
            for_four_dwords(
                rows, half / 2 * kBlockBytes + 2 + half % 2 * 16,
                [&](int i, __m512i bytes) __attribute__((always_inline)) {
                    put(4 * half + i, _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)));
                });
        }
    }
};

}  // namespace
}  // namespace puna::core
