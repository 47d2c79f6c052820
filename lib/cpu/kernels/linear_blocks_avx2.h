// The AVX2 linear kernel for quantised weights and few activation rows, written once for all formats.
//
// It goes through a row in chunks of 256 elements, in 8 blocks of 32. Weights become bytes
// (quants_avx2.h) and then words of 16 bits. Activations are rounded to 16 bits in blocks of 32 with a scale
// of their own, which changes one by 1/65532 of the largest of its block at most. So sums of products are
// exact until they meet their scales.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_spans.h"
#include "cpu/kernels/linear_tile_avx2.h"
#include "cpu/kernels/quants_avx2.h"
#include "cpu/kernels/rounded_block_avx2.h"

namespace puna::core {
namespace {

// ---- Activations --------------------------------------------------------------------------------

struct alignas(32) Words {
    int16_t values[16];

    __m256i load() const { return _mm256_load_si256(reinterpret_cast<const __m256i*>(values)); }
    void store(__m256i v) { _mm256_store_si256(reinterpret_cast<__m256i*>(values), v); }
};

// A chunk of activations: x = scale * word.
struct alignas(32) ChunkOfX {
    // The elements 0, 2, 4 .. and 1, 3, 5 .. of each block, or of what crossed blocks meet.
    Words even[kRowBlocks];
    Words odd[kRowBlocks];
    // Lane i: of block i, or of the elements 16 i .. 16 i + 15.
    __m256 scales;
    __m256 half_scales[2];
    __m256 sums;  // of the activations, as rounded
    __m256 half_sums[2];

    // The first n elements, a multiple of 32, and zeros beyond. Infinity and NaN become NaN.
    void load(const float* x, int64_t n) {
        alignas(32) float block_scales[kRowBlocks] = {};
        for (int i = 0; i < kRowBlocks; ++i) {
            if (i * kRowBlock < n) {
                const RoundedBlock rounded = round_block<kMostOfWords>(x + i * kRowBlock);
                block_scales[i] = rounded.scale;
                store_block(rounded.integers, i);
            } else {
                even[i].store(_mm256_setzero_si256());
                odd[i].store(_mm256_setzero_si256());
            }
        }
        scales = _mm256_load_ps(block_scales);
        half_scales[0] =
            _mm256_permutevar8x32_ps(scales, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
        half_scales[1] =
            _mm256_permutevar8x32_ps(scales, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
        const __m256i low = sum_halves(0);
        const __m256i high = sum_halves(4);
        const __m256i all =
            _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), _MM_SHUFFLE(3, 1, 2, 0));
        half_sums[0] = _mm256_mul_ps(_mm256_cvtepi32_ps(low), half_scales[0]);
        half_sums[1] = _mm256_mul_ps(_mm256_cvtepi32_ps(high), half_scales[1]);
        sums = _mm256_mul_ps(_mm256_cvtepi32_ps(all), scales);
    }

    // The order of crossed blocks.
    void cross() {
        for (int i = 0; i < kRowBlocks; i += 2) {
            cross_pair(even + i);
            cross_pair(odd + i);
        }
    }

  private:
    static void cross_pair(Words* words) {
        const __m256i a = words[0].load();
        const __m256i b = words[1].load();
        words[0].store(_mm256_permute2x128_si256(a, b, 0x20));
        words[1].store(_mm256_permute2x128_si256(a, b, 0x31));
    }
    void store_block(const __m256i (&integers)[4], int i) {
        const __m256i parted =
            _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9,
                             12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
        const __m256i a = _mm256_shuffle_epi8(pack_words(integers[0], integers[1]), parted);
        const __m256i b = _mm256_shuffle_epi8(pack_words(integers[2], integers[3]), parted);
        even[i].store(
            _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), _MM_SHUFFLE(3, 1, 2, 0)));
        odd[i].store(
            _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), _MM_SHUFFLE(3, 1, 2, 0)));
    }
    // Lane i: the words of half i of four blocks from `first`, two halves in each, added up.
    __m256i sum_halves(int first) const {
        const __m256i ones = _mm256_set1_epi16(1);
        __m256i fours[4];
        for (int i = 0; i < 4; ++i) {
            fours[i] = _mm256_add_epi32(_mm256_madd_epi16(even[first + i].load(), ones),
                                        _mm256_madd_epi16(odd[first + i].load(), ones));
        }
        const __m256i sums_of_fours = _mm256_hadd_epi32(_mm256_hadd_epi32(fours[0], fours[1]),
                                                        _mm256_hadd_epi32(fours[2], fours[3]));
        return _mm256_permutevar8x32_epi32(sums_of_fours,
                                           _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
};

// ---- Scales -------------------------------------------------------------------------------------

// The scales of a chunk of a weight row times those of activations.
template <bool kWide>
struct ChunkScales {
    __m256 values;

    template <class Format>
    void multiply(const Format& w, const ChunkOfX& x) {
        values = _mm256_mul_ps(w.scales, x.scales);
    }
    // Of the sums of two blocks: a half of the lanes belongs to each.
    template <int kPair>
    __m256 of_pair() const {
        constexpr int kA = 2 * kPair;
        constexpr int kB = kA + 1;
        return _mm256_permutevar8x32_ps(values, _mm256_setr_epi32(kA, kA, kA, kA, kB, kB, kB, kB));
    }
};
template <>
struct ChunkScales<false> {
    __m256 values[2];

    template <class Format>
    void multiply(const Format& w, const ChunkOfX& x) {
        values[0] = multiply(w.scale, w.sub_scales, x.half_scales[0]);
        values[1] = multiply(w.scale, upper_half(w.sub_scales), x.half_scales[1]);
    }
    // Of the sums of a block: a half of the lanes belongs to each half.
    template <int kIndex>
    __m256 of_block() const {
        constexpr int kA = 2 * kIndex % 8;
        constexpr int kB = kA + 1;
        return _mm256_permutevar8x32_ps(values[kIndex / 4],
                                        _mm256_setr_epi32(kA, kA, kA, kA, kB, kB, kB, kB));
    }

  private:
    static __m256 multiply(__m256 scale, __m128i sub_scales, __m256 x) {
        return _mm256_mul_ps(_mm256_mul_ps(scale, signed_floats(sub_scales)), x);
    }
};

// What the quants being too large, and minimums, add to the sums.
template <class Format>
[[gnu::always_inline]] inline __m256 add_constants(const Format& w, const ChunkOfX& x, __m256 sum) {
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

// ---- Sums ---------------------------------------------------------------------------------------

// A vector of quants as words.
template <bool kSigned>
struct QuantWords {
    __m256i even;
    __m256i odd;

    explicit QuantWords(__m256i bytes) {
        if constexpr (kSigned) {
            even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
            odd = _mm256_srai_epi16(bytes, 8);
        } else {
            even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
            odd = _mm256_srli_epi16(bytes, 8);
        }
    }
    // Their products with vector i of a chunk, four of them in a lane.
    __m256i multiply(const ChunkOfX& x, int i) const {
        return _mm256_add_epi32(_mm256_madd_epi16(even, x.even[i].load()),
                                _mm256_madd_epi16(odd, x.odd[i].load()));
    }
};

// Adds two blocks of each of kOuts weight rows with each of kRows rows of activations, and the blocks
// after them. A loop would not be unrolled.
template <class Format, int kPair = 0, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_pairs(
    const Format (&w)[kOuts], const ChunkOfX* const (&x)[kRows],
    const ChunkScales<Format::kWideScales> (&scales)[kOuts][kRows], __m256 (&sums)[kOuts][kRows]) {
    if constexpr (kPair < kRowBlocks / 2) {
        constexpr int kA = 2 * kPair;
        constexpr int kB = kA + 1;
        for (int32_t o = 0; o < kOuts; ++o) {
            __m256i first;
            __m256i second;
            w[o].template quants<kPair>(first, second);
            const QuantWords<Format::kSigned> a(first);
            const QuantWords<Format::kSigned> b(second);
            for (int32_t r = 0; r < kRows; ++r) {
                const __m256i of_a = a.multiply(*x[r], kA);
                const __m256i of_b = b.multiply(*x[r], kB);
                if constexpr (Format::kWideScales) {
                    sums[o][r] = _mm256_fmadd_ps(scales[o][r].template of_pair<kPair>(),
                                                 _mm256_cvtepi32_ps(_mm256_add_epi32(of_a, of_b)),
                                                 sums[o][r]);
                } else {
                    sums[o][r] = _mm256_fmadd_ps(scales[o][r].template of_block<kA>(),
                                                 _mm256_cvtepi32_ps(of_a), sums[o][r]);
                    sums[o][r] = _mm256_fmadd_ps(scales[o][r].template of_block<kB>(),
                                                 _mm256_cvtepi32_ps(of_b), sums[o][r]);
                }
            }
        }
        add_pairs<Format, kPair + 1>(w, x, scales, sums);
    }
}

template <class Format, int32_t kOuts, int32_t kRows>
[[gnu::always_inline]] inline void add_chunk(const uint8_t* at, int64_t out_bytes,
                                             const ChunkOfX* const (&x)[kRows],
                                             __m256 (&sums)[kOuts][kRows]) {
    Format w[kOuts];
    ChunkScales<Format::kWideScales> scales[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        w[o].open(at + o * out_bytes);
        for (int32_t r = 0; r < kRows; ++r) {
            scales[o][r].multiply(w[o], *x[r]);
            sums[o][r] = add_constants(w[o], *x[r], sums[o][r]);
        }
    }
    add_pairs(w, x, scales, sums);
}

struct Spans {
    static constexpr int64_t kChunk = core::kChunk;
    static constexpr int64_t kPrefetchBytes = core::kPrefetchBytes;
    static constexpr int32_t outs(int32_t n_rows, int64_t) { return n_rows == 1 ? 2 : 1; }
    using Sum = __m256;
    template <class Format>
    using Chunk = ChunkOfX;

    static Sum zero() { return _mm256_setzero_ps(); }
    static float total(Sum sum) { return sum_lanes(sum); }
    template <class Format>
    static void load(ChunkOfX& chunk, const float* x, int64_t n) {
        chunk.load(x, n);
        if constexpr (Format::kWideScales) chunk.cross();
    }
    template <class Format, int32_t kOuts, int32_t kRows>
    [[gnu::always_inline]] static void add(const uint8_t* at, int64_t out_bytes,
                                           const ChunkOfX* const (&x)[kRows],
                                           Sum (&sums)[kOuts][kRows]) {
        add_chunk<Format>(at, out_bytes, x, sums);
    }
};

template <class Format>
void multiply_blocks(const LinearBlock& block) {
    multiply_rows_in_spans<Spans, Format>(block);
}

}  // namespace
}  // namespace puna::core
