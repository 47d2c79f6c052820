// The AVX-512 linear kernel for quantised weights and many activation rows, written once for all
// formats.
//
// A few weight rows at a time are unpacked into unsigned bytes, in order, and stay in L1 and L2 while
// all activation rows pass. Activations were rounded to 8 bits in groups of 32 with a scale of their
// own (panel_rows_avx512.h): a vector holds four elements of 16 or 8 rows, as signed bytes, and VNNI
// multiplies it with four weights in all lanes. So a lane is a result, and no sum across lanes is
// needed.
//
// Formats are those of quants_avx512.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/panel_rows_avx512.h"
#include "cpu/kernels/unpack_tile.h"

namespace puna::core {
namespace {

// Weight rows that are multiplied together, and those that are unpacked before activations pass.
constexpr int32_t kTileRowsOfW = 6;
constexpr int32_t kTilesOfW = 4;
constexpr int64_t kPanelColumns = 2048;
constexpr int64_t kPanelBlocks = kPanelColumns / kRowBlock;

// Up to kTileRowsOfW weight rows in a panel of columns; those beyond the matrix are zeros.
template <class Format>
struct alignas(64) UnpackedTile {
    static constexpr int32_t kRows = kTileRowsOfW;
    static constexpr int64_t kChunk = core::kChunk;
    static constexpr int kScales = Format::kWideScales ? 1 : 2;  // of kRowBlock elements

    uint8_t quants[kPanelBlocks][kTileRowsOfW][kRowBlock];
    float scales[kTileRowsOfW][kPanelBlocks * kScales];
    float minimums[kTileRowsOfW][Format::kHasMinimums ? kPanelBlocks * kScales : 1];

    template <int kQuad>
    void store_quad(const Format& w, int32_t row, int64_t block) {
        const __m512i bytes = w.template quants<kQuad>();
        uint8_t(*at)[kTileRowsOfW][kRowBlock] = quants + block + 2 * kQuad;
        _mm256_store_si256(reinterpret_cast<__m256i*>(at[0][row]), _mm512_castsi512_si256(bytes));
        _mm256_store_si256(reinterpret_cast<__m256i*>(at[1][row]),
                           _mm512_extracti64x4_epi64(bytes, 1));
    }

    // The 256 elements at `at` of a row, whose first block is `block`.
    void unpack(const uint8_t* at, int32_t row, int64_t block) {
        Format w;
        w.open(at);
        store_quad<0>(w, row, block);
        store_quad<1>(w, row, block);
        store_quad<2>(w, row, block);
        store_quad<3>(w, row, block);
        store_factors(scales[row] + block * kScales, w.scales);
        if constexpr (Format::kHasMinimums) {
            store_factors(minimums[row] + block * kScales, w.minimums);
        }
    }

    void clear(int32_t row) {
        for (auto& block : quants) std::memset(block[row], 0, sizeof block[row]);
        std::memset(scales[row], 0, sizeof scales[row]);
        std::memset(minimums[row], 0, sizeof minimums[row]);
    }

    static void store_factors(float* at, __m512 factors) { _mm512_storeu_ps(at, factors); }
    static void store_factors(float* at, __m256 factors) { _mm256_storeu_ps(at, factors); }
};

// Sums of the bytes of activations that meet scale `s` of a block.
template <class Vector, class Format>
[[gnu::always_inline]] inline typename Vector::Ints sums_of(const PackedBlock<Vector::kRows>& x,
                                                            int s) {
    if constexpr (!Format::kWideScales) return Vector::load(x.sums[s]);
    return Vector::add(Vector::load(x.sums[0]), Vector::load(x.sums[1]));
}

// Adds what the weight rows and group g of activation rows have in one scale's elements.
template <class Vector, class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_scaled(
    const UnpackedTile<Format>* w, int64_t scale, const PackedBlock<Vector::kRows>& x, int s,
    const typename Vector::Ints (&products)[kOuts][kGroupsOfX], int32_t g,
    typename Vector::Floats (&sums)[kOuts][kGroupsOfX]) {
    using Floats = typename Vector::Floats;
    const Floats x_scales = Vector::load(x.scales);
    Floats x_sums;
    if constexpr (Format::kHasMinimums) {
        x_sums = Vector::multiply(Vector::to_floats(sums_of<Vector, Format>(x, s)), x_scales);
    }
    for (int32_t r = 0; r < kOuts; ++r) {
        const UnpackedTile<Format>& tile = w[r / kTileRowsOfW];
        const Floats scaled = Vector::multiply(Vector::to_floats(products[r][g]),
                                               Vector::splat(tile.scales[r % kTileRowsOfW][scale]));
        sums[r][g] = Vector::multiply_add(scaled, x_scales, sums[r][g]);
        if constexpr (Format::kHasMinimums) {
            const Floats minimum = Vector::splat(tile.minimums[r % kTileRowsOfW][scale]);
            sums[r][g] = Vector::multiply_add(minimum, x_sums, sums[r][g]);
        }
    }
}

// Adds the products of the elements kBegin .. kEnd - 1 of the block, counted from `first`. A loop would
// not be unrolled, and cost a copy of all sums each time.
template <class Vector, class Format, int kElement = 0, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_products(
    const UnpackedTile<Format>* w, int64_t block, int first,
    const PackedBlock<Vector::kRows>* const (&x)[kGroupsOfX],
    typename Vector::Ints (&products)[kOuts][kGroupsOfX]) {
    using Ints = typename Vector::Ints;
    if constexpr (kElement < kRowBlock / UnpackedTile<Format>::kScales) {
        Ints four_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            four_of_x[g] = Vector::load(x[g]->bytes[(first + kElement) / 4]);
        }
        for (int32_t r = 0; r < kOuts; ++r) {
            const UnpackedTile<Format>& tile = w[r / kTileRowsOfW];
            int32_t four;
            std::memcpy(&four, tile.quants[block][r % kTileRowsOfW] + first + kElement,
                        sizeof four);
            const Ints quants = Vector::splat(four);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                products[r][g] = Vector::add_products(products[r][g], quants, four_of_x[g]);
            }
        }
        add_products<Vector, Format, kElement + 4>(w, block, first, x, products);
    }
}

// sums[r][g]: the products of the weight rows with group g of activation rows.
template <class Vector, class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_tile_of_x(
    const UnpackedTile<Format>* w, const uint8_t* const (&at)[kGroupsOfX], int64_t n_blocks,
    typename Vector::Floats (&sums)[kOuts][kGroupsOfX]) {
    using Ints = typename Vector::Ints;
    constexpr int kScales = UnpackedTile<Format>::kScales;
    using Block = PackedBlock<Vector::kRows>;
    const Block* next[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) next[g] = reinterpret_cast<const Block*>(at[g]);
    for (int32_t r = 0; r < kOuts; ++r) {
        for (int32_t g = 0; g < kGroupsOfX; ++g) sums[r][g] = Vector::zero();
    }
    for (int64_t b = 0; b < n_blocks; ++b) {
        for (int s = 0; s < kScales; ++s) {
            Ints products[kOuts][kGroupsOfX];
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                // What unsigned quants give too much.
                Ints start = Vector::splat(0);
                if constexpr (Format::kOffset != 0) {
                    start = Vector::template minus_times<Format::kOffset>(
                        sums_of<Vector, Format>(*next[g], s));
                }
                for (int32_t r = 0; r < kOuts; ++r) products[r][g] = start;
            }
            add_products<Vector, Format>(w, b, 32 / kScales * s, next, products);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                add_scaled<Vector, Format>(w, b * kScales + s, *next[g], s, products, g, sums);
            }
        }
        for (int32_t g = 0; g < kGroupsOfX; ++g) ++next[g];
    }
}

// Results of some weight rows go to y[row * y_stride + i], or are added to it.
template <class Vector, int32_t kOuts>
void store_outs(const typename Vector::Floats (&sums)[kOuts], int64_t n_outs, int64_t n_rows,
                bool add, float* y, int64_t y_stride) {
    alignas(64) float values[kOuts][Vector::kRows];
    for (int32_t r = 0; r < kOuts; ++r) Vector::store(values[r], sums[r]);
    for (int64_t t = 0; t < n_rows; ++t, y += y_stride) {
        for (int64_t i = 0; i < n_outs; ++i) y[i] = add ? y[i] + values[i][t] : values[i][t];
    }
}

// All weight rows that are unpacked, kTiles tiles at a time, with kGroupsOfX groups of activation rows
// from row `first`.
template <class Vector, int32_t kTiles, int32_t kGroupsOfX, class Format>
void multiply_groups(const PanelBlock& block, const UnpackedTile<Format>* tiles, int64_t n_outs,
                     int64_t first_block, int64_t n_blocks, int32_t first, float* y) {
    constexpr int32_t kOuts = kTiles * kTileRowsOfW;
    const uint8_t* x[kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) {
        x[g] = static_cast<const uint8_t*>(block.x) +
               block.n_in / kRowBlock * packed_bytes(first + g * Vector::kRows) +
               first_block * static_cast<int64_t>(sizeof(PackedBlock<Vector::kRows>));
    }
    for (int64_t i = 0; i < n_outs; i += kOuts, tiles += kTiles) {
        typename Vector::Floats sums[kOuts][kGroupsOfX];
        multiply_tile_of_x<Vector>(tiles, x, n_blocks, sums);
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            const int32_t row = first + g * Vector::kRows;
            const int32_t left = block.n_rows - row;
            typename Vector::Floats column[kOuts];
            for (int32_t r = 0; r < kOuts; ++r) column[r] = sums[r][g];
            store_outs<Vector>(column, n_outs - i < kOuts ? n_outs - i : kOuts,
                               left < Vector::kRows ? left : Vector::kRows, first_block > 0,
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
            for (; block.n_rows - row > 24; row += 32) {
                multiply_groups<Rows16, 1, 2>(block, tiles, n_outs, first_block, n_blocks, row,
                                              block.y + i);
            }
            if (block.n_rows - row > 8) {
                multiply_groups<Rows16, 2, 1>(block, tiles, n_outs, first_block, n_blocks, row,
                                              block.y + i);
                row += 16;
            }
            if (block.n_rows - row > 0) {
                multiply_groups<Rows8, 2, 1>(block, tiles, n_outs, first_block, n_blocks, row,
                                             block.y + i);
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
