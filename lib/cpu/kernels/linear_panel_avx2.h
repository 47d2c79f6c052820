// The AVX2 linear kernel for quantised weights and many activation rows, written once for all formats.
//
// A few weight rows at a time are unpacked, in order, and stay in L1 and L2 while all activation rows
// pass. A vector of activations holds 32 bits of each of 8 rows and meets the same of one weight row in
// all lanes. So a lane is a result, and no sum across lanes is needed.
//
// A tile is kTileRowsOfW weight rows in a panel of columns, as a set multiplies them. It has
//   using Format;                        // of quants_avx2.h
//   using BlockOfX;                      // of packed rows: panel_rows_avx2.h
//   quants[block][row];                  // of 32 columns
//   float minimums[row][];               // of blocks, or of their halves
//   static void store(quants of a block and a row, __m256i bytes);
//   void unpack(const uint8_t* at, int32_t row, int64_t block);  // a chunk, from block `block` of 32 on
//   void clear(int32_t row);
// and there is a function for the products of a block of some tiles with groups of activation rows, times
// the scales of the weights:
//   template <class Format, int32_t kOuts, int32_t kGroupsOfX>
//   void scaled_products(const Tile* w, int64_t block, const BlockOfX* const (&x)[kGroupsOfX],
//                       __m256 (&scaled)[kOuts][kGroupsOfX]);
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/panel_rows_avx2.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/quants_avx2.h"
#include "cpu/kernels/rounded_block_avx2.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Weight rows that are multiplied together, and those that are unpacked before activations pass.
constexpr int32_t kTileRowsOfW = 6;
constexpr int32_t kTilesOfW = 4;
constexpr int64_t kPanelColumns = 1024;
constexpr int64_t kPanelBlocks = kPanelColumns / kRowBlock;

// ---- Weights ------------------------------------------------------------------------------------

// Row `r` of a tile, from the columns of a panel of the weight row at `row`.
template <class Tile>
void unpack_row(const uint8_t* row, int64_t n_bytes, int64_t ahead, int32_t r, Tile& tile) {
    constexpr int64_t kChunkBytes = bytes_of<typename Tile::Format>(kChunk);
    int64_t block = 0;
    for (int64_t at = 0; at < n_bytes; at += kChunkBytes, block += kChunk / 32) {
        prefetch_bytes<kChunkBytes>(row, at + ahead);
        if (at + kChunkBytes <= n_bytes) {
            tile.unpack(row + at, r, block);
        } else {
            uint8_t tail[kChunkBytes] = {};
            std::memcpy(tail, row + at, static_cast<size_t>(n_bytes - at));
            tile.unpack(tail, r, block);
        }
    }
}

// A panel of columns of the weight rows from `first` on; zeros where there are none.
template <class Tile>
void unpack_tile(const PanelBlock& block, int64_t first_column, int64_t n_columns, int64_t first,
                 Tile& tile) {
    const int64_t n_bytes = bytes_of<typename Tile::Format>(n_columns);
    const auto* weights =
        static_cast<const uint8_t*>(block.weights) + bytes_of<typename Tile::Format>(first_column);
    for (int32_t r = 0; r < kTileRowsOfW; ++r) {
        if (first + r < block.n_out) {
            unpack_row(weights + (first + r) * block.row_bytes, n_bytes,
                       kTileRowsOfW * block.row_bytes, r, tile);
        } else {
            tile.clear(r);
        }
    }
}

// Stores the bytes of a chunk. A loop would not be unrolled.
template <int kPair = 0, class Tile>
[[gnu::always_inline]] inline void store_quants(const typename Tile::Format& w, int32_t row,
                                                int64_t block, Tile& tile) {
    if constexpr (kPair < kRowBlocks / 2) {
        __m256i first;
        __m256i second;
        w.template quants<kPair>(first, second);
        if constexpr (Tile::Format::kWideScales) {  // they are crossed
            const __m256i low = first;
            first = _mm256_permute2x128_si256(low, second, 0x20);
            second = _mm256_permute2x128_si256(low, second, 0x31);
        }
        Tile::store(tile.quants[block + 2 * kPair][row], first);
        Tile::store(tile.quants[block + 2 * kPair + 1][row], second);
        store_quants<kPair + 1>(w, row, block, tile);
    }
}

// ---- Products -----------------------------------------------------------------------------------

inline __m256i splat_four(const void* at) {
    int32_t four;
    std::memcpy(&four, at, sizeof four);
    return _mm256_set1_epi32(four);
}

// sum += the minimums of a weight row, those of block `block`, by the sums of activations.
template <class Format>
[[gnu::always_inline]] inline void add_minimums(const float* minimums, int64_t block,
                                                const PackedBytes& x, __m256& sum) {
    const __m256 low = _mm256_load_ps(x.sums[0]);
    const __m256 high = _mm256_load_ps(x.sums[1]);
    if constexpr (Format::kWideScales) {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + block), _mm256_add_ps(low, high), sum);
    } else {
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + 2 * block), low, sum);
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(minimums + 2 * block + 1), high, sum);
    }
}

// results[r][g]: the products of the weight rows of some tiles with group g of activation rows.
template <class Tile, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_tiles(
    const Tile* w, const typename Tile::BlockOfX* const (&first)[kGroupsOfX], int64_t n_blocks,
    __m256 (&results)[kOuts][kGroupsOfX]) {
    const typename Tile::BlockOfX* x[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) x[g] = first[g];
    __m256 sums[kOuts][kGroupsOfX];  // results would be stored in each turn
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) sums[r][g] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; ++b) {
        __m256 scaled[kOuts][kGroupsOfX];
        scaled_products(w, b, x, scaled);
        for (int32_t r = 0; r < kOuts; ++r) {
            const Tile& tile = w[r / kTileRowsOfW];
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                sums[r][g] =
                    _mm256_fmadd_ps(scaled[r][g], _mm256_load_ps(x[g]->scales), sums[r][g]);
                if constexpr (Tile::Format::kHasMinimums) {
                    add_minimums<typename Tile::Format>(tile.minimums[r % kTileRowsOfW], b, *x[g],
                                                        sums[r][g]);
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
template <int32_t kTiles, int32_t kGroupsOfX, class Tile>
[[gnu::noinline]] void multiply_groups(const PanelBlock& block, const Tile* tiles, int64_t n_outs,
                                       int64_t first_block, int64_t n_blocks, int32_t first,
                                       float* y) {
    constexpr int32_t kOuts = kTiles * kTileRowsOfW;
    using BlockOfX = typename Tile::BlockOfX;
    const BlockOfX* x[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) {
        x[g] = static_cast<const BlockOfX*>(block.x) +
               (block.n_in / kRowBlock * (first / kGroupRows + g) + first_block);
    }
    for (int64_t i = 0; i < n_outs; i += kOuts, tiles += kTiles) {
        __m256 sums[kOuts][kGroupsOfX];
        multiply_tiles(tiles, x, n_blocks, sums);
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

template <class Tile>
void multiply_panels_of_rows(const PanelBlock& block) {
    // Under few activation rows tiles had better stay in L1, or nearly so.
    const int64_t n_tiles = block.n_rows > 32 ? kTilesOfW : 2;
    const int64_t rows_of_w = n_tiles * kTileRowsOfW;
    Tile tiles[kTilesOfW];
    for (int64_t column = 0; column < block.n_in; column += kPanelColumns) {
        const int64_t left = block.n_in - column;
        const int64_t n_columns = left < kPanelColumns ? left : kPanelColumns;
        const int64_t first_block = column / kRowBlock;
        const int64_t n_blocks = n_columns / kRowBlock;
        for (int64_t i = 0; i < block.n_out; i += rows_of_w) {
            const int64_t n_outs = block.n_out - i < rows_of_w ? block.n_out - i : rows_of_w;
            for (int64_t t = 0; t < n_tiles; ++t) {
                unpack_tile(block, column, n_columns, i + t * kTileRowsOfW, tiles[t]);
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
