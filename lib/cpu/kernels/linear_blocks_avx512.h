// The AVX-512 linear kernel for quantised weights, written once for all formats.
//
// It goes through a row in steps: a chunk of 256 elements, or two, for which the scales of weights fill a vector of 16.
// Weights stay the bytes of their format
// (quants_avx512.h), and VNNI adds four products of such a byte with a signed one. Activations are
// rounded to 16 bits in blocks of 32 with a scale of their own, which changes one by 1/65278 of the largest
// of its block at most. They are multiplied as two signed bytes each, so that sums of products are exact
// integers until they meet their scales.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/linear_spans.h"
#include "cpu/kernels/linear_tile_avx512.h"
#include "cpu/kernels/quants_avx512.h"

namespace puna::core {
namespace {

// ---- Activations --------------------------------------------------------------------------------

inline __m512i larger(__m512i a, __m512i b) {
    return _mm512_max_epu32(a, b);
}
inline __m512i sum(__m512i a, __m512i b) {
    return _mm512_add_epi32(a, b);
}

// Lane 4 j + i of the result: the lanes 4 j .. 4 j + 3 of v[i], joined by `join`.
template <class Join>
[[gnu::always_inline]] inline __m512i join_fours(const __m512i* v, Join join) {
    const __m512i a = join(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    const __m512i b = join(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return join(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
// Lane 4 k + i of the result: the lanes i, 4 + i, 8 + i and 12 + i of v[k], joined.
template <class Join>
[[gnu::always_inline]] inline __m512i join_quarters(const __m512i (&v)[kQuads], Join join) {
    const __m512i a =
        join(_mm512_shuffle_i32x4(v[0], v[1], 0x44), _mm512_shuffle_i32x4(v[0], v[1], 0xee));
    const __m512i b =
        join(_mm512_shuffle_i32x4(v[2], v[3], 0x44), _mm512_shuffle_i32x4(v[2], v[3], 0xee));
    return join(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

// The eight elements 8 i .. 8 i + 7 of a chunk that are in a slot of 8 bytes: i.
template <class Format>
constexpr int eight_at(int slot) {
    if constexpr (Format::kPairs) {
        return Format::eight_at(slot);
    } else {
        return slot;
    }
}

// Activations that meet one vector of quants, or two that share a sum.
template <int kCount>
struct QuadsOfX {
    __m512i high[kCount];
    __m512i low[kCount];

    QuadsOfX(const int8_t* highs, const int8_t* lows, int first) {
        for (int i = 0; i < kCount; ++i) {
            high[i] = _mm512_load_si512(highs + (first + i) * 64);
            low[i] = _mm512_load_si512(lows + (first + i) * 64);
        }
    }
    // For weight rows that pass together.
    void stay_in_registers() {
        for (int i = 0; i < kCount; ++i) {
            stay_in_register(high[i]);
            stay_in_register(low[i]);
        }
    }
    // Lane 4 i + j: the products of the bytes 4 j .. 4 j + 3 of group i of each vector, exact. At most
    // 8 * 255 * 2^15, so they fit.
    __m512i multiply(const __m512i (&quants)[kCount]) const {
        __m512i sum = _mm512_setzero_si512();
        for (int i = 0; i < kCount; ++i) sum = _mm512_dpbusd_epi32(sum, quants[i], high[i]);
        sum = _mm512_slli_epi32(sum, 8);
        for (int i = 0; i < kCount; ++i) sum = _mm512_dpbusd_epi32(sum, quants[i], low[i]);
        return sum;
    }
};

// As many chunks of activations as have 16 scales, as a format's weights meet them: x = scale * (256 * high + low).
template <class Format>
struct alignas(64) StepOfX {
    // The largest magnitude whose high byte is still one after rounding.
    static constexpr float kLargest = 127 * 256 + 127;
    // Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
    static constexpr float kLeast = 0x1p-100f;
    static constexpr int kChunks = Format::kWideScales ? 2 : 1;
    static constexpr int64_t kColumns = kChunks * kChunk;

    int8_t high[kChunks][kChunk];
    int8_t low[kChunks][kChunk];
    __m512 scales;  // lane i: of block i, or of group i
    // What minimums meet: the sums of the activations, as rounded, of a block or a group. Without minimums,
    // that times -kOffset: what quants are too large.
    __m512 sums;

    // The first n elements, a multiple of 16, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
        constexpr int kTimes = Format::kHasMinimums ? 1 : -Format::kOffset;
        Rounded rounded[kChunks];
        for (int i = 0; i < kChunks; ++i) {
            const int64_t left = n - i * kChunk;
            rounded[i] = load_chunk(i, left > 0 ? x + i * kChunk : x, left > 0 ? left : 0);
        }
        __m512i totals;
        if constexpr (Format::kWideScales) {
            constexpr Lanes kBlocks = make_lanes([](int lane) { return 2 * lane; });
            scales = _mm512_mask_mov_ps(rounded[0].scales, 0xff00, rounded[1].scales);
            totals = _mm512_permutex2var_epi32(of_blocks(rounded[0].group_sums), kBlocks,
                                               of_blocks(rounded[1].group_sums));
        } else {
            constexpr Lanes kBlocks = make_lanes([](int lane) { return lane / 2; });
            scales = _mm512_permutexvar_ps(kBlocks, rounded[0].scales);
            totals = rounded[0].group_sums;
        }
        sums = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(totals), scales),
                             _mm512_set1_ps(kTimes));
    }

  private:
    struct Rounded {
        __m512 scales;  // lanes b and 8 + b: of block b
        __m512i group_sums;
    };

    Rounded load_chunk(int i, const float* x, int64_t n) {
        float rest[kChunk];
        if (n < kChunk) {
            std::memset(rest, 0, sizeof rest);
            std::memcpy(rest, x, static_cast<size_t>(n) * sizeof *x);
            x = rest;
        }
        __m512 values[kGroups];
        for (int g = 0; g < kGroups; ++g) values[g] = _mm512_loadu_ps(x + g * kLanes);
        const __m512 largest = largest_of_blocks(values);
        const __mmask16 is_zero = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kLeast), _CMP_LT_OQ);
        const __m512 factors = _mm512_mask_mov_ps(_mm512_div_ps(_mm512_set1_ps(kLargest), largest),
                                                  is_zero, _mm512_setzero_ps());
        __m512i tops[kQuads];
        __m512i lows[kQuads];
        __m512i totals[kQuads];
        for (int quad = 0; quad < kQuads; ++quad) {
            __m512i rounded[4];
            for (int j = 0; j < 4; ++j) {
                const __m512i block = _mm512_set1_epi32(2 * quad + j / 2);
                const __m512 factor = _mm512_permutexvar_ps(block, factors);
                rounded[j] = _mm512_cvtps_epi32(_mm512_mul_ps(values[4 * quad + j], factor));
            }
            split_bytes(rounded, tops[quad], lows[quad]);
            totals[quad] = total_of_fours(tops[quad], lows[quad]);
        }
        store<0>(high[i], tops);
        store<0>(low[i], lows);
        // Zero, or NaN for infinity, whose scale would not spoil every product.
        const __m512 zero = _mm512_sub_ps(largest, largest);
        return {_mm512_fmadd_ps(largest, _mm512_set1_ps(1.0f / kLargest), zero),
                join_quarters(totals, sum)};
    }
    // The sums of each two groups, in the lanes of both.
    static __m512i of_blocks(__m512i group_sums) {
        return sum(group_sums, _mm512_shuffle_epi32(group_sums, _MM_PERM_CDAB));
    }

    // Lanes b and 8 + b: the largest magnitude of block b.
    static __m512 largest_of_blocks(const __m512 (&values)[kGroups]) {
        // As integers, magnitudes are ordered like floats, and NaN is the largest.
        const auto magnitude = [&](int group) {
            return _mm512_and_si512(_mm512_castps_si512(values[group]),
                                    _mm512_set1_epi32(0x7fffffff));
        };
        __m512i of_lanes[kGroups / 2];
        for (int b = 0; b < kGroups / 2; ++b) {
            of_lanes[b] = larger(magnitude(2 * b), magnitude(2 * b + 1));
        }
        const __m512i first = join_fours(of_lanes, larger);
        const __m512i second = join_fours(of_lanes + 4, larger);
        return _mm512_castsi512_ps(join_quarters({first, second, first, second}, larger));
    }

    // Four groups as 256 * top + low: dword 4 j + i of both has the elements 4 j .. 4 j + 3 of group i.
    static void split_bytes(const __m512i (&rounded)[4], __m512i& tops, __m512i& lows) {
        const __m512i a = _mm512_packs_epi32(rounded[0], rounded[1]);
        const __m512i b = _mm512_packs_epi32(rounded[2], rounded[3]);
        const auto top = [](__m512i words) {
            return _mm512_srai_epi16(_mm512_add_epi16(words, _mm512_set1_epi16(128)), 8);
        };
        const auto low = [](__m512i words) {
            return _mm512_and_si512(words, _mm512_set1_epi16(255));
        };
        tops = _mm512_packs_epi16(top(a), top(b));
        lows = _mm512_packus_epi16(low(a), low(b));
    }
    // The sums of the four elements of each dword.
    static __m512i total_of_fours(__m512i tops, __m512i lows) {
        const __m512i ones = _mm512_set1_epi8(1);
        const __m512i of_tops = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, tops);
        return _mm512_dpbusd_epi32(_mm512_slli_epi32(of_tops, 8), ones, lows);
    }

    // Two vectors of slots come from the same two quads.
    template <int kVector>
    static void store(int8_t* to, const __m512i (&quads)[kQuads]) {
        constexpr int kFirst = kVector / 2 * 2;
        constexpr Lanes kFrom = make_lanes([](int lane) {
            const int eight = eight_at<Format>(8 * kVector + lane / 2) - 8 * kFirst;
            const int group = eight / 2;
            return group / 4 * 16 + (eight % 2 * 2 + lane % 2) * 4 + group % 4;
        });
        _mm512_store_si512(to + 64 * kVector,
                           _mm512_permutex2var_epi32(quads[kFirst], kFrom, quads[kFirst + 1]));
        if constexpr (kVector + 1 < kQuads) store<kVector + 1>(to, quads);
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

inline __m512 widen(__m256 v) {
    return _mm512_zextps256_ps512(v);
}
inline __m512 widen(__m512 v) {
    return v;
}
// The scales and minimums of kColumns columns; zeros if these are half of a step.
template <int64_t kColumns, class Format>
[[gnu::always_inline]] inline SixteenFactors open_factors(const uint8_t* at) {
    if constexpr (Format::kWideScales && kColumns > kChunk) return Format::open_two(at);
    Format w;
    w.open(at);
    SixteenFactors factors = {widen(w.scales), _mm512_setzero_ps()};
    if constexpr (Format::kHasMinimums) factors.minimums = widen(w.minimums);
    return factors;
}

// The scales of weights times those of activations; adds what minimums, or what quants are too large, make.
template <class Format>
[[gnu::always_inline]] inline __m512 meet_factors(const SixteenFactors& w, const StepOfX<Format>& x,
                                                  __m512& sum) {
    if constexpr (Format::kHasMinimums) {
        sum = _mm512_fmadd_ps(w.minimums, x.sums, sum);
    } else if constexpr (Format::kOffset != 0) {
        sum = _mm512_fmadd_ps(w.scales, x.sums, sum);
    }
    return _mm512_mul_ps(w.scales, x.scales);
}

// Adds part kPart of chunk kOfStep of each of kOuts weight rows, of which `at` is the first, with each of kRows rows of
// activations: a quad, or four blocks. scales[o][r] are those of the weights times those of the activations.
template <int kOfStep, int kPart, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_part(const uint8_t* at, int64_t out_bytes,
                                            const StepOfX<Format>* const (&x)[kRows],
                                            const __m512 (&scales)[kOuts][kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr bool kPairs = Format::kPairs;
    constexpr int kCount = kPairs ? 2 : 1;  // of vectors
    constexpr Lanes kScales = make_lanes([](int lane) {
        const int eight = eight_at<Format>(8 * kCount * kPart + lane / 2);
        return Format::kWideScales ? 8 * kOfStep + eight / 4 : eight / 2;
    });
    __m512i quants[kOuts][kCount];
    for (int32_t o = 0; o < kOuts; ++o) {
        if constexpr (kPairs) {
            Format::template pair<kPart>(at + o * out_bytes, quants[o][0], quants[o][1]);
        } else {
            quants[o][0] = Format::template quants<kPart>(at + o * out_bytes);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) {
        QuadsOfX<kCount> quads(x[r]->high[kOfStep], x[r]->low[kOfStep], kCount * kPart);
        if constexpr (kOuts > 1) quads.stay_in_registers();
        for (int32_t o = 0; o < kOuts; ++o) {
            const __m512 products = _mm512_cvtepi32_ps(quads.multiply(quants[o]));
            const __m512 factors = _mm512_permutexvar_ps(kScales, scales[o][r]);
            sums[o][r] = _mm512_fmadd_ps(factors, products, sums[o][r]);
        }
    }
}

template <int kOfStep, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk(const uint8_t* at, int64_t out_bytes,
                                             const StepOfX<Format>* const (&x)[kRows],
                                             const __m512 (&scales)[kOuts][kRows],
                                             __m512 (&sums)[kOuts][kRows]) {
    at += kOfStep * bytes_of<Format>(kChunk);
    add_part<kOfStep, 0>(at, out_bytes, x, scales, sums);
    add_part<kOfStep, 1>(at, out_bytes, x, scales, sums);
    if constexpr (!Format::kPairs) {
        add_part<kOfStep, 2>(at, out_bytes, x, scales, sums);
        add_part<kOfStep, 3>(at, out_bytes, x, scales, sums);
    }
}

// A step, or the first chunk of one.
template <int64_t kColumns, class Format, int32_t kOuts, int32_t kRows, class Ask>
[[gnu::always_inline]] inline void add_columns(const uint8_t* at, int64_t out_bytes,
                                               const StepOfX<Format>* const (&x)[kRows],
                                               __m512 (&sums)[kOuts][kRows], const Ask& ask) {
    ask(0);
    __m512 scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        const SixteenFactors w = open_factors<kColumns, Format>(at + o * out_bytes);
        for (int32_t r = 0; r < kRows; ++r) scales[o][r] = meet_factors(w, *x[r], sums[o][r]);
    }
    add_chunk<0>(at, out_bytes, x, scales, sums);
    if constexpr (kColumns > kChunk) {
        ask(1);
        add_chunk<1>(at, out_bytes, x, scales, sums);
    }
}

struct Spans {
    static constexpr int64_t kLeastColumns = kChunk;
    static constexpr int64_t kPrefetchBytes = core::kPrefetchBytes;
    // Each weight row is a stream of its own from memory. On Zen 4, under one activation row, four streams
    // were 7 % faster than two with up to 5.5 bits a weight, and 10 % slower with Q8_0. Under more rows two
    // were 15 % faster than one, and four would not leave enough registers.
    static constexpr int64_t kMostBytesOfFour = 176;  // Q5_0, Q5_K
    static constexpr int32_t outs(int32_t n_rows, int64_t chunk_bytes) {
        return n_rows == 1 && chunk_bytes <= kMostBytesOfFour ? 4 : 2;
    }
    using Sum = __m512;
    template <class Format>
    using Step = StepOfX<Format>;

    static Sum zero() { return _mm512_setzero_ps(); }
    static float total(Sum sum) { return _mm512_reduce_add_ps(sum); }
    template <class Format>
    static void load(Step<Format>& step, const float* x, int64_t n) {
        step.load(x, n);
    }
    template <int64_t kColumns, class Format, int32_t kOuts, int32_t kRows, class Ask>
    [[gnu::always_inline]] static void add(const uint8_t* at, int64_t out_bytes,
                                           const Step<Format>* const (&x)[kRows],
                                           Sum (&sums)[kOuts][kRows], const Ask& ask) {
        add_columns<kColumns>(at, out_bytes, x, sums, ask);
    }
};

template <class Format>
void multiply_blocks(const LinearBlock& block) {
    multiply_rows_in_spans<Spans, Format>(block);
}

}  // namespace
}  // namespace puna::core
