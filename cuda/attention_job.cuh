// What the kernels of attention get.
#pragma once

#include "cuda/heads.cuh"

namespace puna::cuda {

struct AttentionJob {
    HeadsJob heads;  // Q [n_rows][qkv_stride], the cache
    const int32_t* view_pages;
    const int32_t* pages;
    const AttentionPiece* pieces;  // of rows that attend together
    const int32_t* alone;          // rows that attend one by one; null: all
    int32_t group;                 // query heads of a KV head
    int32_t units_per_head;        // in which blocks take them
    float softcap;
    float* attn;    // [n_rows][n_head][head_dim_v]
    uint4* panels;  // not null: what attn would get, as products read it (linear_bf16.h)
    // [rows that attend][n_head][max_chunks][2 + head_dim_v]; null: all chunks in one block
    float* partials;
    uint32_t* arrivals;  // [n_rows][n_head], of which the units of a row take the first ones
    int32_t max_chunks;
    int32_t finishes_heads;
    int32_t keeps_queries;  // they fit the shared memory
};

struct Scratch;
// With room for partials.
AttentionJob make_attention_job(const Forward& f, const Scratch& scratch, int32_t layer);

__device__ inline const int32_t* pages_of(const AttentionJob& job, int32_t view) {
    return job.pages + job.view_pages[view];
}
__device__ inline int32_t cell_of(const int32_t* pages, int32_t position) {
    constexpr uint32_t kPage = PUNA_KV_PAGE;
    const auto at = static_cast<uint32_t>(position);
    return pages[at / kPage] * PUNA_KV_PAGE + static_cast<int32_t>(at % kPage);
}

}  // namespace puna::cuda
