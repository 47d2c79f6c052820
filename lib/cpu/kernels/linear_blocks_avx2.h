// The AVX2 linear kernel for quantised weights and few activation rows, written once for all formats.
//
// It goes through a row in chunks of 256 elements, in 8 blocks of 32, two at a time. Weights become bytes
// (quants_avx2.h), activations integers of 16 bits (chunk_avx2.h), which changes one by 1/65278 of the largest that
// shares its scale at most.
//
// Unsigned quants have few bits: they are multiplied by the bytes of activations, and a word holds the sum of four
// products. Signed ones have all 8 bits, and become words. Scales that are integers multiply such sums too. So all is
// exact integers, until they become floats to meet one.
#pragma once

#include <cstdint>

#include "cpu/kernels/chunk_avx2.h"
#include "cpu/kernels/linear_spans.h"
#include "cpu/kernels/linear_tile_avx2.h"
#include "cpu/kernels/quants_avx2.h"

namespace puna::core {
namespace {

// ---- Products of two blocks ---------------------------------------------------------------------

template <bool kSigned, int kPair>
struct PairOfBlocks;

// They have wide scales.
template <int kPair>
struct PairOfBlocks<true, kPair> {
    __m256i even[2];
    __m256i odd[2];

    template <class Format>
    explicit PairOfBlocks(const Format& w) {
        __m256i bytes[2];
        w.template quants<kPair>(bytes[0], bytes[1]);
        for (int i = 0; i < 2; ++i) {
            even[i] = _mm256_srai_epi16(_mm256_slli_epi16(bytes[i], 8), 8);
            odd[i] = _mm256_srai_epi16(bytes[i], 8);
        }
    }
    // Sums of eight products.
    template <class Products>
    __m256i multiply(const ChunkOfWords& x) const {
        constexpr int kA = 2 * kPair;
        constexpr int kB = kA + 1;
        const __m256i a = Products::add_products(_mm256_madd_epi16(even[0], x.even[kA].load()),
                                                 odd[0], x.odd[kA].load());
        const __m256i b = Products::add_products(_mm256_madd_epi16(even[1], x.even[kB].load()),
                                                 odd[1], x.odd[kB].load());
        return _mm256_add_epi32(a, b);
    }
};

template <int kPair>
struct PairOfBlocks<false, kPair> {
    __m256i bytes[2];

    template <class Format>
    explicit PairOfBlocks(const Format& w) {
        static_assert(4 * Format::kLargest * -INT8_MIN <= INT16_MAX);
        w.template quants<kPair>(bytes[0], bytes[1]);
    }
    // Sums of eight products.
    template <class Products>
    __m256i multiply(const ChunkOfBytes& x) const {
        const __m256i high[2] = {x.high[2 * kPair].load(), x.high[2 * kPair + 1].load()};
        const __m256i low[2] = {x.low[2 * kPair].load(), x.low[2 * kPair + 1].load()};
        return Products::multiply_parts(bytes, high, low);
    }
    // Words: sums of two products of a vector, and of four of both.
    template <int kIndex>
    __m256i multiply_one(const Vector (&x)[kRowBlocks]) const {
        return _mm256_maddubs_epi16(bytes[kIndex], x[2 * kPair + kIndex].load());
    }
    __m256i multiply_both(const Vector (&x)[kRowBlocks]) const {
        return _mm256_add_epi16(multiply_one<0>(x), multiply_one<1>(x));
    }
};

// ---- Sums of a chunk ----------------------------------------------------------------------------

// What the quants being too large, and minimums, add to a sum.
template <class Format>
[[gnu::always_inline]] inline __m256 add_constants(const Format& w, const ChunkOfX<Format>& x,
                                                   __m256 sum) {
    if constexpr (Format::kHasMinimums && Format::kWideScales) {
        sum = _mm256_fmadd_ps(w.minimums, x.sums, sum);
    } else if constexpr (Format::kHasMinimums) {
        sum = _mm256_fmadd_ps(w.minimums[0], x.half_sums[0], sum);
        sum = _mm256_fmadd_ps(w.minimums[1], x.half_sums[1], sum);
    } else if constexpr (Format::kOffset != 0 && Format::kWideScales) {
        const __m256 minus = _mm256_mul_ps(w.scales, _mm256_set1_ps(-Format::kOffset));
        sum = _mm256_fmadd_ps(minus, x.sums, sum);
    } else if constexpr (Format::kOffset != 0) {
        const __m256 minus = _mm256_mul_ps(w.scale, _mm256_set1_ps(-Format::kOffset));
        const __m256 low = signed_floats(w.sub_scales);
        const __m256 high = signed_floats(upper_half(w.sub_scales));
        sum = _mm256_fmadd_ps(_mm256_mul_ps(minus, low), x.half_sums[0], sum);
        sum = _mm256_fmadd_ps(_mm256_mul_ps(minus, high), x.half_sums[1], sum);
    }
    return sum;
}

// Of one weight row and one row of activations.
template <class Products, class Format, bool = kIntegerScales<Format>>
struct ChunkSums;

// Scales are floats: each pair of blocks meets its own.
template <class Products, class Format>
struct ChunkSums<Products, Format, false> {
    __m256 scales;
    __m256 sum;

    void begin(const Format& w, const ChunkOfX<Format>& x, __m256 before) {
        scales = _mm256_mul_ps(w.scales, x.scales);
        sum = add_constants(w, x, before);
    }
    template <int kPair>
    void add(const Format&, const PairOfBlocks<Format::kSigned, kPair>& pair,
             const ChunkOfX<Format>& x) {
        constexpr int kA = 2 * kPair;
        constexpr int kB = kA + 1;
        const __m256 scale =
            _mm256_permutevar8x32_ps(scales, _mm256_setr_epi32(kA, kA, kA, kA, kB, kB, kB, kB));
        const __m256i products = pair.template multiply<Products>(x);
        sum = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(products), sum);
    }
    __m256 end() const { return sum; }
};

// The bytes 2 kIndex and 2 kIndex + 1 as words, each in a half of the lanes.
template <int kIndex>
inline __m256i splat_two(__m128i bytes) {
    const __m128i eight = _mm_cvtepi8_epi16(kIndex < 4 ? bytes : upper_half(bytes));
    constexpr int kFirst = kIndex % 4 * 4 + (kIndex % 4 * 4 + 1) * 256;
    const __m256i two = _mm256_setr_m128i(_mm_set1_epi16(kFirst), _mm_set1_epi16(kFirst + 0x202));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(eight), two);
}

// Scales are integers with a factor for the chunk.
template <class Products, class Format>
struct ChunkSums<Products, Format, true> {
    __m256 scale;
    __m256 sum;
    __m256i high;
    __m256i low;

    void begin(const Format& w, const ChunkOfBytes& x, __m256 before) {
        scale = _mm256_mul_ps(w.scale, x.scales);
        sum = add_constants(w, x, before);
        high = _mm256_setzero_si256();
        low = _mm256_setzero_si256();
    }
    template <int kPair>
    void add(const Format& w, const PairOfBlocks<false, kPair>& pair, const ChunkOfBytes& x) {
        if constexpr (Format::kWideScales) {
            add_scaled(splat_two<kPair>(w.sub_scales), pair.multiply_both(x.high),
                       pair.multiply_both(x.low));
        } else {
            add_scaled(splat_two<2 * kPair>(w.sub_scales), pair.template multiply_one<0>(x.high),
                       pair.template multiply_one<0>(x.low));
            add_scaled(splat_two<2 * kPair + 1>(w.sub_scales),
                       pair.template multiply_one<1>(x.high), pair.template multiply_one<1>(x.low));
        }
    }
    __m256 end() const {
        const __m256 all = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), _mm256_set1_ps(256.0f),
                                           _mm256_cvtepi32_ps(low));
        return _mm256_fmadd_ps(scale, all, sum);
    }

  private:
    void add_scaled(__m256i scales, __m256i of_high, __m256i of_low) {
        high = Products::add_products(high, of_high, scales);
        add_now(high);
        low = Products::add_products(low, of_low, scales);
        add_now(low);
    }
};

// Adds two blocks of each of kOuts weight rows with each of kRows rows of activations, and the blocks
// after them. A loop would not be unrolled.
template <int kPair = 0, class Products, class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_pairs(const Format (&w)[kOuts],
                                             const ChunkOfX<Format>* const (&x)[kRows],
                                             ChunkSums<Products, Format> (&sums)[kOuts][kRows]) {
    if constexpr (kPair < kRowBlocks / 2) {
        for (int32_t o = 0; o < kOuts; ++o) {
            const PairOfBlocks<Format::kSigned, kPair> pair(w[o]);
            for (int32_t r = 0; r < kRows; ++r) sums[o][r].template add<kPair>(w[o], pair, *x[r]);
        }
        add_pairs<kPair + 1>(w, x, sums);
    }
}

template <class Products>
struct Spans {
    static constexpr int64_t kLeastColumns = kChunk;
    static constexpr int64_t kPrefetchBytes = core::kPrefetchBytes;
    static constexpr int32_t outs(int32_t n_rows, int64_t) { return n_rows == 1 ? 2 : 1; }
    using Sum = __m256;
    template <class Format>
    using Step = ChunkOfX<Format>;

    static Sum zero() { return _mm256_setzero_ps(); }
    static float total(Sum sum) { return sum_lanes(sum); }
    template <class Format>
    static void load(Step<Format>& chunk, const float* x, int64_t n) {
        chunk.template load<Format>(x, n);
    }
    template <int64_t kColumns, class Format, int32_t kOuts, int32_t kRows, class Ask>
    [[gnu::always_inline]] static void add(const uint8_t* at, int64_t out_bytes,
                                           const Step<Format>* const (&x)[kRows],
                                           Sum (&sums)[kOuts][kRows], const Ask& ask) {
        ask(0);
        Format w[kOuts];
        ChunkSums<Products, Format> of_chunk[kOuts][kRows];
        for (int32_t o = 0; o < kOuts; ++o) {
            w[o].open(at + o * out_bytes);
            for (int32_t r = 0; r < kRows; ++r) of_chunk[o][r].begin(w[o], *x[r], sums[o][r]);
        }
        add_pairs(w, x, of_chunk);
        for (int32_t o = 0; o < kOuts; ++o) {
            for (int32_t r = 0; r < kRows; ++r) sums[o][r] = of_chunk[o][r].end();
        }
    }
};

// Products: those of the set, of products_<set>.h.
template <class Products, class Format>
void multiply_blocks(const LinearBlock& block) {
    multiply_rows_in_spans<Spans<Products>, Format>(block);
}

}  // namespace
}  // namespace puna::core
