#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// An F16 scale, then 32 signed bytes.
struct Q8_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;
    static constexpr bool kSigned = true;
    static constexpr int kOffset = 0;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = true;

    const uint8_t* blocks;
    __m256 scales;

    void open(const uint8_t* at) {
        blocks = at;
        scales = load_halves<kBlockBytes, 0>(at);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        const uint8_t* a = blocks + 2 * kPair * kBlockBytes + 2;
        const uint8_t* b = a + kBlockBytes;
        first = load_pair(a, b);
        second = load_pair(a + 16, b + 16);
    }
};

}  // namespace
}  // namespace puna::core
