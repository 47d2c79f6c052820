// The device memory of a batch on its way: one allocation, cut into arrays.
#pragma once

#include <cstdint>

#include "cuda/forward.h"

namespace puna::cuda {

// Attention of fewer rows is split into chunks; more rows keep a GPU busy without, so that this memory
// need not grow with them.
constexpr int64_t kMostPartialBytes = 64 << 20;

// All in floats but for some; sizes are for options.max_rows rows.
struct Scratch {
    float* x = nullptr;            // [max_rows][n_embd]
    float* normed = nullptr;       // [max_rows][n_embd]
    uint8_t* rounded = nullptr;    // the widest input of a matrix: InputForms of linear.h
    uint8_t* slice = nullptr;      // of matrices in bfloat16; null where batches are smaller
    float* qkv = nullptr;          // [max_rows][all heads of Q, of K, of V]
    float* attn = nullptr;         // [max_rows][n_head][head_dim_v]
    float* gate = nullptr;         // [max_rows][n_ff], or as fragments in bfloat16
    float* up = nullptr;           // [max_rows][n_ff], where gate and up are of two formats
    float* rope = nullptr;         // [max_rows][rope_dim / 2] cosine and sine
    float* partials = nullptr;     // [split_rows][n_head][max_chunks][2 + head_dim_v]
    uint32_t* arrivals = nullptr;  // [max_rows][n_head]: chunks that are done; 0 between layers
    float* logits = nullptr;       // [head_rows][n_vocab], with a head
    uint64_t* sorting = nullptr;   // [head_rows][a power of two from n_vocab on], with a head
    float* parts = nullptr;        // of sums of products; null where slice is
    int64_t slice_bytes = 0;
    int64_t parts_bytes = 0;
    int32_t split_rows = 0;
    int32_t max_chunks = 0;
    int32_t head_rows = 0;
    int64_t sorting_size = 0;
    uint64_t bytes = 0;
};

// Base null: sizes alone.
Scratch make_scratch(const puna_model_spec& spec, bool has_head,
                     const puna_executor_options& options, uint8_t* base);

inline int64_t q_columns(const puna_model_spec& spec) {
    return int64_t{spec.n_head} * spec.head_dim_k;
}
inline int64_t k_columns(const puna_model_spec& spec) {
    return int64_t{spec.n_head_kv} * spec.head_dim_k;
}
inline int64_t v_columns(const puna_model_spec& spec) {
    return int64_t{spec.n_head_kv} * spec.head_dim_v;
}
inline int64_t qkv_columns(const puna_model_spec& spec) {
    return q_columns(spec) + k_columns(spec) + v_columns(spec);
}
inline int64_t attn_columns(const puna_model_spec& spec) {
    return int64_t{spec.n_head} * spec.head_dim_v;
}

}  // namespace puna::cuda
