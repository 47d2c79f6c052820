#pragma once

#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// Two halves of 128 elements: nibbles in 64 bytes, and two bits of 4 elements each in 32 bytes; then
// a signed byte per group and their F16 factor. Quants are less 32.
struct Q6_K {
    static constexpr int64_t kBlock = 256;
    static constexpr int64_t kBlockBytes = 210;
    static constexpr bool kSigned = false;
    static constexpr int kLargest = 63;
    static constexpr int kOffset = 32;
    static constexpr bool kHasMinimums = false;
    static constexpr bool kWideScales = false;

    const uint8_t* block;
    __m256 scale;
    __m128i sub_scales;

    void open(const uint8_t* at) {
        block = at;
        scale = load_half(at + 208);
        sub_scales = load_16(at + 192);
    }
    template <int kPair>
    void quants(__m256i& first, __m256i& second) const {
        // The nibbles of the elements 0 .. 63 of the half are low ones. Bits 2 i and 2 i + 1 of a byte
        // belong to the elements 32 i .. 32 i + 31 of the half: they go to bit 4.
        constexpr int kDown = kPair % 2 * 4;
        const uint8_t* nibbles = block + kPair / 2 * 64;
        const __m256i high = load_32(block + 128 + kPair / 2 * 32);
        first = _mm256_or_si256(pick_bits<-kDown>(load_32(nibbles), 0x0f),
                                pick_bits<4 - kDown>(high, 0x30));
        second = _mm256_or_si256(pick_bits<-kDown>(load_32(nibbles + 32), 0x0f),
                                 pick_bits<2 - kDown>(high, 0x30));
    }
};

}  // namespace
}  // namespace puna::core
