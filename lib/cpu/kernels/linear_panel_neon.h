// The NEON linear kernel for quantised weights and many activation rows, written once for all formats
// (chunk_neon.h) and for the instructions that multiply bytes.
//
// Some weight rows at a time are unpacked into signed bytes, in the order that these instructions want,
// and stay in L1 and L2 while all activation rows pass, which were rounded to 8 bits in groups of 32
// with a scale of their own (panel_rows_neon.h). A lane is a result, so no sum across lanes is needed.
//
// A Product is a struct that knows the instruction. It multiplies a quartet, four weight rows, with
// kRows activation rows into kRows vectors of four results each:
//   static void store(const int8x16_t (&rows)[4], int half, int8_t* quartet);
//   template <int kEight, int32_t kRows>
//   static void add(const int8_t* quartet, const int8x16_t (&x)[kRows / 2], int32x4_t (&sums)[kRows]);
//   template <int kVector> static float32x4_t of_weights(const float* four);
//   template <int kVector> static float32x4_t of_rows(float32x4_t four);
//   template <int kVector> static void store_results(float32x4_t v, float* y, int64_t stride);
// `store` puts a half of a block of 32 columns into a quartet of kQuartetBytes. `add` adds the products
// of the columns 8 kEight .. 8 kEight + 7 with pairs of rows. `of_weights` and `of_rows` arrange a
// factor of each weight row or activation row as the results of a vector lie in it. `store_results`
// writes these where y[row * stride + weight row] is.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/chunk_neon.h"
#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/panel_rows_neon.h"

namespace puna::core {
namespace {

// Weight rows that are multiplied together with four activation rows. The results take 12 vectors of
// integers and 12 of floats; the operands have the other 8 of the 32 registers. Twelve independent sums
// hide a latency of three cycles where four sdot begin in each.
constexpr int32_t kQuartets = 3;
constexpr int32_t kTileOfW = 4 * kQuartets;
// Those that are unpacked before activations pass, and the columns that are: 48 KB of bytes.
constexpr int32_t kTilesOfW = 4;
constexpr int64_t kPanelColumns = 1024;
constexpr int64_t kPanelBlocks = kPanelColumns / kPart;
constexpr int64_t kQuartetBytes = 4 * kPart;

template <class Format>
struct alignas(64) UnpackedTile {
    static constexpr int kScales = Format::kWideScales ? 1 : 2;  // of a block

    int8_t quants[kPanelBlocks][kQuartets][kQuartetBytes];
    float scales[kQuartets][kPanelBlocks * kScales][4];  // [..][scale][weight row]
    float minimums[kQuartets][Format::kHasMinimums ? kPanelBlocks * kScales : 1][4];
};

// ---- Unpacking ----------------------------------------------------------------------------------

// A chunk of the four weight rows of a quartet, whose first block is `block`.
template <class Product, class Format>
void unpack_chunk(const uint8_t* const (&rows)[4], int64_t block, int32_t quartet,
                  UnpackedTile<Format>& tile) {
    constexpr int kScales = UnpackedTile<Format>::kScales;
    Format w[4];
    for (int r = 0; r < 4; ++r) w[r].open(rows[r]);
    for (int i = 0; i < kFactors<Format::kWideScales>; ++i) {
        const int64_t scale = block * kScales + 4 * i;
        const float32x4x4_t scales = {
            {w[0].scales[i], w[1].scales[i], w[2].scales[i], w[3].scales[i]}};
        vst4q_f32(tile.scales[quartet][scale], scales);
        if constexpr (Format::kHasMinimums) {
            const float32x4x4_t minimums = {
                {w[0].minimums[i], w[1].minimums[i], w[2].minimums[i], w[3].minimums[i]}};
            vst4q_f32(tile.minimums[quartet][scale], minimums);
        }
    }
    unroll<kParts>([&](auto part) __attribute__((always_inline)) {
        int8x16_t first[4];
        int8x16_t second[4];
        for (int r = 0; r < 4; ++r) {
            const Quants quants = w[r].template quants<part>();
            first[r] = quants.first;
            second[r] = quants.second;
        }
        Product::store(first, 0, tile.quants[block + part][quartet]);
        Product::store(second, 1, tile.quants[block + part][quartet]);
    });
}

// A quartet of a tile, from n_bytes of four weight rows.
template <class Product, class Format>
void unpack_quartet(const uint8_t* const (&rows)[4], int64_t n_bytes, int32_t quartet,
                    UnpackedTile<Format>& tile) {
    constexpr int64_t kChunkBytes = bytes_of<Format>(kChunk);
    int64_t block = 0;
    for (int64_t at = 0; at < n_bytes; at += kChunkBytes, block += kParts) {
        const uint8_t* chunks[4];
        uint8_t tails[4][kChunkBytes];
        for (int r = 0; r < 4; ++r) {
            chunks[r] = rows[r] + at;
            if (at + kChunkBytes > n_bytes) {  // as one that is zero beyond
                const auto n_there = static_cast<size_t>(n_bytes - at);
                std::memcpy(tails[r], chunks[r], n_there);
                std::memset(tails[r] + n_there, 0, kChunkBytes - n_there);
                chunks[r] = tails[r];
            }
        }
        unpack_chunk<Product>(chunks, block, quartet, tile);
    }
}

// A panel of columns of the weight rows from `first` on, as far as there are any. What a quartet lacks
// is unpacked from the last row of the matrix; nobody reads its results.
template <class Product, class Format>
void unpack_tile(const PanelBlock& block, int64_t first_column, int64_t n_columns, int64_t first,
                 UnpackedTile<Format>& tile) {
    const int64_t n_bytes = bytes_of<Format>(n_columns);
    const auto* weights =
        static_cast<const uint8_t*>(block.weights) + bytes_of<Format>(first_column);
    for (int32_t q = 0; q < kQuartets && first + 4 * q < block.n_out; ++q) {
        const uint8_t* rows[4];
        for (int32_t r = 0; r < 4; ++r) {
            const int64_t row = first + 4 * q + r;
            rows[r] = weights + (row < block.n_out ? row : block.n_out - 1) * block.row_bytes;
        }
        unpack_quartet<Product>(rows, n_bytes, q, tile);
    }
}

// ---- Products -----------------------------------------------------------------------------------

// Adds the products of the columns that have scale kScale of a block, times their scales.
template <class Product, int kScale, class Format, int32_t kCount, int32_t kRows>
[[gnu::always_inline]] inline void add_columns(const UnpackedTile<Format>& w, int64_t block,
                                               const PackedBlock& x,
                                               float32x4_t (&sums)[kCount][kRows]) {
    constexpr int kScales = UnpackedTile<Format>::kScales;
    constexpr int kEights = 4 / kScales;
    int32x4_t products[kCount][kRows];
    for (int32_t q = 0; q < kCount; ++q) {
        for (int32_t v = 0; v < kRows; ++v) products[q][v] = vdupq_n_s32(0);
    }
    unroll<kEights>([&](auto i) __attribute__((always_inline)) {
        constexpr int kEight = kScale * kEights + i;
        int8x16_t pairs[kRows / 2];
        for (int32_t p = 0; p < kRows / 2; ++p) pairs[p] = vld1q_s8(x.bytes[kEight][p][0]);
        for (int32_t q = 0; q < kCount; ++q) {
            Product::template add<kEight, kRows>(w.quants[block][q], pairs, products[q]);
        }
    });
    const float32x4_t x_scales = vld1q_f32(x.scales);
    const int64_t scale = block * kScales + kScale;
    unroll<kRows>([&](auto v) __attribute__((always_inline)) {
        const float32x4_t of_rows = Product::template of_rows<v>(x_scales);
        for (int32_t q = 0; q < kCount; ++q) {
            const float32x4_t of_weights = Product::template of_weights<v>(w.scales[q][scale]);
            sums[q][v] = vfmaq_f32(sums[q][v], vcvtq_f32_s32(products[q][v]),
                                   vmulq_f32(of_weights, of_rows));
        }
    });
    if constexpr (Format::kHasMinimums) {
        float32x4_t x_sums = vld1q_f32(x.sums[kScale]);
        if constexpr (Format::kWideScales) x_sums = vaddq_f32(x_sums, vld1q_f32(x.sums[1]));
        unroll<kRows>([&](auto v) __attribute__((always_inline)) {
            const float32x4_t of_rows = Product::template of_rows<v>(x_sums);
            for (int32_t q = 0; q < kCount; ++q) {
                const float32x4_t of_weights =
                    Product::template of_weights<v>(w.minimums[q][scale]);
                sums[q][v] = vfmaq_f32(sums[q][v], of_weights, of_rows);
            }
        });
    }
}

// Where the results of a tile go, or are added to.
struct Results {
    float* y;
    int64_t stride;  // floats from an activation row to the next
    int64_t n_outs;
    int32_t n_rows;
    bool add;
};

// The products of kCount quartets of a tile with the first kRows rows of a group.
template <class Product, int32_t kCount, int32_t kRows, class Format>
void multiply_quartets(const UnpackedTile<Format>& w, const PackedBlock* x, int64_t n_blocks,
                       const Results& results) {
    float32x4_t sums[kCount][kRows];
    for (int32_t q = 0; q < kCount; ++q) {
        for (int32_t v = 0; v < kRows; ++v) sums[q][v] = vdupq_n_f32(0.0f);
    }
    for (int64_t b = 0; b < n_blocks; ++b, ++x) {
        unroll<UnpackedTile<Format>::kScales>([&](auto scale) __attribute__((always_inline)) {
            add_columns<Product, scale>(w, b, *x, sums);
        });
    }
    float values[kRows][4 * kCount];
    unroll<kRows>([&](auto v) __attribute__((always_inline)) {
        for (int32_t q = 0; q < kCount; ++q) {
            Product::template store_results<v>(sums[q][v], values[0] + 4 * q, 4 * kCount);
        }
    });
    float* y = results.y;
    for (int32_t r = 0; r < results.n_rows; ++r, y += results.stride) {
        for (int64_t i = 0; i < results.n_outs; ++i) {
            y[i] = results.add ? y[i] + values[r][i] : values[r][i];
        }
    }
}

template <class Product, int32_t kRows, class Format>
void multiply_tile(const UnpackedTile<Format>& w, const PackedBlock* x, int64_t n_blocks,
                   const Results& results) {
    static_assert(kQuartets == 3);
    if (results.n_outs > 8) {
        multiply_quartets<Product, 3, kRows>(w, x, n_blocks, results);
    } else if (results.n_outs > 4) {
        multiply_quartets<Product, 2, kRows>(w, x, n_blocks, results);
    } else {
        multiply_quartets<Product, 1, kRows>(w, x, n_blocks, results);
    }
}

// All weight rows that are unpacked, with all activation rows.
template <class Product, class Format>
void multiply_unpacked(const PanelBlock& block, const UnpackedTile<Format>* tiles, int64_t n_outs,
                       int64_t first_block, int64_t n_blocks, float* y) {
    const auto* x = static_cast<const PackedBlock*>(block.x) + first_block;
    for (int32_t row = 0; row < block.n_rows; row += kGroupRows, x += block.n_in / kPart) {
        const int32_t left = block.n_rows - row;
        for (int64_t i = 0; i < n_outs; i += kTileOfW) {
            const UnpackedTile<Format>& tile = tiles[i / kTileOfW];
            const Results results = {y + row * block.y_stride + i, block.y_stride,
                                     n_outs - i < kTileOfW ? n_outs - i : kTileOfW,
                                     left < kGroupRows ? left : kGroupRows,
                                     block.adds || first_block > 0};
            if (left > 2) {
                multiply_tile<Product, 4>(tile, x, n_blocks, results);
            } else {
                multiply_tile<Product, 2>(tile, x, n_blocks, results);
            }
        }
    }
}

template <class Product, class Format>
void multiply_panels(const PanelBlock& block) {
    UnpackedTile<Format> tiles[kTilesOfW];
    for (int64_t column = 0; column < block.n_in; column += kPanelColumns) {
        const int64_t left = block.n_in - column;
        const int64_t n_columns = left < kPanelColumns ? left : kPanelColumns;
        for (int64_t i = 0; i < block.n_out; i += kTilesOfW * kTileOfW) {
            const int64_t most = kTilesOfW * kTileOfW;
            const int64_t n_outs = block.n_out - i < most ? block.n_out - i : most;
            for (int64_t t = 0; t * kTileOfW < n_outs; ++t) {
                unpack_tile<Product>(block, column, n_columns, i + t * kTileOfW, tiles[t]);
            }
            multiply_unpacked<Product>(block, tiles, n_outs, column / kPart, n_columns / kPart,
                                       block.y + i);
        }
    }
}

}  // namespace
}  // namespace puna::core
