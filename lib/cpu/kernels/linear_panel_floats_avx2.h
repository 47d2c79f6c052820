// The linear kernel for float weights and many activation rows, written once for AVX2 and the sets
// above it.
//
// A few weight rows at a time are unpacked into cells, in order, and stay in L1 and L2 while all
// activation rows pass. A cell is 4 bytes: a column, or the two that one instruction multiplies and
// adds. Activations were packed into vectors of one cell of several rows: a vector meets the cell of a
// weight in all lanes. So a lane is a result, and no sum across lanes is needed.
//
// A kernel set is a struct with
//   using Wide;                             // the Vector of a group of rows
//   using Narrow;                           // of half as many where that is faster, or Wide again
//   static constexpr int32_t kTileOuts;     // weight rows whose sums with two Wides fit the registers
//   static constexpr int64_t kCellColumns;  // of a cell: 1 or 2
//   static void to_cells(const float* x, Cell* cells);  // a block of a row
// and a Vector has kRows, Floats, Cells, zero, splat, load, store and add_products. A format is one with
//   static constexpr int64_t kBytes;                     // of an element
//   static void unpack(const uint8_t* at, Cell* cells);  // a block of a row
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"

namespace puna::core {
namespace {

struct alignas(4) Cell {
    uint8_t bytes[4];
};
constexpr int64_t kCells = 16;  // of a row, that make a block

// Blocks of weight rows that are multiplied before results are stored, and weight rows that are
// unpacked before activations pass. Measured on Zen 4, with 512 rows: half of either costs 3 to 7 in 100
// of the speed, twice as much gains 1.
constexpr int64_t kPanelBlocks = 32;
constexpr int32_t kSetOuts = 48;

template <class Set>
constexpr int64_t kBlockColumns = kCells* Set::kCellColumns;

// ---- Packed activations -------------------------------------------------------------------------

// Rows are in groups of Wide::kRows; a last one of Narrow::kRows or fewer is one of Narrow::kRows.

// The size of kBlockColumns columns of n_rows, the last group being filled up with zeros.
template <class Set>
int64_t packed_block_bytes(int64_t n_rows) {
    constexpr int64_t kUnit = Set::Narrow::kRows;
    return (n_rows + kUnit - 1) / kUnit * kUnit * kCells * static_cast<int64_t>(sizeof(Cell));
}

// The same of 32 columns.
template <class Set>
int64_t packed_column_bytes(int64_t n_rows) {
    return 32 / kBlockColumns<Set> * packed_block_bytes<Set>(n_rows);
}

// Blocks of n_in columns, with the zeros up to a multiple of 32.
template <class Set>
constexpr int64_t n_packed_blocks(int64_t n_in) {
    return (n_in + 31) / 32 * (32 / kBlockColumns<Set>);
}

// out[c][r] = rows[r][c] for 4 rows of a block; out[c + 1] lies kRows cells after out[c].
template <int32_t kRows>
void transpose_cells(const Cell (&rows)[4][kCells], Cell* out) {
    for (int64_t c = 0; c < kCells; c += 4, out += 4 * kRows) {
        __m128 v[4];
        for (int r = 0; r < 4; ++r) v[r] = _mm_load_ps(reinterpret_cast<const float*>(rows[r] + c));
        _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
        for (int i = 0; i < 4; ++i) _mm_store_ps(reinterpret_cast<float*>(out + i * kRows), v[i]);
    }
}

template <class Set, int32_t kRows>
void pack_group(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, Cell* out) {
    const int64_t n_blocks = n_packed_blocks<Set>(n_in);
    for (int64_t b = 0; b < n_blocks; ++b, out += kCells * kRows) {
        const int64_t column = b * kBlockColumns<Set>;
        const int64_t left = n_in - column;
        for (int32_t r = 0; r < kRows; r += 4) {
            alignas(64) Cell rows[4][kCells] = {};
            for (int32_t i = 0; i < 4 && r + i < n_rows; ++i) {
                const float* row = x + (r + i) * x_stride + column;
                if (left >= kBlockColumns<Set>) {
                    Set::to_cells(row, rows[i]);
                } else if (left > 0) {
                    float tail[kBlockColumns<Set>] = {};
                    std::memcpy(tail, row, static_cast<size_t>(left) * sizeof *tail);
                    Set::to_cells(tail, rows[i]);
                }
            }
            transpose_cells<kRows>(rows, out + r);
        }
    }
}

template <class Set>
void pack_group(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* out = static_cast<Cell*>(group);
    if (n_rows <= Set::Narrow::kRows) {
        pack_group<Set, Set::Narrow::kRows>(x, x_stride, n_in, n_rows, out);
    } else {
        pack_group<Set, Set::Wide::kRows>(x, x_stride, n_in, n_rows, out);
    }
}

// ---- Unpacked weights ---------------------------------------------------------------------------

// Some weight rows in a panel of columns.
template <class Set>
struct alignas(64) Tile {
    Cell cells[kPanelBlocks][Set::kTileOuts][kCells];
};

// Row `r` of a tile, from n_columns elements at `at`; zeros beyond them.
template <class Set, class Format>
void unpack_row(const uint8_t* at, int64_t n_columns, int32_t r, Tile<Set>& tile) {
    constexpr int64_t kBytes = kBlockColumns<Set> * Format::kBytes;
    int64_t b = 0;
    for (; n_columns >= kBlockColumns<Set>; ++b, at += kBytes, n_columns -= kBlockColumns<Set>) {
        Format::unpack(at, tile.cells[b][r]);
    }
    if (n_columns > 0) {
        uint8_t tail[kBytes] = {};
        std::memcpy(tail, at, static_cast<size_t>(n_columns * Format::kBytes));
        Format::unpack(tail, tile.cells[b][r]);
    }
}

// A panel of columns of n_outs weight rows at `at`, and zeros up to a pair of tiles.
template <class Set, class Format>
void unpack_tiles(const uint8_t* at, int64_t row_bytes, int64_t n_columns, int64_t n_outs,
                  Tile<Set>* tiles) {
    constexpr int32_t kOuts = Set::kTileOuts;
    for (int64_t i = 0; i < n_outs; ++i, at += row_bytes) {
        unpack_row<Set, Format>(at, n_columns, static_cast<int32_t>(i % kOuts), tiles[i / kOuts]);
    }
    for (int64_t i = n_outs; i % (2 * kOuts) != 0; ++i) {
        for (auto& block : tiles[i / kOuts].cells)
            std::memset(block[i % kOuts], 0, sizeof block[0]);
    }
}

// Weights that the caches are asked for while others are multiplied. Their addresses are numbers, as
// they may lie beyond the matrix: fine for a prefetch, but not for a pointer.
struct Ahead {
    uintptr_t rows;  // 0: none
    uintptr_t row_bytes;
    uintptr_t block_bytes;

    Ahead after(int64_t n_rows) const {
        if (rows == 0) return *this;
        return {rows + static_cast<uintptr_t>(n_rows) * row_bytes, row_bytes, block_bytes};
    }
    // One block of n_rows rows. Into L1: on Zen 4 that was worth a tenth for 16 and 32 rows.
    void fetch(int64_t block, int32_t n_rows) const {
        uintptr_t at = rows + static_cast<uintptr_t>(block) * block_bytes;
        for (int32_t i = 0; i < n_rows; ++i, at += row_bytes) {
            _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0);
        }
    }
};

// ---- The product --------------------------------------------------------------------------------

// Accumulators of kTiles tiles of weight rows and kGroups groups of activation rows.
template <class Set, class Vector, int32_t kTiles, int32_t kGroups>
using Sums = typename Vector::Floats[kTiles][Set::kTileOuts][kGroups];

// Adds the products of the cells from kCell on of a block. A loop would not be unrolled, and cost a
// copy of all sums each time.
template <class Set, class Vector, int32_t kTiles, int32_t kGroups, int64_t kCell = 0>
[[gnu::always_inline]] inline void add_block(const Tile<Set>* tiles, int64_t b,
                                             const Cell* const (&x)[kGroups],
                                             Sums<Set, Vector, kTiles, kGroups>& sums) {
    if constexpr (kCell < kCells) {
        typename Vector::Cells xs[kGroups];
        for (int32_t g = 0; g < kGroups; ++g) xs[g] = Vector::load(x[g] + kCell * Vector::kRows);
        for (int32_t t = 0; t < kTiles; ++t) {
            for (int32_t i = 0; i < Set::kTileOuts; ++i) {
                const auto w = Vector::splat(tiles[t].cells[b][i][kCell]);
                for (int32_t g = 0; g < kGroups; ++g) {
                    sums[t][i][g] = Vector::add_products(sums[t][i][g], w, xs[g]);
                }
            }
        }
        add_block<Set, Vector, kTiles, kGroups, kCell + 1>(tiles, b, x, sums);
    }
}

// out[i][r]: weight row i of kTiles tiles with activation row r of kGroups groups.
template <class Set, class Vector, int32_t kTiles, int32_t kGroups>
void multiply_tiles(const Tile<Set>* tiles, const Cell* const (&groups)[kGroups], int64_t n_blocks,
                    const Ahead& ahead, float (*out)[kGroups * Vector::kRows]) {
    Sums<Set, Vector, kTiles, kGroups> sums;
    for (auto& tile : sums) {
        for (auto& row : tile) {
            for (auto& sum : row) sum = Vector::zero();
        }
    }
    const Cell* x[kGroups];
    for (int32_t g = 0; g < kGroups; ++g) x[g] = groups[g];
    for (int64_t b = 0; b < n_blocks; ++b) {
        if (ahead.rows != 0) ahead.fetch(b, kTiles * Set::kTileOuts);
        add_block<Set, Vector, kTiles, kGroups>(tiles, b, x, sums);
        for (int32_t g = 0; g < kGroups; ++g) x[g] += kCells * Vector::kRows;
    }
    for (auto& tile : sums) {
        for (auto& row : tile) {
            for (int32_t g = 0; g < kGroups; ++g) Vector::store(*out + g * Vector::kRows, row[g]);
            ++out;
        }
    }
}

// y[r][i] = values[i][r], or is added to it.
template <int32_t kRows>
void store_results(const float (*values)[kRows], int64_t n_outs, int32_t n_rows, bool add, float* y,
                   int64_t y_stride) {
    for (int32_t r = 0; r < n_rows; r += 4, y += 4 * y_stride) {
        const int32_t n = n_rows - r < 4 ? n_rows - r : 4;
        int64_t i = 0;
        for (; i + 4 <= n_outs; i += 4) {
            __m128 v[4];
            for (int o = 0; o < 4; ++o) v[o] = _mm_load_ps(values[i + o] + r);
            _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
            for (int32_t t = 0; t < n; ++t) {
                float* at = y + t * y_stride + i;
                _mm_storeu_ps(at, add ? _mm_add_ps(_mm_loadu_ps(at), v[t]) : v[t]);
            }
        }
        for (; i < n_outs; ++i) {
            for (int32_t t = 0; t < n; ++t) {
                float* at = y + t * y_stride + i;
                *at = add ? *at + values[i][r + t] : values[i][r + t];
            }
        }
    }
}

// The part of a product that is worked on: a panel of columns of some weight rows.
template <class Set>
struct Part {
    const PanelBlock& block;
    const Tile<Set>* tiles;
    int64_t first_out;
    int64_t n_outs;
    int64_t first_block;
    int64_t n_blocks;
    Ahead next;  // the part that follows
};

// All its weight rows, kTiles tiles at a time, with kGroups groups of activation rows from row `first`.
template <class Vector, int32_t kTiles, int32_t kGroups, class Set>
void multiply_groups(const Part<Set>& part, int32_t first) {
    constexpr int32_t kRows = kGroups * Vector::kRows;
    const PanelBlock& block = part.block;
    const Cell* groups[kGroups];
    for (int32_t g = 0; g < kGroups; ++g) {
        const int64_t bytes_before =
            n_packed_blocks<Set>(block.n_in) * packed_block_bytes<Set>(first + g * Vector::kRows);
        groups[g] =
            reinterpret_cast<const Cell*>(static_cast<const uint8_t*>(block.x) + bytes_before) +
            part.first_block * kCells * Vector::kRows;
    }
    const int32_t left = block.n_rows - first;
    // The last rows of a part ask for the next one: earlier, it might be gone again.
    const Ahead ahead = left <= kRows ? part.next : Ahead{};
    alignas(64) float values[kSetOuts][kRows];
    for (int64_t i = 0; i < part.n_outs; i += kTiles * Set::kTileOuts) {
        multiply_tiles<Set, Vector, kTiles>(part.tiles + i / Set::kTileOuts, groups, part.n_blocks,
                                            ahead.after(i), values + i);
    }
    store_results<kRows>(values, part.n_outs, left < kRows ? left : kRows,
                         block.adds || part.first_block > 0,
                         block.y + first * block.y_stride + part.first_out, block.y_stride);
}

template <class Set>
void multiply_part(const Part<Set>& part) {
    using Wide = typename Set::Wide;
    using Narrow = typename Set::Narrow;
    const int32_t n_rows = part.block.n_rows;
    int32_t row = 0;
    for (; n_rows - row > 2 * Wide::kRows - Narrow::kRows; row += 2 * Wide::kRows) {
        multiply_groups<Wide, 1, 2>(part, row);
    }
    if (n_rows - row > Narrow::kRows) {
        multiply_groups<Wide, 2, 1>(part, row);
        row += Wide::kRows;
    }
    if (n_rows - row > 0) multiply_groups<Narrow, 2, 1>(part, row);
}

template <class Set, class Format>
void multiply_panels(const PanelBlock& block) {
    constexpr int64_t kPanelColumns = kPanelBlocks * kBlockColumns<Set>;
    static_assert(kSetOuts % (2 * Set::kTileOuts) == 0);
    Tile<Set> tiles[kSetOuts / Set::kTileOuts];
    for (int64_t i = 0; i < block.n_out; i += kSetOuts) {
        const uint8_t* rows = static_cast<const uint8_t*>(block.weights) + i * block.row_bytes;
        const int64_t n_outs = block.n_out - i < kSetOuts ? block.n_out - i : kSetOuts;
        // Panels are the inner loop: rows are read from their start to their end, which was worth a
        // quarter for 8 and 16 activation rows where memory holds the weights.
        for (int64_t column = 0; column < block.n_in; column += kPanelColumns) {
            const int64_t left = block.n_in - column;
            const int64_t n_columns = left < kPanelColumns ? left : kPanelColumns;
            const int64_t n_blocks = (n_columns + kBlockColumns<Set> - 1) / kBlockColumns<Set>;
            const uint8_t* at = rows + column * Format::kBytes;
            unpack_tiles<Set, Format>(at, block.row_bytes, n_columns, n_outs, tiles);
            Ahead next = {0, static_cast<uintptr_t>(block.row_bytes),
                          static_cast<uintptr_t>(kBlockColumns<Set> * Format::kBytes)};
            if (kPanelColumns < left) {
                next.rows = reinterpret_cast<uintptr_t>(at + kPanelColumns * Format::kBytes);
            } else if (i + kSetOuts < block.n_out) {
                next.rows = reinterpret_cast<uintptr_t>(rows + kSetOuts * block.row_bytes);
            }
            multiply_part<Set>(
                {block, tiles, i, n_outs, column / kBlockColumns<Set>, n_blocks, next});
        }
    }
}

}  // namespace
}  // namespace puna::core
