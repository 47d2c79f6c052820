// The AVX-512 linear kernel for quantised weights, written once for all formats.
//
// It goes through a row in chunks of 256 elements. Weights stay the bytes of their format
// (quants_avx512.h), and VNNI adds four products of such a byte with a signed one. Activations are
// rounded to 16 bits in blocks of 32 with a scale of their own, which changes one by 1/65278 of the largest
// of its block at most. They are multiplied as two signed bytes each, so that sums of products are exact
// integers until they meet their scales.
#pragma once

#include <cstdint>
#include <cstring>

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

    template <class Chunk>
    QuadsOfX(const Chunk& x, int first) {
        for (int i = 0; i < kCount; ++i) {
            high[i] = _mm512_load_si512(x.high + (first + i) * 64);
            low[i] = _mm512_load_si512(x.low + (first + i) * 64);
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

// The lanes 0, 2, 4 .. of v.
inline __m256 even_lanes(__m512 v) {
    return _mm256_castsi256_ps(_mm512_cvtepi64_epi32(_mm512_castps_si512(v)));
}
inline __m256 product(__m256 a, __m256 b) {
    return _mm256_mul_ps(a, b);
}
inline __m512 product(__m512 a, __m512 b) {
    return _mm512_mul_ps(a, b);
}
// Zeros above factors of blocks.
inline __m512 widen(__m256 v) {
    return _mm512_zextps256_ps512(v);
}
inline __m512 widen(__m512 v) {
    return v;
}

// A chunk of activations as a format's weights meet it: x = scale * (256 * high + low).
template <class Format>
struct alignas(64) ChunkOfX {
    // The largest magnitude whose high byte is still one after rounding.
    static constexpr float kLargest = 127 * 256 + 127;
    // Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
    static constexpr float kLeast = 0x1p-100f;

    int8_t high[kChunk];
    int8_t low[kChunk];
    alignas(64) Factors<Format::kWideScales> scales;  // lane i: of block i, or of group i
    // What minimums meet: the sums of the activations, as rounded, of a block or a group. Without minimums,
    // that times -kOffset: what quants are too large. Right behind the scales, if those are of blocks.
    Factors<Format::kWideScales> sums;
    __m512 factors() const { return _mm512_load_ps(reinterpret_cast<const float*>(&scales)); }

    // The first n elements, a multiple of 16, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
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
            for (int i = 0; i < 4; ++i) {
                const __m512i block = _mm512_set1_epi32(2 * quad + i / 2);
                const __m512 factor = _mm512_permutexvar_ps(block, factors);
                rounded[i] = _mm512_cvtps_epi32(_mm512_mul_ps(values[4 * quad + i], factor));
            }
            split_bytes(rounded, tops[quad], lows[quad]);
            totals[quad] = total_of_fours(tops[quad], lows[quad]);
        }
        store<0>(high, tops);
        store<0>(low, lows);
        // Zero, or NaN for infinity, whose scale would not spoil every product.
        const __m512 zero = _mm512_sub_ps(largest, largest);
        set_factors(_mm512_fmadd_ps(largest, _mm512_set1_ps(1.0f / kLargest), zero),
                    join_quarters(totals, sum));
    }

  private:
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

    // Scales of blocks in the lanes b and 8 + b, sums of groups.
    void set_factors(__m512 block_scales, __m512i group_sums) {
        constexpr int kTimes = Format::kHasMinimums ? 1 : -Format::kOffset;
        if constexpr (Format::kWideScales) {
            scales = _mm512_castps512_ps256(block_scales);
            group_sums = sum(group_sums, _mm512_shuffle_epi32(group_sums, _MM_PERM_CDAB));
            const __m256 of_blocks = even_lanes(_mm512_cvtepi32_ps(group_sums));
            sums = product(product(of_blocks, scales), _mm256_set1_ps(kTimes));
        } else {
            constexpr Lanes kBlocks = make_lanes([](int lane) { return lane / 2; });
            scales = _mm512_permutexvar_ps(kBlocks, block_scales);
            sums = product(product(_mm512_cvtepi32_ps(group_sums), scales), _mm512_set1_ps(kTimes));
        }
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

// The scales of weights times those of activations; adds what minimums, or what quants are too large, make.
template <class Format>
[[gnu::always_inline]] inline __m512 meet_factors(const Format& w, const ChunkOfX<Format>& x,
                                                  __m512& sum) {
    if constexpr (Format::kWideScales && Format::kHasMinimums) {
        const __m512 products = _mm512_mul_ps(w.factors, x.factors());
        sum = _mm512_mask_add_ps(sum, 0xff00, sum, products);
        return products;
    } else {
        if constexpr (Format::kHasMinimums) {
            sum = _mm512_fmadd_ps(w.minimums, x.sums, sum);
        } else if constexpr (Format::kOffset != 0) {
            sum = _mm512_fmadd_ps(widen(w.scales), widen(x.sums), sum);
        }
        return widen(product(w.scales, x.scales));
    }
}

// Adds part kPart of each of kOuts weight rows with each of kRows rows of activations: a quad, or four
// blocks. scales[o][r] are those of the weights times those of the activations.
template <int kPart, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_part(const Format (&w)[kOuts],
                                            const ChunkOfX<Format>* const (&x)[kRows],
                                            const __m512 (&scales)[kOuts][kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr bool kPairs = Format::kPairs;
    constexpr int kCount = kPairs ? 2 : 1;  // of vectors
    constexpr Lanes kScales = make_lanes([](int lane) {
        const int eight = eight_at<Format>(8 * kCount * kPart + lane / 2);
        return Format::kWideScales ? eight / 4 : eight / 2;
    });
    __m512i quants[kOuts][kCount];
    for (int32_t o = 0; o < kOuts; ++o) {
        if constexpr (kPairs) {
            w[o].template pair<kPart>(quants[o][0], quants[o][1]);
        } else {
            quants[o][0] = w[o].template quants<kPart>();
        }
    }
    for (int32_t r = 0; r < kRows; ++r) {
        QuadsOfX<kCount> quads(*x[r], kCount * kPart);
        if constexpr (kOuts > 1) quads.stay_in_registers();
        for (int32_t o = 0; o < kOuts; ++o) {
            const __m512 products = _mm512_cvtepi32_ps(quads.multiply(quants[o]));
            const __m512 factors = _mm512_permutexvar_ps(kScales, scales[o][r]);
            sums[o][r] = _mm512_fmadd_ps(factors, products, sums[o][r]);
        }
    }
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk_of_blocks(const uint8_t* at, int64_t out_bytes,
                                                       const ChunkOfX<Format>* const (&x)[kRows],
                                                       __m512 (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    __m512 scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        w[o].open(at + o * out_bytes);
        for (int32_t r = 0; r < kRows; ++r) scales[o][r] = meet_factors(w[o], *x[r], sums[o][r]);
    }
    add_part<0>(w, x, scales, sums);
    add_part<1>(w, x, scales, sums);
    if constexpr (!Format::kPairs) {
        add_part<2>(w, x, scales, sums);
        add_part<3>(w, x, scales, sums);
    }
}

struct Spans {
    static constexpr int64_t kChunk = core::kChunk;
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
    using Chunk = ChunkOfX<Format>;

    static Sum zero() { return _mm512_setzero_ps(); }
    static float total(Sum sum) { return _mm512_reduce_add_ps(sum); }
    template <class Format>
    static void load(Chunk<Format>& chunk, const float* x, int64_t n) {
        chunk.load(x, n);
    }
    template <class Format, int32_t kOuts, int32_t kRows>
    [[gnu::always_inline]] static void add(const uint8_t* at, int64_t out_bytes,
                                           const Chunk<Format>* const (&x)[kRows],
                                           Sum (&sums)[kOuts][kRows]) {
        add_chunk_of_blocks<Format>(at, out_bytes, x, sums);
    }
};

template <class Format>
void multiply_blocks(const LinearBlock& block) {
    multiply_rows_in_spans<Spans, Format>(block);
}

}  // namespace
}  // namespace puna::core
