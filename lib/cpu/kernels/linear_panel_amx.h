// The AMX linear kernel for many activation rows, written once for all formats.
//
// Weights become bf16, a panel of 32 rows by 256 columns at a time: 16 KB, two by eight tiles that stay in
// L1 while all activation rows pass. Those, bf16 in pairs of columns (panel_rows_amx.cpp), come from L2, where
// 256 columns of 512 rows are 256 KB. Two tiles of weights meet two of activations in four tiles of sums, so
// that a multiplication of 16 cycles takes one load of a tile. Between multiplications the next panel is
// unpacked: some of that costs no time (docs/kernels.md).
//
// Panels go down the weight rows before they go on to the next columns. Until then the sums of up to 1 MB of
// outputs wait in L2, as tiles. With up to 32 activation rows panels go along the columns, and the sums stay
// in the registers. Sums leave their tiles when the next block wants those, one after the other between its first
// multiplications: stored behind the last ones of their own block they would hold up the matrix unit.
//
// Rounding to bf16 changes a factor by 1/512 of its size at most; products and sums are floats, and are
// added in the order of the columns.
//
// A format is a struct with
//   static int64_t bytes_of(int64_t n);  // of n elements from the beginning of a block
//   static void unpack(const uint8_t* at, int64_t n, PanelRow& row);  // n elements; zeros up to a step
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/exp_avx512.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/tiles_amx.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kPanelColumns = kSliceColumnsAmx;
constexpr int64_t kPanelSteps = kPanelColumns / kStep;
constexpr int32_t kPanelTiles = 2;
constexpr int32_t kPanelRows = kPanelTiles * kTileRows;
// Activation rows that meet a panel at once.
constexpr int32_t kBlockRows = 2 * kTileRows;
// Weights are unpacked once for as many.
constexpr int32_t kRowsAtOnce = 512;
constexpr int64_t kTileFloats = kTileRows * 16;
constexpr int64_t kBlockSums = kPanelRows * kBlockRows;

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

// Some columns of the weight rows of a panel: where those of each tile begin, and how many there are.
struct PanelWeights {
    const uint8_t* tiles[kPanelTiles];
    int64_t n_rows[kPanelTiles];
    int64_t n_columns;
};

// The unpacking of a panel, a few rows at a time.
template <class Format>
class Unpacking {
  public:
    static constexpr int64_t kNever = INT64_MAX;

    // n_calls of advance() unpack all of it, or none if they are kNever. `ahead` is what comes next.
    Unpacking(const PanelWeights& weights, const PanelWeights& ahead, int64_t row_bytes,
              int64_t n_calls, Panel& panel)
        : weights_(weights), row_bytes_(row_bytes), n_calls_(n_calls), panel_(panel) {
        for (int32_t t = 0; t < kPanelTiles; ++t) {
            ahead_[t] = reinterpret_cast<intptr_t>(ahead.tiles[t]) -
                        reinterpret_cast<intptr_t>(weights.tiles[t]);
        }
    }

    [[gnu::always_inline]] void advance() {
        for (due_ += kPanelRows; due_ >= n_calls_; due_ -= n_calls_) unpack_row();
    }

  private:
    [[gnu::always_inline]] void unpack_row() {
        PanelRow to = panel_.row(row_);
        const int32_t tile = row_ / kTileRows;
        const int32_t row = row_++ % kTileRows;
        if (row >= weights_.n_rows[tile]) {
            for (int64_t j = 0; j < weights_.n_columns; j += kStep) {
                to.store(j / kStep, _mm512_setzero_si512());
            }
            return;
        }
        const uint8_t* at = weights_.tiles[tile] + row * row_bytes_;
        prefetch_piece(at, ahead_[tile], Format::bytes_of(weights_.n_columns));
        Format::unpack(at, weights_.n_columns, to);
    }

    const PanelWeights weights_;
    int64_t ahead_[kPanelTiles];  // in bytes
    int64_t row_bytes_;
    int64_t n_calls_;
    Panel& panel_;
    int64_t due_ = 0;
    int32_t row_ = 0;
};

// The tiles: 0 to 3 are sums [tile of weights][group of rows], 4 and 5 weights, 6 and 7 activations.
//
// Adds the products of kGroups groups of rows, `group_bytes` apart, from step `step` on. The sums of the next
// block, if they are `ahead` in memory, come into L1 meanwhile.
template <int32_t kGroups, class Format>
[[gnu::always_inline]] inline void add_products(const Panel& panel, int64_t step, int64_t n_steps,
                                                const uint8_t* x, int64_t group_bytes,
                                                const float* ahead, Unpacking<Format>& next) {
    // The first step of a block asks for none.
    constexpr int64_t kLines = (kBlockSums / 16 + kPanelSteps - 2) / (kPanelSteps - 1);
    for (; step < n_steps; ++step) {
        Tiles::load_once<6>(x + step * kTileBytes);
        if constexpr (kGroups == 2) Tiles::load_once<7>(x + step * kTileBytes + group_bytes);
        Tiles::load<4>(panel.tiles[0][step]);
        Tiles::load<5>(panel.tiles[1][step]);
        Tiles::multiply<0, 4, 6>();
        if constexpr (kGroups == 2) Tiles::multiply<1, 4, 7>();
        Tiles::multiply<2, 5, 6>();
        if constexpr (kGroups == 2) Tiles::multiply<3, 5, 7>();
        if (ahead) {
            for (int64_t i = 0; i < kLines; ++i, ahead += 16) __builtin_prefetch(ahead, 1, 3);
        }
        next.advance();
    }
}

// What becomes of the sums: y[row][i], or what is added to it, for the rows and outputs that there are.
struct Outputs {
    static constexpr int64_t kOuts = kPanelRows;  // of a panel

    static const uint8_t* tile(const PanelBlock& block, int64_t out, int32_t t) {
        const int64_t first = n_rows(block, out, t) > 0 ? out + t * kTileRows : out;
        return static_cast<const uint8_t*>(block.weights) + first * block.row_bytes;
    }
    static int64_t n_rows(const PanelBlock& block, int64_t out, int32_t t) {
        return block.n_out - out - t * kTileRows;
    }

    static void finish(const PanelBlock& block, int64_t out, int32_t row, int32_t n_groups,
                       const float* sums) {
        for (int32_t t = 0; t < kPanelTiles; ++t) {
            const __mmask16 outs = lanes_before(block.n_out - out, t * kTileRows);
            for (int32_t g = 0; g < n_groups; ++g) {
                const int32_t first = row + g * kTileRows;
                float* to = block.y + first * block.y_stride + out + t * kTileRows;
                for_each_column(sums + (2 * t + g) * kTileFloats, [&](int32_t r, __m512 values) {
                    if (first + r >= block.n_rows) return;
                    float* at = to + r * block.y_stride;
                    if (block.adds) {
                        values = _mm512_add_ps(_mm512_maskz_loadu_ps(outs, at), values);
                    }
                    _mm512_mask_storeu_ps(at, outs, values);
                });
            }
        }
    }
};

// Or activations of a next matrix. A panel has one tile of each of two matrices, whose sums lie as the
// next matrix wants them: pairs of outputs, and of each the rows beside each other.
struct GatedOutputs {
    static constexpr int64_t kOuts = kTileRows;

    static const uint8_t* tile(const PanelBlock& block, int64_t out, int32_t t) {
        return static_cast<const uint8_t*>(t == 0 ? block.weights : block.up) +
               out * block.row_bytes;
    }
    static int64_t n_rows(const PanelBlock& block, int64_t out, int32_t) {
        return block.n_out - out;
    }

    static void finish(const PanelBlock& block, int64_t out, int32_t row, int32_t n_groups,
                       const float* sums) {
        const int64_t column = block.first_gated + out;
        const int64_t slice = column / kPanelColumns * kPanelColumns;
        const int64_t left = block.n_gated - slice;
        const int64_t steps = (left < kPanelColumns ? left : kPanelColumns) / kStep;
        for (int32_t g = 0; g < n_groups; ++g) {
            uint8_t* to = static_cast<uint8_t*>(block.gated) +
                          slice / kStep * packed_bytes_amx(block.n_rows) +
                          ((row / kTileRows + g) * steps + (column - slice) / kStep) * kTileBytes +
                          column % kStep / 2 * kTileRowBytes;
            const float* gate = sums + g * kTileFloats;
            const float* up = gate + 2 * kTileFloats;
            for (int32_t pair = 0; pair < kTileRows / 2; ++pair, to += kTileRowBytes) {
                const __m512 even = gated(gate + 2 * pair * 16, up + 2 * pair * 16);
                const __m512 odd = gated(gate + (2 * pair + 1) * 16, up + (2 * pair + 1) * 16);
                _mm512_store_si512(to, interleave(to_bf16(even, odd)));
            }
        }
    }
    static __m512 gated(const float* gate, const float* up) {
        return _mm512_mul_ps(silu_ps(_mm512_load_ps(gate)), _mm512_load_ps(up));
    }
};

template <class Format, class Results>
class PanelProduct {
  public:
    explicit PanelProduct(const PanelBlock& block)
        : block_(block), sums_(static_cast<float*>(block.memory)) {}

    void run() {
        for (first_row_ = 0; first_row_ < block_.n_rows; first_row_ += kRowsAtOnce) {
            n_rows_ = static_cast<int32_t>(smaller(block_.n_rows - first_row_, kRowsAtOnce));
            n_blocks_ = (n_rows_ + kBlockRows - 1) / kBlockRows;
            const int64_t most = (n_blocks_ == 1 ? 1 : kMostBlocks / n_blocks_) * Results::kOuts;
            const int64_t n_groups = (block_.n_out + most - 1) / most;
            const int64_t even = (block_.n_out + n_groups - 1) / n_groups;
            outs_at_once_ = (even + Results::kOuts - 1) / Results::kOuts * Results::kOuts;
            multiply_rows();
        }
    }

  private:
    static constexpr int64_t kMostBlocks = kSumsBytesAmx / 4 / kBlockSums;  // whose sums wait

    // A panel's first output and first column.
    struct Place {
        int64_t out;
        int64_t column;
    };

    static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
    int64_t columns_of(const Place& place) const {
        return smaller(block_.n_in - place.column, kPanelColumns);
    }
    int64_t steps_of(const Place& place) const { return (columns_of(place) + kStep - 1) / kStep; }

    // Behind the last place: one whose output there is not.
    Place after(const Place& place) const {
        const int64_t group = place.out / outs_at_once_ * outs_at_once_;
        const int64_t out = place.out + Results::kOuts;
        if (out < smaller(group + outs_at_once_, block_.n_out)) return {out, place.column};
        const int64_t column = place.column + kPanelColumns;
        if (column < block_.n_in) return {group, column};
        return {out, 0};
    }
    bool exists(const Place& place) const { return place.out < block_.n_out; }

    PanelWeights weights_of(const Place& place) const {
        PanelWeights weights;
        for (int32_t t = 0; t < kPanelTiles; ++t) {
            weights.tiles[t] = Results::tile(block_, place.out, t) + Format::bytes_of(place.column);
            weights.n_rows[t] = Results::n_rows(block_, place.out, t);
        }
        weights.n_columns = columns_of(place);
        return weights;
    }

    Unpacking<Format> unpacking_of(const Place& place, int64_t n_calls, Panel& panel) const {
        if (!exists(place)) n_calls = Unpacking<Format>::kNever;
        const PanelWeights weights = weights_of(exists(place) ? place : Place{0, 0});
        const Place ahead = after(place);
        return {weights, exists(ahead) ? weights_of(ahead) : weights, block_.row_bytes, n_calls,
                panel};
    }

    void multiply_rows() {
        Place place = {0, 0};
        int32_t panel = 0;
        unpacking_of(place, 1, panels_[panel]).advance();
        while (exists(place)) {
            const Place next = after(place);
            Unpacking<Format> unpacking =
                unpacking_of(next, n_blocks_ * steps_of(place), panels_[1 - panel]);
            multiply_panel(panels_[panel], place, unpacking);
            place = next;
            panel = 1 - panel;
        }
        hand_over<0>(nullptr);
        hand_over<1>(nullptr);
        hand_over<2>(nullptr);
        hand_over<3>(nullptr);
        finish_last();
        kept_ = nullptr;
    }

    void multiply_panel(const Panel& panel, const Place& place, Unpacking<Format>& next) {
        for (int32_t block = 0; block < n_blocks_; ++block) {
            if (n_rows_ - block * kBlockRows > kTileRows) {
                multiply_block<2>(panel, place, block, next);
            } else {
                multiply_block<1>(panel, place, block, next);
            }
        }
    }

    // Activations lie in slices of kPanelColumns columns, those in groups of rows.
    template <int32_t kGroups>
    void multiply_block(const Panel& panel, const Place& place, int32_t block,
                        Unpacking<Format>& next) {
        const int32_t row = first_row_ + block * kBlockRows;
        const int64_t n_steps = steps_of(place);
        const int64_t group_bytes = n_steps * kTileBytes;
        const uint8_t* x = static_cast<const uint8_t*>(block_.x) +
                           place.column / kStep * packed_bytes_amx(block_.n_rows) +
                           row / kTileRows * group_bytes;
        const bool waits = n_blocks_ > 1;  // the sums in memory, while other blocks have the tiles
        float* sums = nullptr;
        const float* ahead = nullptr;
        if (waits) {
            const int64_t index = place.out % outs_at_once_ / Results::kOuts * n_blocks_ + block;
            sums = sums_ + index * kBlockSums;
            if (index + 1 < kMostBlocks) ahead = sums + kBlockSums;
        }
        int64_t step = 0;
        if (waits || place.column == 0) {
            begin_block<kGroups>(panel, x, group_bytes, place.column == 0 ? nullptr : sums);
            finish_last();
            next.advance();
            step = 1;
            kept_ = sums;
        }
        add_products<kGroups>(panel, step, n_steps, x, group_bytes, ahead, next);
        if (place.column + kPanelColumns >= block_.n_in) {
            kept_ = last_.sums;
            last_.out = place.out;
            last_.row = row;
            last_.n_groups = kGroups;
        }
    }

    // The products of the first step, each once its sums, or zeros, have taken the tile from those of the block
    // before: one tile after the other, while the matrix unit is busy with the last.
    template <int32_t kGroups>
    void begin_block(const Panel& panel, const uint8_t* x, int64_t group_bytes, const float* sums) {
        Tiles::load_once<6>(x);
        Tiles::load<4>(panel.tiles[0][0]);
        hand_over<0>(sums);
        Tiles::multiply<0, 4, 6>();
        if constexpr (kGroups == 2) Tiles::load_once<7>(x + group_bytes);
        hand_over<1>(sums);
        if constexpr (kGroups == 2) Tiles::multiply<1, 4, 7>();
        Tiles::load<5>(panel.tiles[1][0]);
        hand_over<2>(sums);
        Tiles::multiply<2, 5, 6>();
        hand_over<3>(sums);
        if constexpr (kGroups == 2) Tiles::multiply<3, 5, 7>();
    }

    template <int kTile>
    [[gnu::always_inline]] void hand_over(const float* sums) {
        if (kept_) Tiles::store<kTile>(kept_ + kTile * kTileFloats);
        if (sums) {
            Tiles::load_once<kTile>(sums + kTile * kTileFloats);
        } else {
            Tiles::clear<kTile>();
        }
    }

    // The tiles have the sums of the next block already: nothing here touches them.
    void finish_last() {
        if (kept_ != last_.sums) return;
        Results::finish(block_, last_.out, last_.row, last_.n_groups, last_.sums);
    }

    const PanelBlock& block_;
    float* sums_;  // [panel][block][kBlockSums]
    int32_t first_row_ = 0;
    int32_t n_rows_ = 0;
    int32_t n_blocks_ = 0;
    int64_t outs_at_once_ = 0;
    float* kept_ = nullptr;  // where the sums in the tiles go; null: nowhere, or they stay there
    // The sums of whole rows of weights, on their way to Results::finish().
    struct {
        alignas(64) float sums[kBlockSums];
        int64_t out;
        int32_t row;
        int32_t n_groups;
    } last_;
    Tiles tiles_;
    Panel panels_[2];
};

template <class Format>
void multiply_panels(const PanelBlock& block) {
    if (block.up) {
        PanelProduct<Format, GatedOutputs>(block).run();
    } else {
        PanelProduct<Format, Outputs>(block).run();
    }
}

}  // namespace
}  // namespace puna::core
