// The AMX linear kernel for many activation rows, written once for all formats.
//
// Weights become bf16, 32 rows by 512 columns at a time, which is 32 KB: two by sixteen tiles that stay
// in L1 while all activation rows pass. The activations, bf16 in pairs of columns (panel_rows_amx.cpp),
// come from L2: 512 of them by 512 columns are 512 KB. Two tiles of weights meet two of activations in four
// tiles of sums, so that a multiplication of 16 cycles takes one load of a tile.
//
// Rounding to bf16 changes a factor by 1/512 of its size at most; products and sums are floats.
//
// A format is a struct with
//   static int64_t bytes_of(int64_t n);  // of n elements from the beginning of a block
//   static void unpack(const uint8_t* at, int64_t n, PanelRow& row);  // n elements; zeros up to a step
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/tiles_amx.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kPanelColumns = 512;
constexpr int64_t kPanelSteps = kPanelColumns / kStep;
constexpr int32_t kPanelTiles = 2;
constexpr int32_t kPanelRows = kPanelTiles * kTileRows;
// Up to as many activation rows have their sums beside the tiles; more have them in y.
constexpr int32_t kFewRows = 2 * kTileRows;

// A row of tiles: where its steps go.
struct PanelRow {
    uint8_t* at;

    void store(int64_t step, __m512i elements) {
        _mm512_store_si512(at + step * kTileBytes, elements);
    }
};

struct alignas(64) Panel {
    uint8_t tiles[kPanelTiles][kPanelSteps][kTileBytes];

    PanelRow row(int32_t r) { return {tiles[r / kTileRows][0] + r % kTileRows * kTileRowBytes}; }
};

// Some columns of up to kPanelRows weight rows.
struct Slice {
    const uint8_t* weights;
    int64_t row_bytes;
    int64_t n_outs;
    int64_t n_columns;
    int64_t next;  // from a row to what is unpacked after it, in bytes
};

template <class Format>
void unpack(const Slice& slice, Panel& panel) {
    const int64_t n_bytes = Format::bytes_of(slice.n_columns);
    for (int32_t r = 0; r < kPanelRows; ++r) {
        PanelRow row = panel.row(r);
        if (r < slice.n_outs) {
            const uint8_t* at = slice.weights + r * slice.row_bytes;
            for (int64_t line = 0; line < n_bytes; line += 64) {
                prefetch_bytes<64>(at, slice.next + line);
            }
            Format::unpack(at, slice.n_columns, row);
        } else {
            for (int64_t j = 0; j < slice.n_columns; j += kStep) {
                row.store(j / kStep, _mm512_setzero_si512());
            }
        }
    }
}

// The tiles: 0 to 3 are sums [tile of weights][group of rows], 4 and 5 weights, 6 and 7 activations.
template <int32_t kGroupsOfX>
[[gnu::always_inline]] inline void clear_sums() {
    Tiles::clear<0>();
    Tiles::clear<2>();
    if constexpr (kGroupsOfX == 2) {
        Tiles::clear<1>();
        Tiles::clear<3>();
    }
}

// Adds the products with kGroupsOfX groups of rows, `group_bytes` apart.
template <int32_t kGroupsOfX>
void add_products(const Panel& panel, int64_t n_steps, const uint8_t* x, int64_t group_bytes) {
    for (int64_t step = 0; step < n_steps; ++step, x += kTileBytes) {
        Tiles::load<4>(panel.tiles[0][step]);
        Tiles::load<6>(x);
        Tiles::multiply<0, 4, 6>();
        if constexpr (kGroupsOfX == 2) {
            Tiles::load<7>(x + group_bytes);
            Tiles::multiply<1, 4, 7>();
        }
        Tiles::load<5>(panel.tiles[1][step]);
        Tiles::multiply<2, 5, 6>();
        if constexpr (kGroupsOfX == 2) Tiles::multiply<3, 5, 7>();
    }
}

// Sums of up to 32 weight rows with up to 32 activation rows.
struct alignas(64) Sums {
    float of[kPanelTiles][2][kTileRows][16];  // [tile of weights][group of rows][weight row][row]

    template <int32_t kGroupsOfX>
    void take() {
        Tiles::store<0>(of[0][0]);
        Tiles::store<2>(of[1][0]);
        if constexpr (kGroupsOfX == 2) {
            Tiles::store<1>(of[0][1]);
            Tiles::store<3>(of[1][1]);
        }
    }
    template <int32_t kGroupsOfX>
    void add(const Sums& more) {
        for (int32_t t = 0; t < kPanelTiles; ++t) {
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                for (int32_t i = 0; i < kTileRows; ++i) {
                    float* at = of[t][g][i];
                    _mm512_store_ps(
                        at, _mm512_add_ps(_mm512_load_ps(at), _mm512_load_ps(more.of[t][g][i])));
                }
            }
        }
    }
};

// y[row][i] (+)= sums, for the rows and outputs that there are.
template <int32_t kGroupsOfX>
void store_sums(const Sums& sums, int64_t n_outs, int64_t n_rows, bool add, float* y,
                int64_t y_stride) {
    for (int32_t t = 0; t < kPanelTiles; ++t) {
        const __mmask16 outs = lanes_before(n_outs, t * kTileRows);
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            const int64_t rows = n_rows - g * kTileRows;
            float* from = y + g * kTileRows * y_stride + t * kTileRows;
            for_each_column(sums.of[t][g][0], [&](int32_t row, __m512 values) {
                if (row >= rows) return;
                float* at = from + row * y_stride;
                if (add) values = _mm512_add_ps(_mm512_maskz_loadu_ps(outs, at), values);
                _mm512_mask_storeu_ps(at, outs, values);
            });
        }
    }
}

template <class Format>
class PanelProduct {
  public:
    explicit PanelProduct(const PanelBlock& block)
        : block_(block),
          x_(static_cast<const uint8_t*>(block.x)),
          group_bytes_((block.n_in + kStep - 1) / kStep * kTileBytes) {}

    void run() {
        if (block_.n_rows <= kTileRows) {
            multiply_few<1>();
        } else if (block_.n_rows <= kFewRows) {
            multiply_few<2>();
        } else {
            multiply_many();
        }
    }

  private:
    int64_t columns_of(int64_t column) const {
        const int64_t left = block_.n_in - column;
        return left < kPanelColumns ? left : kPanelColumns;
    }
    static int64_t steps_of(int64_t columns) { return (columns + kStep - 1) / kStep; }

    void unpack_slice(int64_t column, int64_t i, int64_t next) {
        const int64_t left = block_.n_out - i;
        Slice slice;
        slice.weights = static_cast<const uint8_t*>(block_.weights) + i * block_.row_bytes +
                        Format::bytes_of(column);
        slice.row_bytes = block_.row_bytes;
        slice.n_outs = left < kPanelRows ? left : kPanelRows;
        slice.n_columns = columns_of(column);
        slice.next = next;
        unpack<Format>(slice, panel_);
    }

    // Weight rows pass once, whole. Sums of a panel of columns are added to those before it, as with
    // many rows.
    template <int32_t kGroupsOfX>
    void multiply_few() {
        Sums sums;
        for (int64_t i = 0; i < block_.n_out; i += kPanelRows) {
            for (int64_t column = 0; column < block_.n_in; column += kPanelColumns) {
                const int64_t panel_bytes = Format::bytes_of(columns_of(column));
                const bool is_last = column + kPanelColumns >= block_.n_in;
                unpack_slice(column, i,
                             is_last ? kPanelRows * block_.row_bytes - Format::bytes_of(column)
                                     : panel_bytes);
                clear_sums<kGroupsOfX>();
                add_products<kGroupsOfX>(panel_, steps_of(columns_of(column)),
                                         x_ + column / kStep * kTileBytes, group_bytes_);
                if (column == 0) {
                    sums.take<kGroupsOfX>();
                } else {
                    Sums more;
                    more.take<kGroupsOfX>();
                    sums.add<kGroupsOfX>(more);
                }
            }
            store_sums<kGroupsOfX>(sums, block_.n_out - i, block_.n_rows, false, block_.y + i,
                                   block_.y_stride);
        }
    }

    // Panels of columns come one after the other, so that the activations of one stay in L2.
    void multiply_many() {
        for (int64_t column = 0; column < block_.n_in; column += kPanelColumns) {
            for (int64_t i = 0; i < block_.n_out; i += kPanelRows) {
                unpack_slice(column, i, kPanelRows * block_.row_bytes);
                int32_t row = 0;
                for (; block_.n_rows - row > kTileRows; row += 2 * kTileRows) {
                    multiply_rows<2>(column, i, row);
                }
                if (row < block_.n_rows) multiply_rows<1>(column, i, row);
            }
        }
    }

    template <int32_t kGroupsOfX>
    void multiply_rows(int64_t column, int64_t i, int32_t row) {
        clear_sums<kGroupsOfX>();
        add_products<kGroupsOfX>(panel_, steps_of(columns_of(column)),
                                 x_ + row / kTileRows * group_bytes_ + column / kStep * kTileBytes,
                                 group_bytes_);
        Sums sums;
        sums.take<kGroupsOfX>();
        store_sums<kGroupsOfX>(sums, block_.n_out - i, block_.n_rows - row, column > 0,
                               block_.y + row * block_.y_stride + i, block_.y_stride);
    }

    const PanelBlock& block_;
    const uint8_t* x_;
    int64_t group_bytes_;
    Tiles tiles_;
    Panel panel_;
};

template <class Format>
void multiply_panels(const PanelBlock& block) {
    PanelProduct<Format>(block).run();
}

}  // namespace
}  // namespace puna::core
