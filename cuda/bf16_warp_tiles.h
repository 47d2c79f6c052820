// Tiles in bfloat16 by mma.sync: from compute capability 8.0 on.
#pragma once

#include "cuda/bf16_tile.cuh"
#include "cuda/tile_choice.h"

namespace puna::cuda {

struct Bf16Job {
    TileJob tile;
    const uint4* weights;  // of the slice, as Expand has them
    const uint4* rows;     // left operands
    int64_t stride;
};

std::span<const TileShape> warp_tiles();
// Those that fit.
cudaError_t prepare_warp_tiles(int32_t shared_bytes);
// One of warp_tiles().
cudaError_t launch_warp_tile(const Bf16Job& job, const TileChoice& choice, bool overlaps,
                             cudaStream_t stream);

}  // namespace puna::cuda
