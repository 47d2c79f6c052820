// Attention over the cells that each row sees.
#pragma once

#include <cuda_runtime.h>

#include "cuda/forward.h"

namespace puna::cuda {

struct Scratch;

// Positions of a chunk. Chunks begin at multiples of it, whatever a row sees, and are merged in order: the
// order of additions does not depend on how the work is cut.
constexpr int32_t kAttentionChunk = 128;

// Of one head and chunk: the largest score, the sum of exp(score - largest), the weighted values.
inline int64_t partial_floats(const puna_model_spec& spec) {
    return 2 + int64_t{spec.head_dim_v};
}

// QK norm and RoPE of what is in scratch.qkv; k, v -> cache;
// attn[row][head] = sum_j softmax_j(q . k_j * attention_scale) v_j
//
// panels not null: it goes there in bfloat16, as OperandForm::kPanels. To be asked for only if leaves_panels().
cudaError_t attend(const Forward& f, const Scratch& scratch, int32_t layer,
                   uint4* panels = nullptr);
bool leaves_panels(const Forward& f);

}  // namespace puna::cuda
