// Weight rows as the panel kernel of AVX2 multiplies them: linear_panel_avx2.h.
//
// Unsigned quants stay bytes, and activations were rounded to signed ones (panel_rows_avx2.h): an
// instruction adds the products of two columns to words of 16 bits. As quants are small, so do the words
// hold the sums for all columns that share a scale, once kTakenOff times the activations is taken off
// them. Signed quants have all 8 bits, and two such products may exceed a word: they become words
// themselves, and meet activations of 16 bits.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

// As what quants are stored, and the activations that they meet.
template <bool kSigned>
struct Unpacked {
    using Quant = uint8_t;
    using BlockOfX = PackedBytes;

    static void store(uint8_t* at, __m256i bytes) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(at), bytes);
    }
};
template <>
struct Unpacked<true> {
    using Quant = int16_t;
    using BlockOfX = PackedWords;

    static void store(int16_t* at, __m256i bytes) {
        auto* halves = reinterpret_cast<__m256i*>(at);
        _mm256_store_si256(halves, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)));
        _mm256_store_si256(halves + 1, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1)));
    }
};

// What is taken off quants before their products are summed up. Where unsigned ones are too large for
// sums in words, the minimums grow by it.
template <class Format>
constexpr int taken_off() {
    return Format::kHasMinimums && Format::kLargest > 16 ? 16 : Format::kOffset;
}

template <class QuantFormat>
struct alignas(64) WordsTile {
    using Format = QuantFormat;
    using As = Unpacked<Format::kSigned>;
    using BlockOfX = typename As::BlockOfX;
    static constexpr bool kHasSubScales = !Format::kWideScales;
    static constexpr int64_t kMinimums =
        !Format::kHasMinimums ? 1 : kPanelBlocks * (Format::kWideScales ? 1 : 2);

    typename As::Quant quants[kPanelBlocks][kTileRowsOfW][kRowBlock];
    float scales[kTileRowsOfW][kPanelBlocks];
    // Of each half of a block: the same number in both words.
    int32_t sub_scales[kTileRowsOfW][kHasSubScales ? 2 * kPanelBlocks : 1];
    float minimums[kTileRowsOfW][kMinimums];

    static void store(typename As::Quant* at, __m256i bytes) { As::store(at, bytes); }

    // The 256 elements at `at` of a row, whose first block is `block`.
    void unpack(const uint8_t* at, int32_t row, int64_t block) {
        Format w;
        w.open(at);
        store_quants(w, row, block, *this);
        if constexpr (Format::kWideScales) {
            _mm256_storeu_ps(scales[row] + block, w.scales);
            if constexpr (Format::kHasMinimums) {
                const __m256 more = _mm256_set1_ps(taken_off<Format>());
                _mm256_storeu_ps(minimums[row] + block,
                                 _mm256_fmadd_ps(more, w.scales, w.minimums));
            }
        } else {
            _mm256_storeu_ps(scales[row] + block, w.scale);
            store_sub_scales(w.sub_scales, sub_scales[row] + 2 * block);
            if constexpr (Format::kHasMinimums) {
                static_assert(taken_off<Format>() == 0);
                _mm256_storeu_ps(minimums[row] + 2 * block, w.minimums[0]);
                _mm256_storeu_ps(minimums[row] + 2 * block + kRowBlocks, w.minimums[1]);
            }
        }
    }

    void clear(int32_t row) {
        for (auto& block : quants) std::memset(block[row], 0, sizeof block[row]);
        std::memset(scales[row], 0, sizeof scales[row]);
        std::memset(sub_scales[row], 0, sizeof sub_scales[row]);
        std::memset(minimums[row], 0, sizeof minimums[row]);
    }

  private:
    static void store_sub_scales(__m128i bytes, int32_t* at) {
        const __m256i words = _mm256_cvtepi8_epi16(bytes);
        const __m256i low = _mm256_unpacklo_epi16(words, words);
        const __m256i high = _mm256_unpackhi_epi16(words, words);
        auto* halves = reinterpret_cast<__m256i*>(at);
        _mm256_storeu_si256(halves, _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256(halves + 1, _mm256_permute2x128_si256(low, high, 0x31));
    }
};

// Adds to words the products of the columns 4 kFour .. 4 kEnd - 1 of a block. A loop would not be
// unrolled, and cost a copy of all sums each time.
template <class Format, int kFour, int kEnd, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_bytes(const WordsTile<Format>* w, int64_t block,
                                             const PackedBytes* const (&x)[kGroupsOfX],
                                             __m256i (&words)[kOuts][kGroupsOfX]) {
    if constexpr (kFour < kEnd) {
        __m256i four_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) four_of_x[g] = load_vector(x[g]->elements[kFour]);
        for (int32_t r = 0; r < kOuts; ++r) {
            const WordsTile<Format>& tile = w[r / kTileRowsOfW];
            const __m256i four = splat_four(tile.quants[block][r % kTileRowsOfW] + 4 * kFour);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                words[r][g] =
                    _mm256_add_epi16(words[r][g], _mm256_maddubs_epi16(four, four_of_x[g]));
                add_now(words[r][g]);
            }
        }
        add_bytes<Format, kFour + 1, kEnd>(w, block, x, words);
    }
}
// Of signed quants: the products of two columns from 2 kPair on, and of those after them.
template <class Format, int kPair, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_words(const WordsTile<Format>* w, int64_t block,
                                             const PackedWords* const (&x)[kGroupsOfX],
                                             __m256i (&products)[kOuts][kGroupsOfX]) {
    if constexpr (kPair < kRowBlock / 2) {
        __m256i two_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) two_of_x[g] = load_vector(x[g]->elements[kPair]);
        for (int32_t r = 0; r < kOuts; ++r) {
            const WordsTile<Format>& tile = w[r / kTileRowsOfW];
            const __m256i two = splat_four(tile.quants[block][r % kTileRowsOfW] + 2 * kPair);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                products[r][g] =
                    _mm256_add_epi32(products[r][g], _mm256_madd_epi16(two, two_of_x[g]));
                add_now(products[r][g]);
            }
        }
        add_words<Format, kPair + 1>(w, block, x, products);
    }
}

// Sums of words for half kHalf of a block, or for all of it.
template <class Format, int kHalf, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_bytes(const WordsTile<Format>* w, int64_t block,
                                                  const PackedBytes* const (&x)[kGroupsOfX],
                                                  __m256i (&words)[kOuts][kGroupsOfX]) {
    constexpr int kTakenOff = taken_off<Format>();
    constexpr int kTerms = Format::kWideScales ? 16 : 8;  // of a word
    static_assert(2 * Format::kLargest * 127 <= INT16_MAX);
    static_assert(kTerms * kTakenOff * 127 <= INT16_MAX);
    static_assert(kTerms * (Format::kLargest - kTakenOff) * 127 <= INT16_MAX);
    static_assert((kTakenOff & (kTakenOff - 1)) == 0);
    for (int32_t g = 0; g < kGroupsOfX; ++g) {
        __m256i start = _mm256_setzero_si256();
        if constexpr (kTakenOff != 0) {
            start = load_vector(x[g]->minus_pairs[kHalf]);
            if constexpr (Format::kWideScales) {
                start = _mm256_add_epi16(start, load_vector(x[g]->minus_pairs[1]));
            }
            start = _mm256_slli_epi16(start, __builtin_ctz(kTakenOff));
        }
        for (int32_t r = 0; r < kOuts; ++r) words[r][g] = start;
    }
    add_bytes<Format, 4 * kHalf, Format::kWideScales ? 8 : 4 * kHalf + 4>(w, block, x, words);
}

// products[r][g]: integers, of block `block` of the weight rows and of group g of activation rows.
template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void products_of_block(const WordsTile<Format>* w, int64_t block,
                                                     const PackedBytes* const (&x)[kGroupsOfX],
                                                     __m256i (&products)[kOuts][kGroupsOfX]) {
    __m256i words[kOuts][kGroupsOfX];
    multiply_bytes<Format, 0>(w, block, x, words);
    for (int32_t r = 0; r < kOuts; ++r) {
        __m256i factor = _mm256_set1_epi16(1);
        if constexpr (!Format::kWideScales) {
            factor = splat_four(w[r / kTileRowsOfW].sub_scales[r % kTileRowsOfW] + 2 * block);
        }
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            products[r][g] = _mm256_madd_epi16(words[r][g], factor);
        }
    }
    if constexpr (!Format::kWideScales) {
        multiply_bytes<Format, 1>(w, block, x, words);
        for (int32_t r = 0; r < kOuts; ++r) {
            const __m256i factor =
                splat_four(w[r / kTileRowsOfW].sub_scales[r % kTileRowsOfW] + 2 * block + 1);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                products[r][g] =
                    _mm256_add_epi32(products[r][g], _mm256_madd_epi16(words[r][g], factor));
            }
        }
    }
}
template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void products_of_block(const WordsTile<Format>* w, int64_t block,
                                                     const PackedWords* const (&x)[kGroupsOfX],
                                                     __m256i (&products)[kOuts][kGroupsOfX]) {
    static_assert(Format::kWideScales && !Format::kHasMinimums && Format::kOffset == 0);
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) products[r][g] = _mm256_setzero_si256();
    }
    add_words<Format, 0>(w, block, x, products);
}

template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void scaled_products(
    const WordsTile<Format>* w, int64_t block,
    const typename WordsTile<Format>::BlockOfX* const (&x)[kGroupsOfX],
    __m256 (&scaled)[kOuts][kGroupsOfX]) {
    __m256i products[kOuts][kGroupsOfX];
    products_of_block<Format>(w, block, x, products);
    for (int32_t r = 0; r < kOuts; ++r) {
        const float* scale = w[r / kTileRowsOfW].scales[r % kTileRowsOfW] + block;
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            scaled[r][g] =
                _mm256_mul_ps(_mm256_cvtepi32_ps(products[r][g]), _mm256_broadcast_ss(scale));
        }
    }
}

template <class Format>
void multiply_panels(const PanelBlock& block) {
    multiply_panels_of_rows<WordsTile<Format>>(block);
}

}  // namespace
}  // namespace puna::core
