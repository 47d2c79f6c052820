// What is done with rows between the products: norms, rounding, RoPE, the way into the cache.
#pragma once

#include <cuda_runtime.h>

#include "cuda/forward.h"
#include "cuda/linear.h"

namespace puna::cuda {

struct Scratch;

// Rows to norm. `rows` [n_rows]: which rows of x, or null for all in order. Results go to `floats`
// [n_rows][columns] and, rounded, to `rounded`, where these are not null.
struct NormJob {
    const float* x = nullptr;  // [][columns]
    const int32_t* rows = nullptr;
    const float* gain = nullptr;
    int64_t columns = 0;
    int32_t n_rows = 0;
    int32_t kind = 0;  // PUNA_NORM_*
    float epsilon = 0.0f;
    float* floats = nullptr;
    uint8_t* rounded = nullptr;
};
cudaError_t norm_rows(const NormJob& job, cudaStream_t stream);

// Rows as quantised matrices read them. columns is a multiple of 32.
cudaError_t round_rows(const float* x, int64_t columns, int32_t n_rows, uint8_t* rounded,
                       cudaStream_t stream);

// Cosine and sine of each row's position and pair: scratch.rope.
cudaError_t make_rope_table(const Forward& f, const Scratch& scratch);

// The heads of Q, K and V in scratch.qkv: QK norm, RoPE; keys and values into the cache, queries scaled.
cudaError_t finish_heads(const Forward& f, const Scratch& scratch, int32_t layer);

}  // namespace puna::cuda
