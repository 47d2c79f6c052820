// Which of some kernels multiplies a product best, in tiles of rows and outputs.
#pragma once

#include <cstdint>
#include <span>

#include "cuda/linear.h"

namespace puna::cuda {

// A kernel whose blocks have a tile each.
struct TileShape {
    int32_t rows;
    int32_t outputs;
    int32_t steps;         // of kBf16Step columns, that are on their way at a time
    int32_t shared_bytes;  // of a block
    int32_t cluster;       // blocks with the same rows that need each other
    float products;        // of a multiprocessor in a clock
    float bytes;           // that a block reads out of the L2 cache for each column
    float clocks;          // of a tile, in which nothing is multiplied: its beginning and its end
};

struct TileProduct {
    int64_t outputs;  // tiled_outputs()
    int64_t rows;
    int64_t columns;
};

struct TileChoice {
    float cost = 0.0f;   // clocks for each column
    int32_t index = -1;  // of the shape; -1: none fits
    int32_t n_splits = 1;
    int64_t row_tiles = 0;
    int64_t output_tiles = 0;
};

TileChoice choose_tile(std::span<const TileShape> shapes, const TileProduct& product,
                       const LinearOptions& options, const InputForms& forms);

// Outputs that are multiplied for so many of a job, gate and up counted apart: pairs lie in groups of eight, and
// what stays in bfloat16 ends with zeros.
int64_t tiled_outputs(const LinearJob& job, int64_t n_outputs, bool stays);

}  // namespace puna::cuda
