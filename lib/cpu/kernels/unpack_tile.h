// From the rows of a matrix to what the panel kernel of AVX2 keeps of them.
//
// A tile has
//   static constexpr int32_t kRows;                         // weight rows
//   static constexpr int64_t kChunk;                        // elements that are unpacked at a time
//   void unpack(const uint8_t* at, int32_t row, int64_t block);  // a chunk, from block `block` of 32 on
//   void clear(int32_t row);
// Of a format this needs kBlock, a divisor of kChunk, and kBlockBytes.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/prefetch.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Row `r` of a tile, from the columns of a panel of the weight row at `row`.
template <class Format, class Tile>
void unpack_row(const uint8_t* row, int64_t n_bytes, int64_t ahead, int32_t r, Tile& tile) {
    constexpr int64_t kChunkBytes = Tile::kChunk / Format::kBlock * Format::kBlockBytes;
    int64_t block = 0;
    for (int64_t at = 0; at < n_bytes; at += kChunkBytes, block += Tile::kChunk / 32) {
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
template <class Format, class Tile>
void unpack_tile(const PanelBlock& block, int64_t first_column, int64_t n_columns, int64_t first,
                 Tile& tile) {
    const int64_t n_bytes = n_columns / Format::kBlock * Format::kBlockBytes;
    const auto* weights = static_cast<const uint8_t*>(block.weights) +
                          first_column / Format::kBlock * Format::kBlockBytes;
    for (int32_t r = 0; r < Tile::kRows; ++r) {
        if (first + r < block.n_out) {
            unpack_row<Format>(weights + (first + r) * block.row_bytes, n_bytes,
                               Tile::kRows * block.row_bytes, r, tile);
        } else {
            tile.clear(r);
        }
    }
}

}  // namespace
}  // namespace puna::core
