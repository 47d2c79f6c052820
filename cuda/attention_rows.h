// Attention of many rows on tensor cores.
#pragma once

#include <cuda_runtime.h>

#include "cuda/forward.h"

namespace puna::cuda {

struct AttentionJob;

// Whether the pieces of the batch attend together: keys and values of one 16-bit type, or both of Q8_0; heads
// of up to 128 dimensions; and enough blocks. Queries and weights are rounded like the cache then, and a row
// may get other bits than it would alone, so never in the deterministic mode.
bool attends_together(const Forward& f);

// As attend() does, behind finish_heads(), for the rows of the pieces.
cudaError_t attend_together(const Forward& f, const AttentionJob& job);

}  // namespace puna::cuda
