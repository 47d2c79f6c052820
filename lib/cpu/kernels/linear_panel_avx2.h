// The AVX2 linear kernel for quantised weights and many activation rows, written once for all formats.
//
// A few weight rows at a time are unpacked, in order, and stay in L1 and L2 while all activation rows
// pass. A vector of activations holds 32 bits of each of 8 rows and meets the same of one weight row in
// all lanes. So a lane is a result, and no sum across lanes is needed.
//
// Unsigned quants stay bytes, and activations were rounded to signed ones (panel_rows_avx2.h): an
// instruction adds the products of two columns to words of 16 bits. As quants are small, so do the words
// hold the sums for all columns that share a scale, once kTakenOff times the activations is taken off
// them. Signed quants have all 8 bits, and two such products may exceed a word: they become words
// themselves, and meet activations of 16 bits.
//
// Formats are those of linear_blocks_avx2.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_rows_avx2.h"
#include "cpu/kernels/unpack_tile.h"

namespace puna::core {
namespace {

// Weight rows that are multiplied together, and those that are unpacked before activations pass.
constexpr int32_t kTileRowsOfW = 6;
constexpr int32_t kTilesOfW = 4;
constexpr int64_t kPanelColumns = 1024;
constexpr int64_t kPanelBlocks = kPanelColumns / kRowBlock;

// ---- Weights ------------------------------------------------------------------------------------

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

// Up to kTileRowsOfW weight rows in a panel of columns; those beyond the matrix are zeros.
template <class Format>
struct alignas(64) UnpackedTile {
    static constexpr int32_t kRows = kTileRowsOfW;
    static constexpr int64_t kChunk = core::kChunk;
    using As = Unpacked<Format::kSigned>;
    static constexpr bool kHasSubScales = !Format::kWideScales;
    static constexpr int64_t kMinimums =
        !Format::kHasMinimums ? 1 : kPanelBlocks * (Format::kWideScales ? 1 : 2);

    typename As::Quant quants[kPanelBlocks][kTileRowsOfW][kRowBlock];
    float scales[kTileRowsOfW][kPanelBlocks];
    // Of each half of a block: the same number in both words.
    int32_t sub_scales[kTileRowsOfW][kHasSubScales ? 2 * kPanelBlocks : 1];
    float minimums[kTileRowsOfW][kMinimums];

    // The 256 elements at `at` of a row, whose first block is `block`.
    void unpack(const uint8_t* at, int32_t row, int64_t block) {
        Format w;
        w.open(at);
        store_quants(w, row, block);
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
    template <int kPair = 0>
    void store_quants(const Format& w, int32_t row, int64_t block) {
        if constexpr (kPair < kRowBlocks / 2) {
            __m256i first;
            __m256i second;
            w.template quants<kPair>(first, second);
            if constexpr (Format::kWideScales) {  // they are crossed
                const __m256i low = first;
                first = _mm256_permute2x128_si256(low, second, 0x20);
                second = _mm256_permute2x128_si256(low, second, 0x31);
            }
            As::store(quants[block + 2 * kPair][row], first);
            As::store(quants[block + 2 * kPair + 1][row], second);
            store_quants<kPair + 1>(w, row, block);
        }
    }
    static void store_sub_scales(__m128i bytes, int32_t* at) {
        const __m256i words = _mm256_cvtepi8_epi16(bytes);
        const __m256i low = _mm256_unpacklo_epi16(words, words);
        const __m256i high = _mm256_unpackhi_epi16(words, words);
        auto* halves = reinterpret_cast<__m256i*>(at);
        _mm256_storeu_si256(halves, _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256(halves + 1, _mm256_permute2x128_si256(low, high, 0x31));
    }
};

// ---- Products -----------------------------------------------------------------------------------

inline __m256i load_vector(const void* at) {
    return _mm256_load_si256(static_cast<const __m256i*>(at));
}
inline __m256i splat_four(const void* at) {
    int32_t four;
    std::memcpy(&four, at, sizeof four);
    return _mm256_set1_epi32(four);
}

// Makes the compiler add up in the order that is written: it would rather multiply first, and store
// products until it adds them.
inline void add_now(__m256i& sum) {
    __asm__("" : "+x"(sum));
}

// Adds to words the products of the columns 4 kFour .. 4 kEnd - 1 of a block. A loop would not be
// unrolled, and cost a copy of all sums each time.
template <class Format, int kFour, int kEnd, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_bytes(const UnpackedTile<Format>* w, int64_t block,
                                             const PackedBytes* const (&x)[kGroupsOfX],
                                             __m256i (&words)[kOuts][kGroupsOfX]) {
    if constexpr (kFour < kEnd) {
        __m256i four_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) four_of_x[g] = load_vector(x[g]->elements[kFour]);
        for (int32_t r = 0; r < kOuts; ++r) {
            const UnpackedTile<Format>& tile = w[r / kTileRowsOfW];
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
[[gnu::always_inline]] inline void add_words(const UnpackedTile<Format>* w, int64_t block,
                                             const PackedWords* const (&x)[kGroupsOfX],
                                             __m256i (&products)[kOuts][kGroupsOfX]) {
    if constexpr (kPair < kRowBlock / 2) {
        __m256i two_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) two_of_x[g] = load_vector(x[g]->elements[kPair]);
        for (int32_t r = 0; r < kOuts; ++r) {
            const UnpackedTile<Format>& tile = w[r / kTileRowsOfW];
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
[[gnu::always_inline]] inline void multiply_bytes(const UnpackedTile<Format>* w, int64_t block,
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

// products[r][g]: of block `block` of the weight rows and of group g of activation rows.
template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_block_of_x(const UnpackedTile<Format>* w, int64_t block,
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
[[gnu::always_inline]] inline void multiply_block_of_x(const UnpackedTile<Format>* w, int64_t block,
                                                       const PackedWords* const (&x)[kGroupsOfX],
                                                       __m256i (&products)[kOuts][kGroupsOfX]) {
    static_assert(Format::kWideScales && !Format::kHasMinimums && Format::kOffset == 0);
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) products[r][g] = _mm256_setzero_si256();
    }
    add_words<Format, 0>(w, block, x, products);
}

// sums[r] += minimums of weight row r by the sums of activations.
template <class Format, int32_t kOuts>
[[gnu::always_inline]] inline void add_minimums(const UnpackedTile<Format>* w, int64_t block,
                                                const PackedBytes& x, int32_t r, __m256& sum) {
    const float* minimums = w[r / kTileRowsOfW].minimums[r % kTileRowsOfW];
    const __m256 low = _mm256_load_ps(x.sums[0]);
    const __m256 high = _mm256_load_ps(x.sums[1]);
    if constexpr (Format::kWideScales) {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + block), _mm256_add_ps(low, high), sum);
    } else {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + 2 * block), low, sum);
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + 2 * block + 1), high, sum);
    }
}

// results[r][g]: the products of the weight rows with group g of activation rows.
template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_tile_of_x(const UnpackedTile<Format>* w,
                                                      const uint8_t* const (&at)[kGroupsOfX],
                                                      int64_t n_blocks,
                                                      __m256 (&results)[kOuts][kGroupsOfX]) {
    using Block = typename UnpackedTile<Format>::As::BlockOfX;
    const Block* x[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) x[g] = reinterpret_cast<const Block*>(at[g]);
    __m256 sums[kOuts][kGroupsOfX];  // results would be stored in each turn
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) sums[r][g] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; ++b) {
        __m256i products[kOuts][kGroupsOfX];
        multiply_block_of_x<Format>(w, b, x, products);
        for (int32_t r = 0; r < kOuts; ++r) {
            const float* scale = w[r / kTileRowsOfW].scales[r % kTileRowsOfW] + b;
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                const __m256 scaled =
                    _mm256_mul_ps(_mm256_cvtepi32_ps(products[r][g]), _mm256_broadcast_ss(scale));
                sums[r][g] = _mm256_fmadd_ps(scaled, _mm256_load_ps(x[g]->scales), sums[r][g]);
                if constexpr (Format::kHasMinimums) {
                    add_minimums<Format, kOuts>(w, b, *x[g], r, sums[r][g]);
                }
            }
        }
        for (int32_t g = 0; g < kGroupsOfX; ++g) ++x[g];
    }
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) results[r][g] = sums[r][g];
    }
}

// ---- Results ------------------------------------------------------------------------------------

// Results of some weight rows go to y[row * y_stride + i], or are added to it.
template <int32_t kOuts>
void store_outs(const __m256 (&sums)[kOuts], int64_t n_outs, int64_t n_rows, bool add, float* y,
                int64_t y_stride) {
    alignas(32) float values[kOuts][kGroupRows];
    for (int32_t r = 0; r < kOuts; ++r) _mm256_store_ps(values[r], sums[r]);
    for (int64_t t = 0; t < n_rows; ++t, y += y_stride) {
        for (int64_t i = 0; i < n_outs; ++i) y[i] = add ? y[i] + values[i][t] : values[i][t];
    }
}

// All weight rows that are unpacked, kTiles tiles at a time, with kGroupsOfX groups of activation rows
// from row `first`.
template <int32_t kTiles, int32_t kGroupsOfX, class Format>
void multiply_groups(const PanelBlock& block, const UnpackedTile<Format>* tiles, int64_t n_outs,
                     int64_t first_block, int64_t n_blocks, int32_t first, float* y) {
    constexpr int32_t kOuts = kTiles * kTileRowsOfW;
    constexpr auto kBytes =
        static_cast<int64_t>(sizeof(typename UnpackedTile<Format>::As::BlockOfX));
    const uint8_t* x[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) {
        x[g] = static_cast<const uint8_t*>(block.x) +
               (block.n_in / kRowBlock * (first / kGroupRows + g) + first_block) * kBytes;
    }
    for (int64_t i = 0; i < n_outs; i += kOuts, tiles += kTiles) {
        __m256 sums[kOuts][kGroupsOfX];
        multiply_tile_of_x(tiles, x, n_blocks, sums);
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            const int32_t row = first + g * kGroupRows;
            const int32_t left = block.n_rows - row;
            __m256 column[kOuts];
            for (int32_t r = 0; r < kOuts; ++r) column[r] = sums[r][g];
            store_outs(column, n_outs - i < kOuts ? n_outs - i : kOuts,
                       left < kGroupRows ? left : kGroupRows, block.adds || first_block > 0,
                       y + row * block.y_stride + i, block.y_stride);
        }
    }
}

template <class Format>
void multiply_panels_of_rows(const PanelBlock& block) {
    // Under few activation rows tiles had better stay in L1, or nearly so.
    const int64_t n_tiles = block.n_rows > 32 ? kTilesOfW : 2;
    const int64_t rows_of_w = n_tiles * kTileRowsOfW;
    UnpackedTile<Format> tiles[kTilesOfW];
    for (int64_t column = 0; column < block.n_in; column += kPanelColumns) {
        const int64_t left = block.n_in - column;
        const int64_t n_columns = left < kPanelColumns ? left : kPanelColumns;
        const int64_t first_block = column / kRowBlock;
        const int64_t n_blocks = n_columns / kRowBlock;
        for (int64_t i = 0; i < block.n_out; i += rows_of_w) {
            const int64_t n_outs = block.n_out - i < rows_of_w ? block.n_out - i : rows_of_w;
            for (int64_t t = 0; t < n_tiles; ++t) {
                unpack_tile<Format>(block, column, n_columns, i + t * kTileRowsOfW, tiles[t]);
            }
            int32_t row = 0;
            for (; block.n_rows - row > kGroupRows; row += 2 * kGroupRows) {
                multiply_groups<1, 2>(block, tiles, n_outs, first_block, n_blocks, row,
                                      block.y + i);
            }
            if (block.n_rows - row > 0) {
                multiply_groups<2, 1>(block, tiles, n_outs, first_block, n_blocks, row,
                                      block.y + i);
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
