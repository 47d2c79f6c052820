// Quantised weights in AVX-512: what a format tells the kernels that multiply it, and what formats have
// in common.
//
// Rows are taken apart in chunks of 256 elements, in 16 groups of 16 that each have one scale. An element
// is scale * (quant - kOffset) + minimum, with quants from 0 to 255.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr bool kWideScales;             // groups 2 i and 2 i + 1 share them
//   static constexpr int kOffset;                  // 0 or a power of two
//   static constexpr bool kHasMinimums;            // then kOffset is 0
//   __m512 scales, minimums;                       // lane g: of group g
//   void open(const uint8_t* at);
//   template <int kQuad> __m512i quants() const;
//   static constexpr bool kCrosses;                // with wide scales only: it has `halves`
//   template <int kPair> void halves(__m512i& first, __m512i& second) const;
// `open` prepares the chunk at `at`; `quants` gives the elements 64 kQuad .. 64 kQuad + 63 in order;
// `halves` the first and the second halves of the blocks of 32 from 4 kPair on: four blocks that way take
// half of the scaling, and nibbles come apart so by themselves.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kChunk = 256;
constexpr int kGroups = 16;  // of 16 elements in a chunk
constexpr int kQuads = 4;    // of 4 groups, a vector of bytes

struct Lanes {
    static constexpr int kCount = 16;
    alignas(64) int32_t values[kCount];

    operator __m512i() const { return _mm512_load_si512(values); }
};
template <class ValueOf>
constexpr Lanes make_lanes(ValueOf value_of) {
    Lanes lanes = {};
    for (int lane = 0; lane < Lanes::kCount; ++lane) lanes.values[lane] = value_of(lane);
    return lanes;
}

inline uint16_t load_u16(const uint8_t* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint32_t load_u32(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline __m128i load_16(const uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
inline __m256i load_32(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
// Two pieces of 32 bytes.
inline __m512i load_pair(const uint8_t* first, const uint8_t* second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_32(first)), load_32(second), 1);
}

// 16 bytes each, kStride apart.
template <int64_t kStride>
__m512i load_fours(const uint8_t* at) {
    const __m512i first = _mm512_broadcast_i32x4(load_16(at));
    const __m512i two = _mm512_mask_broadcast_i32x4(first, 0x00f0, load_16(at + kStride));
    const __m512i three = _mm512_mask_broadcast_i32x4(two, 0x0f00, load_16(at + 2 * kStride));
    return _mm512_mask_broadcast_i32x4(three, 0xf000, load_16(at + 3 * kStride));
}

// The F16 at `at`, in all lanes.
inline __m512 splat_half(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(at))));
}

// Each bit from `a` where the mask has it, else from `b`.
inline __m512i choose_bits(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

// Lanes 2 i and 2 i + 1 become lane kFirst + i, for i from 0 to 7: a block of 32 is two groups.
template <int kFirst>
__m512 twice(__m512 v) {
    constexpr Lanes kTwice = make_lanes([](int lane) { return kFirst + lane / 2; });
    return _mm512_permutexvar_ps(kTwice, v);
}

// The F16 numbers kAt bytes after the beginning of eight blocks, each in the lanes of the two groups of
// its block. A vector is loaded for as many blocks as it reaches, without going beyond the last one.
template <int64_t kBlockBytes, int64_t kAt, int64_t kBlock = 0>
__m256i pick_halves(const uint8_t* blocks, __m256i before) {
    constexpr int64_t kPerLoad = (64 - 2 - kAt) / kBlockBytes + 1;
    constexpr int64_t kEnd = kBlock + kPerLoad < 8 ? kBlock + kPerLoad : 8;
    constexpr int64_t kStart =
        kBlock * kBlockBytes + 64 <= 8 * kBlockBytes ? kBlock * kBlockBytes : 8 * kBlockBytes - 64;
    struct Words {
        alignas(64) int16_t values[32] = {};
    };
    constexpr Words kWords = [] {
        Words words;
        for (int64_t g = 2 * kBlock; g < 2 * kEnd; ++g) {
            words.values[g] = static_cast<int16_t>((g / 2 * kBlockBytes + kAt - kStart) / 2);
        }
        return words;
    }();
    constexpr auto kMask = static_cast<__mmask32>((1u << (2 * kEnd)) - (1u << (2 * kBlock)));
    const __m512i picked = _mm512_mask_permutexvar_epi16(_mm512_castsi256_si512(before), kMask,
                                                         _mm512_load_si512(kWords.values),
                                                         _mm512_loadu_si512(blocks + kStart));
    if constexpr (kEnd < 8) {
        return pick_halves<kBlockBytes, kAt, kEnd>(blocks, _mm512_castsi512_si256(picked));
    }
    return _mm512_castsi512_si256(picked);
}
template <int64_t kBlockBytes, int64_t kAt>
__m512 load_halves(const uint8_t* blocks) {
    return _mm512_cvtph_ps(pick_halves<kBlockBytes, kAt>(blocks, _mm256_setzero_si256()));
}

// Nibbles of blocks of 32 in 16 bytes: low ones are the elements 0 .. 15, high ones 16 .. 31. Those of
// two blocks in order; bits 4 .. 7 of the bytes hold anything.
inline __m512i spread_nibbles(const uint8_t* first, const uint8_t* second) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return lane / 4 % 2 * 4; });
    const __m512i twice = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load_16(first)),
                                                      0xff00, load_16(second));
    return _mm512_srlv_epi32(twice, kShifts);
}
inline __m512i low_nibbles(__m512i bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f));
}
// Q5_0 and Q5_1 keep the fifth bit of element j in bit j of four bytes.
inline __m512i join_fifth(__m512i nibbles, const uint8_t* first, const uint8_t* second) {
    const __mmask64 bits = load_u32(first) | static_cast<uint64_t>(load_u32(second)) << 32;
    return _mm512_mask_add_epi8(nibbles, bits, nibbles, _mm512_set1_epi8(0x10));
}
// 32 bytes, shifted right by kLow in the first and by kHigh in the second half.
template <int kLow, int kHigh>
__m512i spread_bits(const uint8_t* at) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return lane < 8 ? kLow : kHigh; });
    return _mm512_srlv_epi32(_mm512_broadcast_i64x4(load_32(at)), kShifts);
}
// The same, but rotated, so that negative numbers shift left.
template <int kLow, int kHigh>
__m512i rotate_bits(const uint8_t* at) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return (lane < 8 ? kLow : kHigh) & 31; });
    return _mm512_rorv_epi32(_mm512_broadcast_i64x4(load_32(at)), kShifts);
}

// The values of IQ4_NL and IQ4_XS plus 128, by nibble; bit 7 of the bytes must be clear.
inline __m512i look_up_iq4(__m512i nibbles) {
    const __m128i values =
        _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), nibbles);
}

// Q4_K and Q5_K: an F16 scale and an F16 that is subtracted, and eight pairs of 6 bits that multiply
// them. The lanes 0 .. 7 become the scales, 8 .. 15 the minimums.
inline __m512 load_k_factors(const uint8_t* block) {
    // The dwords a, b and c behind the factors hold six bits of four scales each and of four
    // minimums each, the last four of both in the nibbles of c and the top bits of a and b.
    const __m128i bytes = load_16(block);
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 2, 3, 1)),
                                     _mm_setr_epi32(0, 0, 0, 4)),
                      _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                      _mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    const __m512 six = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high)));
    const __m128 halves = _mm_cvtph_ps(_mm_xor_si128(bytes, _mm_cvtsi32_si128(INT32_MIN)));
    constexpr Lanes kHalves = make_lanes([](int lane) { return lane / 8; });
    return _mm512_mul_ps(_mm512_permutexvar_ps(kHalves, _mm512_castps128_ps512(halves)), six);
}

}  // namespace
}  // namespace puna::core
