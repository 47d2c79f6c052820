// The AVX-512 linear kernel for quantised weights, written once for all formats.
//
// It goes through a row in chunks of 256 elements. Weights stay the bytes of their format
// (quants_avx512.h), and VNNI adds four products of such a byte with a signed one. Activations are
// rounded to 16 bits in blocks of 32 with a scale of their own, which changes one by 1/65278 of the largest
// of its block at most. They are multiplied as two signed bytes each, so that sums of products are exact
// integers until they meet their scales.
#pragma once

#include <cstdint>

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
// Lane i of the result: the largest lane of v[i].
inline __m512i largest_lanes(const __m512i (&v)[kGroups]) {
    __m512i fours[4];  // lane 4 j + i of fours[k]: of v[4 k + i], in its quarter j
    for (int k = 0; k < 4; ++k) fours[k] = join_fours(v + 4 * k, larger);
    const __m512i a = _mm512_max_epu32(_mm512_shuffle_i32x4(fours[0], fours[1], 0x44),
                                       _mm512_shuffle_i32x4(fours[0], fours[1], 0xee));
    const __m512i b = _mm512_max_epu32(_mm512_shuffle_i32x4(fours[2], fours[3], 0x44),
                                       _mm512_shuffle_i32x4(fours[2], fours[3], 0xee));
    return _mm512_max_epu32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

// Where group g of a chunk is among the groups: in order, or the first halves of four blocks of 32 before
// their second halves.
template <bool kCrossed>
constexpr int slot_of(int g) {
    return kCrossed ? g / 8 * 8 + g % 2 * 4 + g / 2 % 4 : g;
}

// A chunk of activations: x = scale * (256 * high + low).
template <bool kCrossed>
struct alignas(64) ChunkOfX {
    // The largest magnitude whose high byte is still one after rounding.
    static constexpr float kLargest = 127 * 256 + 127;
    // Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
    static constexpr float kLeast = 0x1p-100f;

    int8_t high[kChunk];
    int8_t low[kChunk];
    __m512 scales;  // lane g: of group g
    __m512 sums;    // lane g: of the activations of group g, as rounded

    // The first n elements, a multiple of 16, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
        __m512 values[kGroups];
        __m512i magnitudes[kGroups];
        for (int g = 0; g < kGroups; ++g) {
            values[g] = g * kLanes < n ? _mm512_loadu_ps(x + g * kLanes) : _mm512_setzero_ps();
            magnitudes[g] =
                _mm512_and_si512(_mm512_castps_si512(values[g]), _mm512_set1_epi32(0x7fffffff));
        }
        // As integers, magnitudes are ordered like floats, and NaN is the largest.
        const __m512i of_groups = largest_lanes(magnitudes);
        const __m512i of_others = _mm512_shuffle_epi32(of_groups, _MM_PERM_CDAB);
        const __m512 largest = _mm512_castsi512_ps(larger(of_groups, of_others));
        const __mmask16 is_zero = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kLeast), _CMP_LT_OQ);
        scales = _mm512_mul_ps(largest, _mm512_set1_ps(1.0f / kLargest));
        const __m512 factors = _mm512_mask_mov_ps(_mm512_div_ps(_mm512_set1_ps(kLargest), largest),
                                                  is_zero, _mm512_setzero_ps());
        for (int g = 0; g < kGroups; ++g) {
            const __m512 factor = _mm512_permutexvar_ps(_mm512_set1_epi32(g), factors);
            const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(values[g], factor));
            const __m512i top =
                _mm512_srai_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)), 8);
            store(high + slot_of<kCrossed>(g) * kLanes, _mm512_cvtepi32_epi8(top));
            store(low + slot_of<kCrossed>(g) * kLanes, _mm512_cvtepi32_epi8(rounded));
        }
        __m512i fours[kQuads];
        for (int i = 0; i < kQuads; ++i) fours[i] = multiply(_mm512_set1_epi8(1), i);
        constexpr Lanes kInOrder = make_lanes([](int g) {
            const int slot = slot_of<kCrossed>(g);
            return slot % 4 * 4 + slot / 4;
        });
        const __m512i totals = _mm512_permutexvar_epi32(kInOrder, join_fours(fours, sum));
        sums = _mm512_mul_ps(_mm512_cvtepi32_ps(totals), scales);
    }

    // Lane 4 i + j: the products of bytes 4 j .. 4 j + 3 of group i of a quad, exact. At most
    // 4 * 255 * 2^15, so they fit; also those of two quads.
    __m512i multiply(__m512i quants, int quad) const {
        const __m512i tops =
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), quants, quad_of(high, quad));
        return _mm512_dpbusd_epi32(_mm512_slli_epi32(tops, 8), quants, quad_of(low, quad));
    }
    // The same of two quads in one sum.
    __m512i multiply(__m512i first, __m512i second, int quad) const {
        __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), first, quad_of(high, quad));
        sum = _mm512_dpbusd_epi32(sum, second, quad_of(high, quad + 1));
        sum = _mm512_dpbusd_epi32(_mm512_slli_epi32(sum, 8), first, quad_of(low, quad));
        return _mm512_dpbusd_epi32(sum, second, quad_of(low, quad + 1));
    }

  private:
    static __m512i quad_of(const int8_t* bytes, int quad) {
        return _mm512_load_si512(bytes + quad * 64);
    }
    static void store(int8_t* at, __m128i bytes) {
        _mm_store_si128(reinterpret_cast<__m128i*>(at), bytes);
    }
};

// ---- Sums ---------------------------------------------------------------------------------------

// Adds one quad of each of kOuts weight rows with each of kRows rows of activations; scales[o][r] are
// those of the weights times those of the activations.
template <int kQuad, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_quad(const Format (&w)[kOuts],
                                            const ChunkOfX<false>* const (&x)[kRows],
                                            const __m512 (&scales)[kOuts][kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr Lanes kScales = make_lanes([](int lane) { return 4 * kQuad + lane / 4; });
    for (int32_t o = 0; o < kOuts; ++o) {
        const __m512i quants = w[o].template quants<kQuad>();
        for (int32_t r = 0; r < kRows; ++r) {
            const __m512 products = _mm512_cvtepi32_ps(x[r]->multiply(quants, kQuad));
            sums[o][r] =
                _mm512_fmadd_ps(_mm512_permutexvar_ps(kScales, scales[o][r]), products, sums[o][r]);
        }
    }
}

// The same with four blocks, whose halves share the lanes and so the scales.
template <int kPair, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_pair(const Format (&w)[kOuts],
                                            const ChunkOfX<true>* const (&x)[kRows],
                                            const __m512 (&scales)[kOuts][kRows],
                                            __m512 (&sums)[kOuts][kRows]) {
    constexpr Lanes kScales = make_lanes([](int lane) { return 8 * kPair + lane / 4 * 2; });
    for (int32_t o = 0; o < kOuts; ++o) {
        __m512i first;
        __m512i second;
        w[o].template halves<kPair>(first, second);
        for (int32_t r = 0; r < kRows; ++r) {
            const __m512 products = _mm512_cvtepi32_ps(x[r]->multiply(first, second, 2 * kPair));
            sums[o][r] =
                _mm512_fmadd_ps(_mm512_permutexvar_ps(kScales, scales[o][r]), products, sums[o][r]);
        }
    }
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk_of_blocks(
    const uint8_t* at, int64_t out_bytes, const ChunkOfX<Format::kCrosses>* const (&x)[kRows],
    __m512 (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    __m512 scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        w[o].open(at + o * out_bytes);
        __m512 minimums;
        if constexpr (Format::kHasMinimums) {
            minimums = w[o].minimums;
        } else {
            minimums = _mm512_mul_ps(w[o].scales, _mm512_set1_ps(-Format::kOffset));
        }
        for (int32_t r = 0; r < kRows; ++r) {
            scales[o][r] = _mm512_mul_ps(w[o].scales, x[r]->scales);
            sums[o][r] = _mm512_fmadd_ps(minimums, x[r]->sums, sums[o][r]);
        }
    }
    if constexpr (Format::kCrosses) {
        add_pair<0>(w, x, scales, sums);
        add_pair<1>(w, x, scales, sums);
    } else {
        add_quad<0>(w, x, scales, sums);
        add_quad<1>(w, x, scales, sums);
        add_quad<2>(w, x, scales, sums);
        add_quad<3>(w, x, scales, sums);
    }
}

struct Spans {
    static constexpr int64_t kChunk = core::kChunk;
    static constexpr int64_t kPrefetchBytes = core::kPrefetchBytes;
    using Sum = __m512;
    template <class Format>
    using Chunk = ChunkOfX<Format::kCrosses>;

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
