// What is done with rows between the products: norms, rounding, RoPE, the way into the cache.
#pragma once

#include <cuda_runtime.h>

#include "cuda/forward.h"
#include "cuda/linear.h"
#include "cuda/linear_bf16.h"

namespace puna::cuda {

struct Scratch;
struct HeadsJob;

// Rows to norm. Results go to `floats` [n_rows][columns] and, rounded, to `rounded`, where these are not
// null.
struct NormJob {
    Input input;  // with a norm
    float* floats = nullptr;
    uint8_t* rounded = nullptr;
};
cudaError_t norm_rows(const NormJob& job, cudaStream_t stream);

// Rows as products of many rows with quantised matrices read them. columns is a multiple of 32.
cudaError_t round_rows(const float* x, int64_t columns, int32_t n_rows, uint8_t* rounded,
                       cudaStream_t stream);

// Rows, normed if they are to be, as products in bfloat16 read them: see linear_bf16.h.
cudaError_t bf16_rows(const Input& input, OperandForm form, uint4* fragments, bool overlaps,
                      cudaStream_t stream);

// What the layers of a pass share: cosine and sine of each row's position and pair in scratch.rope, and
// scratch.arrivals at 0.
cudaError_t begin_layers(const Forward& f, const Scratch& scratch);

// The heads of Q, K and V in scratch.qkv: QK norm, RoPE; keys and values into the cache, queries scaled.
cudaError_t finish_heads(const Forward& f, const HeadsJob& job);
// The job of a layer: heads.cuh.
HeadsJob make_heads_job(const Forward& f, const Scratch& scratch, int32_t layer);

}  // namespace puna::cuda
