// Quantised weights as the AVX2 kernels take them: bytes, scales and minimums of a chunk of 256 elements, in 8 blocks
// of 32. An element is scale * (quant - kOffset) + minimum.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr bool kSigned;                 // quants are signed bytes, and kOffset is 0
//   static constexpr int kLargest;                 // of the quants that are not signed
//   static constexpr int kOffset;                  // 0 or a power of two
//   static constexpr bool kHasMinimums;            // then kOffset is 0
//   static constexpr bool kWideScales;             // one for 32 elements, else for 16
//   void open(const uint8_t* at);
//   template <int kPair> void quants(__m256i& first, __m256i& second) const;
// `open` prepares the chunk at `at`. `quants` gives the blocks 2 kPair and 2 kPair + 1, so that a half of
// the lanes shares a scale. Where scales are wide the blocks are crossed: the elements 0 .. 15 of both are
// `first`, 16 .. 31 of both `second`, and there are
//   __m256 scales, minimums;  // lane i: of block i
// and scales that are integers with a factor also as
//   __m256 scale;             // all lanes
//   __m128i sub_scales;       // signed bytes that multiply it; byte i: of block i
// Otherwise one block is `first`, the other `second`, and there are
//   __m256 scale;             // all lanes
//   __m128i sub_scales;       // signed bytes that multiply it; byte i: of the elements 16 i .. 16 i + 15
//   __m256 minimums[2];       // lane i of the 16 likewise
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/lanes_avx2.h"
#include "cpu/kernels/rounded_block_avx2.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

constexpr int64_t kChunk = 256;
constexpr int kRowBlocks = kChunk / kRowBlock;

template <class Format>
constexpr bool kIntegerScales = requires(const Format& w) {
    w.sub_scales;
};

// ---- Loads --------------------------------------------------------------------------------------

template <class Word>
inline Word load_word(const uint8_t* at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
}
// The F16 number at `at`, in all lanes.
inline __m256 load_half(const uint8_t* at) {
    return _mm256_cvtph_ps(_mm_set1_epi16(load_word<int16_t>(at)));
}
// The lower 8 bytes of a vector.
inline __m256 signed_floats(__m128i bytes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
inline __m128i upper_half(__m128i bytes) {
    return _mm_unpackhi_epi64(bytes, bytes);
}

// ---- Parts of formats ---------------------------------------------------------------------------

// The F16 numbers kAt bytes after the beginning of eight blocks: number i is word i of the 16 bytes that lie 2 i bytes
// before it.
template <int64_t kBlockBytes, int64_t kAt>
__m256 load_halves(const uint8_t* blocks) {
    static_assert(kAt + 2 <= kBlockBytes && kBlockBytes > 2);
    const auto at = [blocks](int64_t i) { return load_16(blocks + kAt + i * (kBlockBytes - 2)); };
    const __m128i two = _mm_blend_epi16(at(0), at(1), 0x02);
    const __m128i four = _mm_blend_epi16(_mm_blend_epi16(two, at(2), 0x04), at(3), 0x08);
    const __m128i six = _mm_blend_epi16(at(4), at(5), 0x20);
    const __m128i eight = _mm_blend_epi16(_mm_blend_epi16(six, at(6), 0x40), at(7), 0x80);
    return _mm256_cvtph_ps(_mm_blend_epi16(four, eight, 0xf0));
}

// Two pieces of 16 bytes.
inline __m256i load_pair(const uint8_t* first, const uint8_t* second) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(first)), load_16(second), 1);
}
// The nibbles of bytes.
inline __m256i low_nibbles(__m256i bytes) {
    return _mm256_and_si256(bytes, _mm256_set1_epi8(0x0f));
}
inline __m256i high_nibbles(__m256i bytes) {
    return low_nibbles(_mm256_srli_epi16(bytes, 4));
}

// The bits of 16 bytes twice, moved up by kLow places in the lower and by kHigh in the upper half; they
// leave and enter by their neighbours.
template <int kLow, int kHigh>
__m256i spread_bits(const uint8_t* at) {
    static_assert((kLow > 0 && kHigh > 0) || (kLow <= 0 && kHigh <= 0));
    const __m256i twice = _mm256_broadcastsi128_si256(load_16(at));
    if constexpr (kLow > 0) {
        return _mm256_sllv_epi32(
            twice, _mm256_setr_epi32(kLow, kLow, kLow, kLow, kHigh, kHigh, kHigh, kHigh));
    } else {
        return _mm256_srlv_epi32(
            twice, _mm256_setr_epi32(-kLow, -kLow, -kLow, -kLow, -kHigh, -kHigh, -kHigh, -kHigh));
    }
}
// The nibbles of 16 bytes: low ones, then high ones.
inline __m256i spread_nibbles(const uint8_t* at) {
    return low_nibbles(spread_bits<0, -4>(at));
}

// Q5_0 and Q5_1 keep the fifth bit of element j in bit j of four bytes: those of two blocks, where
// they belong in crossed blocks.
inline void join_fifths(const uint8_t* first, const uint8_t* second, __m256i& low, __m256i& high) {
    const __m256i bits = _mm256_setr_m128i(_mm_set1_epi32(load_word<int32_t>(first)),
                                           _mm_set1_epi32(load_word<int32_t>(second)));
    const __m256i bit_of = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const auto join = [&](__m256i nibbles, __m256i byte_of) {
        const __m256i fifth = _mm256_and_si256(_mm256_shuffle_epi8(bits, byte_of), bit_of);
        const __m256i is_set = _mm256_cmpeq_epi8(fifth, bit_of);
        return _mm256_or_si256(nibbles, _mm256_and_si256(is_set, _mm256_set1_epi8(0x10)));
    };
    low = join(low, _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101));
    high = join(high, _mm256_setr_epi64x(0x0202020202020202, 0x0303030303030303, 0x0202020202020202,
                                         0x0303030303030303));
}

// Those bits of bytes that the mask has, after they moved up by kUp places.
template <int kUp>
__m256i pick_bits(__m256i bytes, int8_t mask) {
    const __m256i moved = kUp >= 0 ? _mm256_slli_epi16(bytes, kUp) : _mm256_srli_epi16(bytes, -kUp);
    return _mm256_and_si256(moved, _mm256_set1_epi8(mask));
}

// The signed values of IQ4_NL and IQ4_XS, by nibble.
inline __m256i look_up_iq4(__m256i nibbles) {
    const __m128i values =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), nibbles);
}

// Q4_K and Q5_K: an F16 scale and an F16 that is subtracted, and eight pairs of 6 bits that multiply
// them.
struct KFactors {
    __m256 scale;
    __m128i sub_scales;
    __m256 scales;
    __m256 minimums;

    void load_factors(const uint8_t* block) {
        constexpr uint32_t kLow4 = 0x0f0f0f0f;  // in each of 4 bytes
        constexpr uint32_t kLow6 = 0x3f3f3f3f;
        constexpr uint32_t kBits45 = 0x30303030;
        const auto join = [](uint32_t first, uint32_t second) {
            return _mm_cvtsi64_si128(static_cast<int64_t>(uint64_t{second} << 32 | first));
        };
        const auto a = load_word<uint32_t>(block + 4);
        const auto b = load_word<uint32_t>(block + 8);
        const auto c = load_word<uint32_t>(block + 12);
        scale = load_half(block);
        sub_scales = join(a & kLow6, (c & kLow4) | (a >> 2 & kBits45));
        scales = _mm256_mul_ps(scale, signed_floats(sub_scales));
        minimums =
            _mm256_mul_ps(_mm256_sub_ps(_mm256_setzero_ps(), load_half(block + 2)),
                          signed_floats(join(b & kLow6, (c >> 4 & kLow4) | (b >> 2 & kBits45))));
    }
};

}  // namespace
}  // namespace puna::core
