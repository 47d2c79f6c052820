// Quantised weights in AVX-512: what a format tells the kernels that multiply it, and what formats have
// in common.
//
// Rows are taken apart in chunks of 256 elements, in 16 groups of 16. An element is
// scale * (quant - kOffset) + minimum, with quants from 0 to at most 255; either a group has a scale and a minimum,
// or a block of two groups, 2 i and 2 i + 1.
//
// A format is a struct with
//   static constexpr int64_t kBlock, kBlockBytes;  // elements of a block, a divisor of kChunk
//   static constexpr bool kWideScales;             // blocks of 32 have them
//   static constexpr int kOffset;                  // 0 or a power of two
//   static constexpr int kLevels;                  // quants are less
//   static constexpr bool kHasMinimums;            // then kOffset is 0
//   static constexpr Order kOrder;                 // in which `pair` gives elements
//   Factors<kWideScales> scales, minimums;         // lane i: of block i, or of group i
//   void open(const uint8_t* at);
//   template <int kQuad> __m512i quants() const;
//   template <int kPair> void pair(__m512i& first, __m512i& second) const;  // unless kOrder is kPlain
// `open` prepares the chunk at `at`; `quants` gives the elements 64 kQuad .. 64 kQuad + 63 in order. `pair`
// gives four blocks of 32 from 4 kPair on, so that group i of 16 bytes of both vectors is of block
// 4 kPair + i: their products take half of the scaling.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kChunk = 256;
constexpr int kGroups = 16;  // of 16 elements in a chunk
constexpr int kQuads = 4;    // of 4 groups, a vector of bytes

enum class Order {
    kPlain,
    kApart,    // `first` has the first halves of blocks, `second` the second halves
    kCrossed,  // the same, but exchanged in every second block
};
// Where group g of a chunk is among the groups.
template <Order kOrder>
constexpr int slot_of(int g) {
    if (kOrder == Order::kPlain) return g;
    const int block = g / 2 % 4;
    const int half = kOrder == Order::kCrossed ? (g + block) % 2 : g % 2;
    return g / 8 * 8 + half * 4 + block;
}

template <bool kWide>
struct FactorsOf {
    using Vector = __m256;
};
template <>
struct FactorsOf<false> {
    using Vector = __m512;
};
template <bool kWide>
using Factors = typename FactorsOf<kWide>::Vector;

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

// 16 bytes each, kStride apart. Inserts of 16 bytes into half of a vector cost half of what masked
// broadcasts do on Zen 4.
template <int64_t kStride>
__m512i load_fours(const uint8_t* at) {
    const auto pair = [](const uint8_t* first) {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(first)),
                                       load_16(first + kStride), 1);
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(pair(at)), pair(at + 2 * kStride), 1);
}

// The F16 at `at`, to be spread as a float: conversions of whole vectors cost more.
inline __m128 load_half(const uint8_t* at) {
    return _mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(at)));
}

// Each bit from `a` where the mask has it, else from `b`.
inline __m512i choose_bits(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

// The F16 numbers kAt bytes after the beginning of eight blocks. Loads of four bytes cost less than those
// that insert two.
template <int64_t kBlockBytes, int64_t kAt>
__m256 load_halves(const uint8_t* blocks) {
    static_assert(kAt + 4 <= kBlockBytes);
    const auto pair = [blocks](int64_t i) {
        const uint8_t* at = blocks + i * kBlockBytes + kAt;
        return _mm_unpacklo_epi16(
            _mm_cvtsi32_si128(static_cast<int32_t>(load_u32(at))),
            _mm_cvtsi32_si128(static_cast<int32_t>(load_u32(at + kBlockBytes))));
    };
    const __m128i low = _mm_unpacklo_epi32(pair(0), pair(2));
    const __m128i high = _mm_unpacklo_epi32(pair(4), pair(6));
    return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
}

// Nibbles of blocks of 32 in 16 bytes: low ones are the elements 0 .. 15, high ones 16 .. 31. Those of
// two blocks in order; bits 4 .. 7 of the bytes hold anything.
inline __m512i spread_nibbles(const uint8_t* first, const uint8_t* second) {
    constexpr Lanes kShifts = make_lanes([](int lane) { return lane / 4 % 2 * 4; });
    const __m512i twice =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_broadcastsi128_si256(load_16(first))),
                           _mm256_broadcastsi128_si256(load_16(second)), 1);
    return _mm512_srlv_epi32(twice, kShifts);
}
inline __m512i low_nibbles(__m512i bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(0x0f));
}
// Q5_0 and Q5_1 keep the fifth bit of element j in bit j of four bytes, kBits bytes after the beginning of
// a block, and the nibbles behind them.
template <int64_t kBlockBytes, int64_t kBits>
struct FifthBits {
    // Elements of two blocks in order.
    static __m512i in_order(const uint8_t* first) {
        const uint8_t* second = first + kBlockBytes;
        return join(low_nibbles(spread_nibbles(first + kNibbles, second + kNibbles)),
                    load_u32(first + kBits) | static_cast<uint64_t>(load_u32(second + kBits))
                                                  << 32);
    }
    // Of four blocks the first halves and the second.
    static void halves(const uint8_t* four, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes>(four + kNibbles);
        first = join(low_nibbles(bytes), half_words(four + kBits));
        second = join(low_nibbles(_mm512_srli_epi32(bytes, 4)), half_words(four + kBits + 2));
    }

  private:
    static constexpr int64_t kNibbles = kBits + 4;

    static __m512i join(__m512i nibbles, uint64_t bits) {
        return _mm512_mask_add_epi8(nibbles, bits, nibbles, _mm512_set1_epi8(0x10));
    }
    static uint64_t half_words(const uint8_t* at) {
        const auto word = [at](int i) {
            return static_cast<uint64_t>(load_u16(at + i * kBlockBytes)) << 16 * i;
        };
        return word(0) | word(1) | word(2) | word(3);
    }
};
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

// Nibbles of K-quants: low ones of 32 bytes are a block of 32, high ones the next. From 64 bytes, as
// Order::kCrossed has them, but for `second`, whose blocks are to be exchanged still; bits 4 .. 7 of the
// bytes hold anything.
inline void spread_pair(const uint8_t* at, __m512i& first, __m512i& second) {
    constexpr Lanes kFirst = make_lanes([](int lane) { return lane / 4 % 2 * 4; });
    constexpr Lanes kSecond = make_lanes([](int lane) { return 4 - lane / 4 % 2 * 4; });
    const __m512i bytes = _mm512_loadu_si512(at);
    first = _mm512_srlv_epi32(bytes, kFirst);
    second = _mm512_srlv_epi32(bytes, kSecond);
}
// Groups of 16 bytes change places with their neighbours.
inline __m512i exchange_pairs(__m512i v) {
    return _mm512_shuffle_i32x4(v, v, _MM_SHUFFLE(2, 3, 0, 1));
}

// The values of IQ4_NL and IQ4_XS plus 128, by nibble; bit 7 of the bytes must be clear.
inline __m512i look_up_iq4(__m512i nibbles) {
    const __m128i values =
        _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), nibbles);
}

// Q4_K and Q5_K: an F16 scale and an F16 that is subtracted, and eight pairs of 6 bits that multiply
// them.
inline void load_k_factors(const uint8_t* block, __m256& scales, __m256& minimums) {
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
    const __m128i six = _mm_or_si128(low, high);
    const __m128 halves = _mm_cvtph_ps(_mm_xor_si128(bytes, _mm_cvtsi32_si128(INT32_MIN)));
    const auto floats = [](__m128i v) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v)); };
    scales = _mm256_mul_ps(_mm256_broadcastss_ps(halves), floats(six));
    minimums = _mm256_mul_ps(_mm256_broadcastss_ps(_mm_movehdup_ps(halves)),
                             floats(_mm_unpackhi_epi64(six, six)));
}

}  // namespace
}  // namespace puna::core
