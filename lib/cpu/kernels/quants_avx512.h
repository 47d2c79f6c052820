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
//   static constexpr bool kPairs;                  // it has `pair`, and `eight_at`
//   Factors<kWideScales> scales, minimums;         // lane i: of block i, or of group i
//   __m512 factors;                                // if scales are wide and there are minimums: both
//   static constexpr int64_t kFactorAt;            // at most 8 levels and scales for 16 elements: see below
//   static __m128i integer_scales(const uint8_t* at);
//   void open(const uint8_t* at);
//   static SixteenFactors open_two(const uint8_t* at);  // if scales are wide
//   template <int kQuad> static __m512i quants(const uint8_t* at);
//   template <int kPair> static void pair(const uint8_t* at, __m512i& first, __m512i& second);
//   static constexpr int eight_at(int slot);
//   template <class Put> static void fours(const SixteenRows& rows, const Put& put);
//   template <class PutScale, class PutMinimum>    // or not
//   static void factors_of_rows(const SixteenRows& rows, const PutScale& scale, const PutMinimum& minimum);
// `open` gives the scales and minimums of the chunk at `at`, `open_two` those of two chunks; `quants` gives the
// elements 64 kQuad .. 64 kQuad + 63 of a chunk in order. `pair` gives half of it in whatever order costs least,
// as long as the same eight bytes of both vectors meet the same scale: then their products take half of the
// scaling. Slot 16 kPair + i is those of `first` from 8 i on, slot 16 kPair + 8 + i those of `second`; eight_at
// says which elements they are: slot of eight_at(s) is s, it has the elements 8 eight_at(s) .. 8 eight_at(s) + 7.
// `fours` gives the elements 4 i .. 4 i + 3 of the chunks of 16 rows, a lane each: put(i, quants), in whatever order.
// `factors_of_rows` does the same with the scales and minimums of block or group i, if that is faster than `open`.
// `integer_scales` are signed bytes, which times the F16 number at kFactorAt are the scales.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kChunk = 256;
constexpr int kGroups = 16;  // of 16 elements in a chunk
constexpr int kQuads = 4;    // of 4 groups, a vector of bytes

// Orders of pairs: `first` has the first halves of blocks of 32, `second` the second halves ..
constexpr int halves_apart(int slot) {
    const int block = slot / 16 * 4 + slot % 8 / 2;
    return block * 4 + slot / 8 % 2 * 2 + slot % 2;
}
// .. or the same, but exchanged in every second block.
constexpr int halves_crossed(int slot) {
    return halves_apart(slot) ^ slot / 2 % 2 * 2;
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

// Bytes that depend on where they are, for shuffles of bytes.
struct Bytes {
    alignas(64) uint8_t of[64];

    operator __m512i() const { return _mm512_load_si512(of); }
};
template <class ByteAt>
constexpr Bytes make_bytes(ByteAt byte_at) {
    Bytes bytes = {};
    for (int i = 0; i < 64; ++i) bytes.of[i] = static_cast<uint8_t>(byte_at(i));
    return bytes;
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
inline uint64_t load_u64(const uint8_t* at) {
    uint64_t value;
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

// Pairs of bytes, each from where byte_at(i) says. Processors of Intel move bytes in one operation and words in two.
struct WordPlaces {
    alignas(64) uint16_t of[32];

    operator __m512i() const { return _mm512_load_si512(of); }
};
template <class ByteAt>
constexpr WordPlaces make_word_places(ByteAt byte_at) {
    WordPlaces words = {};
    for (int i = 0; i < 32; ++i) {
        const auto at = static_cast<uint32_t>(byte_at(i));
#ifdef __AVX512VBMI__
        words.of[i] = static_cast<uint16_t>(at % 64 | (at + 1) % 64 << 8);
#else
        words.of[i] = static_cast<uint16_t>(at / 2 % 32);
#endif
    }
    return words;
}
inline __m512i move_words(__m512i from, __m512i v) {
#ifdef __AVX512VBMI__
    return _mm512_permutexvar_epi8(from, v);
#else
    return _mm512_permutexvar_epi16(from, v);
#endif
}
// Only those of kWhich, into `old`.
template <uint32_t kWhich>
__m512i move_words(__m512i old, __m512i from, __m512i v) {
#ifdef __AVX512VBMI__
    constexpr uint64_t kBytes = [] {
        uint64_t bytes = 0;
        for (int i = 0; i < 32; ++i) bytes |= uint64_t{kWhich >> i & 1} * 3 << 2 * i;
        return bytes;
    }();
    return _mm512_mask_permutexvar_epi8(old, kBytes, from, v);
#else
    return _mm512_mask_permutexvar_epi16(old, kWhich, from, v);
#endif
}

// Of four blocks the 16 bytes from kAt on. What 64 bytes hold is moved by words, for they hold the factors as well:
// loads that cross a cache line are scarcer than shuffles. Inserts of 16 bytes into half of a vector cost half
// of what masked broadcasts do on Zen 4.
template <int64_t kBlockBytes, int64_t kAt>
__m512i load_fours(const uint8_t* blocks) {
    const auto load = [&](int i) { return load_16(blocks + i * kBlockBytes + kAt); };
    if constexpr (kBlockBytes % 2 == 0 && kAt + 2 * kBlockBytes + 16 <= 64) {
        static constexpr WordPlaces kFrom =
            make_word_places([](int i) { return i / 8 * kBlockBytes + kAt + i % 8 * 2; });
        const __m512i three = move_words(kFrom, _mm512_loadu_si512(blocks));
        return _mm512_inserti32x4(three, load(3), 3);
    } else {
        const auto pair = [&](int i) {
            return _mm256_inserti128_si256(_mm256_castsi128_si256(load(i)), load(i + 1), 1);
        };
        return _mm512_inserti64x4(_mm512_castsi256_si512(pair(0)), pair(2), 1);
    }
}

// The second lane, in all.
inline __m512 spread_second(__m128 v) {
    return _mm512_permutexvar_ps(_mm512_set1_epi32(1), _mm512_castps128_ps512(v));
}
// The F16 at `at`, to be spread as a float: conversions of whole vectors cost more.
inline __m128 load_half(const uint8_t* at) {
    return _mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(at)));
}
// The last F16 of a block that ends at `end`, in all lanes: conversions out of memory cost least.
inline __m512 spread_last_half(const uint8_t* end) {
    const __m128 four = _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(end - 8)));
    return _mm512_permutexvar_ps(_mm512_set1_epi32(3), _mm512_castps128_ps512(four));
}

// The F16 numbers at the beginning of kBlocks blocks, kPerBlock of each: the first of all, then the second of all. Out
// of as few loads of 64 bytes as hold them, all within the blocks.
template <int64_t kBlockBytes, int kBlocks, int kPerBlock>
struct Halves {
    static constexpr int kPerLoad = (64 - 2 * kPerBlock) / kBlockBytes + 1;
    static constexpr int kLoads = (kBlocks + kPerLoad - 1) / kPerLoad;
    static_assert(kBlockBytes % 2 == 0 && kBlocks * kPerBlock <= 32);

    static __m512i load(const uint8_t* blocks) {
        __m512i halves;
        add<0>(blocks, halves);
        return halves;
    }

  private:
    static constexpr int64_t offset(int load) {
        const int64_t first = load * kPerLoad * kBlockBytes;
        const int64_t last = kBlocks * kBlockBytes - 64;
        return first < last ? first : last;
    }
    // The words that load kLoad has.
    static constexpr uint32_t which(int load) {
        const uint64_t blocks = ((uint64_t{1} << kPerLoad) - 1) << load * kPerLoad;
        const uint64_t in_range = blocks & ((uint64_t{1} << kBlocks) - 1);
        return static_cast<uint32_t>(kPerBlock == 1 ? in_range : in_range | in_range << kBlocks);
    }
    template <int kLoad>
    [[gnu::always_inline]] static void add(const uint8_t* blocks, __m512i& halves) {
        static constexpr WordPlaces kFrom = make_word_places(
            [](int i) { return i % kBlocks * kBlockBytes + i / kBlocks * 2 - offset(kLoad); });
        const __m512i bytes = _mm512_loadu_si512(blocks + offset(kLoad));
        halves =
            kLoad == 0 ? move_words(kFrom, bytes) : move_words<which(kLoad)>(halves, kFrom, bytes);
        if constexpr (kLoad + 1 < kLoads) add<kLoad + 1>(blocks, halves);
    }
};
// Those of eight blocks, of which each has one.
template <int64_t kBlockBytes>
[[gnu::always_inline]] inline __m256 load_halves(const uint8_t* blocks) {
    using HalvesOf = Halves<kBlockBytes, 8, 1>;
    if constexpr (HalvesOf::kLoads > 3) {
        const auto pair = [blocks](int64_t i) {
            const uint8_t* at = blocks + i * kBlockBytes;
            return _mm_unpacklo_epi16(
                _mm_cvtsi32_si128(static_cast<int32_t>(load_u32(at))),
                _mm_cvtsi32_si128(static_cast<int32_t>(load_u32(at + kBlockBytes))));
        };
        const __m128i low = _mm_unpacklo_epi32(pair(0), pair(2));
        const __m128i high = _mm_unpacklo_epi32(pair(4), pair(6));
        return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
    } else {
        return _mm256_cvtph_ps(_mm512_castsi512_si128(HalvesOf::load(blocks)));
    }
}

// What a vector holds of: 16 blocks of 32 elements, or 16 groups of 16.
struct SixteenFactors {
    __m512 scales;
    __m512 minimums;  // if there are any
};
inline __m512 join_halves(__m256 low, __m256 high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
// Of two chunks of a format with wide scales.
template <class Format>
[[gnu::always_inline]] inline SixteenFactors open_each(const uint8_t* at) {
    Format first;
    Format second;
    first.open(at);
    second.open(at + bytes_of<Format>(kChunk));
    return {join_halves(first.scales, second.scales), _mm512_setzero_ps()};
}
// The same for blocks that begin with an F16 scale, or with a scale and a minimum.
template <int64_t kBlockBytes>
[[gnu::always_inline]] inline SixteenFactors load_scales(const uint8_t* blocks) {
    const __m512i halves = Halves<kBlockBytes, 16, 1>::load(blocks);
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_setzero_ps()};
}
template <int64_t kBlockBytes>
[[gnu::always_inline]] inline SixteenFactors load_scales_and_minimums(const uint8_t* blocks) {
    const __m512i halves = Halves<kBlockBytes, 16, 2>::load(blocks);
    return {_mm512_cvtph_ps(_mm512_castsi512_si256(halves)),
            _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))};
}

// How far up bits lie in the bytes of each piece of 8.
struct Shifts {
    alignas(64) int64_t of[8];

    constexpr Shifts up_by(int64_t n) const {
        Shifts more = {};
        for (int i = 0; i < 8; ++i) more.of[i] = of[i] + n;
        return more;
    }
    // For rotations to the right, which negative numbers turn to the left.
    constexpr Shifts turned() const {
        Shifts in_range = {};
        for (int i = 0; i < 8; ++i) in_range.of[i] = of[i] & 63;
        return in_range;
    }
    operator __m512i() const { return _mm512_load_si512(of); }
};
constexpr Shifts all_by(int64_t n) {
    return {{n, n, n, n, n, n, n, n}};
}
// One for each half of a vector, or in turn for its groups of 16 bytes.
constexpr Shifts halves_by(int64_t low, int64_t high) {
    return {{low, low, low, low, high, high, high, high}};
}
constexpr Shifts groups_by(int64_t even, int64_t odd) {
    return {{even, even, odd, odd, even, even, odd, odd}};
}

#ifdef __GFNI__
// GF2P8AFFINEQB takes each bit of a byte from where its matrix says, so that it shifts and masks at once:
// a matrix for kWidth bits that go from `from` on to bit kTo and up.
template <int kWidth, int kTo, Shifts kFrom>
constexpr Shifts bit_matrix() {
    Shifts matrix = {};
    for (int i = 0; i < 8; ++i) {
        for (int bit = 0; bit < kWidth; ++bit) {
            const int row = 7 - (kTo + bit);
            matrix.of[i] |= static_cast<int64_t>(uint64_t{1} << (8 * row + kFrom.of[i] + bit));
        }
    }
    return matrix;
}
template <int kWidth, int kTo, Shifts kFrom>
[[gnu::always_inline]] inline __m512i move_bits(__m512i v) {
    constexpr Shifts kMatrix = bit_matrix<kWidth, kTo, kFrom>();
    return _mm512_gf2p8affine_epi64_epi8(v, kMatrix, 0);
}
#endif

constexpr bool is_zero(const Shifts& shifts) {
    for (const int64_t n : shifts.of) {
        if (n != 0) return false;
    }
    return true;
}
template <int kWidth>
inline __m512i lowest_bits(__m512i v) {
    return _mm512_and_si512(v, _mm512_set1_epi8((1 << kWidth) - 1));
}
template <Shifts kFrom>
inline __m512i shift_down(__m512i v) {
    if constexpr (is_zero(kFrom)) return v;
    constexpr Shifts kBy = kFrom;
    return _mm512_srlv_epi64(v, kBy);
}

// In each byte the kWidth bits of v from kFrom on.
template <int kWidth, Shifts kFrom>
[[gnu::always_inline]] inline __m512i take_bits(__m512i v) {
#ifdef __GFNI__
    if constexpr (!is_zero(kFrom)) return move_bits<kWidth, 0, kFrom>(v);
#endif
    return lowest_bits<kWidth>(shift_down<kFrom>(v));
}
// The same, and above them kHighWidth bits of `high`.
template <int kWidth, Shifts kFrom, int kHighWidth, Shifts kHighFrom>
[[gnu::always_inline]] inline __m512i join_bits(__m512i v, __m512i high) {
#ifdef __GFNI__
    return _mm512_or_si512(take_bits<kWidth, kFrom>(v),
                           move_bits<kHighWidth, kWidth, kHighFrom>(high));
#else
    constexpr Shifts kTurn = kHighFrom.up_by(-kWidth).turned();
    const __m512i chosen =
        _mm512_ternarylogic_epi32(_mm512_set1_epi8((1 << kWidth) - 1), shift_down<kFrom>(v),
                                  _mm512_rorv_epi64(high, kTurn), 0xca);
    return lowest_bits<kWidth + kHighWidth>(chosen);
#endif
}

// Bytes times signed bytes, as words.
struct ByteProducts {
    __m512i even;
    __m512i odd;

    [[gnu::always_inline]] ByteProducts(__m512i bytes, __m512i factors)
        : even(_mm512_maddubs_epi16(_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)), factors)),
          odd(_mm512_maddubs_epi16(
              _mm512_and_si512(bytes, _mm512_set1_epi16(static_cast<int16_t>(0xff00))), factors)) {}
    // Their bytes in order.
    [[gnu::always_inline]] __m512i low() const {
        return _mm512_mask_blend_epi8(kOdd, even, _mm512_slli_epi16(odd, 8));
    }
    [[gnu::always_inline]] __m512i high() const {
        return _mm512_mask_blend_epi8(kOdd, _mm512_srli_epi16(even, 8), odd);
    }

  private:
    static constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
};

// 32 bytes, twice.
inline __m512i load_twice(const uint8_t* at) {
    return _mm512_broadcast_i64x4(load_32(at));
}
// Nibbles of blocks of 32 in 16 bytes: low ones are the elements 0 .. 15, high ones 16 .. 31.
inline __m512i low_nibbles(__m512i bytes) {
    return lowest_bits<4>(bytes);
}
inline __m512i high_nibbles(__m512i bytes) {
    return take_bits<4, all_by(4)>(bytes);
}
// Those of two blocks in order.
inline __m512i spread_nibbles(const uint8_t* first, const uint8_t* second) {
    const __m512i twice =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_broadcastsi128_si256(load_16(first))),
                           _mm256_broadcastsi128_si256(load_16(second)), 1);
    return take_bits<4, groups_by(0, 4)>(twice);
}
// Q5_0 and Q5_1 keep the fifth bit of element j in bit j of four bytes, kBits bytes after the beginning of
// a block, and the nibbles behind them.
template <int64_t kBlockBytes, int64_t kBits>
struct FifthBits {
    // Elements of two blocks in order.
    static __m512i in_order(const uint8_t* first) {
        const uint8_t* second = first + kBlockBytes;
        return join(spread_nibbles(first + kNibbles, second + kNibbles),
                    load_u32(first + kBits) | static_cast<uint64_t>(load_u32(second + kBits))
                                                  << 32);
    }
    // Of four blocks the first halves and the second.
    static void halves(const uint8_t* four, __m512i& first, __m512i& second) {
        const __m512i bytes = load_fours<kBlockBytes, kNibbles>(four);
        first = join(low_nibbles(bytes), half_words(four + kBits));
        second = join(high_nibbles(bytes), half_words(four + kBits + 2));
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
// Neighbouring pieces of 8 bytes change places.
inline __m512i exchange_eights(__m512i v) {
    return _mm512_shuffle_epi32(v, _MM_PERM_BADC);
}
// Groups of 16 bytes change places with their neighbours.
inline __m512i exchange_groups(__m512i v) {
    return _mm512_shuffle_i32x4(v, v, _MM_SHUFFLE(2, 3, 0, 1));
}

// Nibbles of Q4_K and Q5_K: low ones of 32 bytes are a block of 32, high ones the next. From 64 bytes,
// `first` in the order of halves_crossed takes them from here; `second` takes the others, and its groups
// change places then.
constexpr Shifts kFirstNibbles = groups_by(0, 4);
constexpr Shifts kSecondNibbles = groups_by(4, 0);

// K-quants with a scale for 16 elements: pieces of 8 bytes are taken from other bits than their neighbours,
// then neighbours change places, and the same is done again. So both halves of a group of 16 are in the same
// place of `first` and `second`.
//
// 32 bytes, twice, that hold 2 bits of 128 elements, those of 32 in a row in all bytes.
constexpr Shifts kTwoBits = {{0, 2, 0, 2, 4, 6, 4, 6}};
constexpr int eight_of_two_bits(int slot) {
    const int i = slot % 8;
    const int thirty_two = i / 4 * 2 + i % 2;
    return slot / 16 * 16 + thirty_two * 4 + i / 2 % 2 * 2 + (i + slot / 8) % 2;
}

// The values of IQ4_NL and IQ4_XS plus 128, by nibble; bit 7 of the bytes must be clear.
inline __m512i look_up_iq4(__m512i nibbles) {
    const __m128i values =
        _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(values), nibbles);
}

// Q4_K and Q5_K begin with an F16 scale, an F16 that is subtracted, and eight pairs of 6 bits that multiply them: dwords a,
// b and c hold six bits of four scales each and of four minimums each, the last four of both in the nibbles of c
// and the top bits of a and b.
//
// The scales are the lanes 0 .. 7 of the result, the minimums the others.
inline __m512 load_k_factors(const uint8_t* block) {
    const __m128i bytes = load_16(block);
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 2, 3, 1)),
                                     _mm_setr_epi32(0, 0, 0, 4)),
                      _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f));
    const __m128i high =
        _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(bytes, _MM_SHUFFLE(2, 2, 1, 1)), 2),
                      _mm_setr_epi32(0, 0x30303030, 0, 0x30303030));
    const __m512 six = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_or_si128(low, high)));
    constexpr Lanes kHalves = make_lanes([](int lane) { return lane / 8; });
    const __m128 halves = _mm_cvtph_ps(_mm_xor_si128(bytes, _mm_cvtsi32_si128(INT32_MIN)));
    return _mm512_mul_ps(six, _mm512_permutexvar_ps(kHalves, _mm512_castps128_ps512(halves)));
}
// Those of two blocks.
inline SixteenFactors load_k_factors_of_two(const uint8_t* first, const uint8_t* second) {
    const __m256i bytes =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(first)), load_16(second), 1);
    // a c of both blocks, then b c of both.
    const __m256i low = _mm256_and_si256(
        _mm256_srlv_epi32(
            _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(1, 3, 5, 7, 2, 3, 6, 7)),
            _mm256_setr_epi32(0, 0, 0, 0, 0, 4, 0, 4)),
        _mm256_set1_epi64x(0x0f0f0f0f3f3f3f3f));
    const __m256i high = _mm256_srli_epi32(
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(1, 1, 5, 5, 2, 2, 6, 6)), 2);
    const __m256i six =
        _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi64x(0x3030303000000000)));
    const auto times = [](__m128i integers, __m512 factors) {
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(integers)), factors);
    };
    constexpr Lanes kScales = make_lanes([](int lane) { return lane / 8 * 8; });
    constexpr Lanes kMinimums = make_lanes([](int lane) { return lane / 8 * 8 + 1; });
    const __m512 halves = _mm512_cvtph_ps(
        _mm256_xor_si256(bytes, _mm256_set1_epi64x(static_cast<int64_t>(0x80000000))));
    return {times(_mm256_castsi256_si128(six), _mm512_permutexvar_ps(kScales, halves)),
            times(_mm256_extracti128_si256(six, 1), _mm512_permutexvar_ps(kMinimums, halves))};
}

}  // namespace
}  // namespace puna::core
