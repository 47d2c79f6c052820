// What becomes of the heads of Q, K and V between their product and attention.
#pragma once

#include "cuda/forward.h"
#include "cuda/kv_cells.cuh"
#include "cuda/rope.cuh"

namespace puna::cuda {

struct HeadsJob {
    const puna_batch_row* rows;
    float* qkv;          // [n_rows][all heads of Q, of K, of V]
    const float2* rope;  // [n_rows][rope_dim / 2] or null
    const float* q_norm;
    const float* k_norm;
    KvCache cache;
    int32_t layer;
    int32_t n_rows;
    int32_t n_head, n_head_kv;
    int32_t head_dim_k, head_dim_v;
    int32_t rope_kind, rope_dim;
    int32_t norm_kind;
    float norm_epsilon;
    float scale;
};

__host__ __device__ inline int64_t qkv_stride(const HeadsJob& job) {
    return int64_t{job.n_head + job.n_head_kv} * job.head_dim_k +
           int64_t{job.n_head_kv} * job.head_dim_v;
}
// Heads of keys follow those of queries.
__device__ inline float* query_or_key(const HeadsJob& job, int64_t row, int32_t head) {
    return job.qkv + row * qkv_stride(job) + int64_t{head} * job.head_dim_k;
}
__device__ inline float* value_head(const HeadsJob& job, int64_t row, int32_t head) {
    return query_or_key(job, row, job.n_head + job.n_head_kv) + int64_t{head} * job.head_dim_v;
}

// The norm of a head in place, by a warp.
__device__ inline void norm_head(const HeadsJob& job, const float* gain, float* head) {
    const int32_t n = job.head_dim_k;
    float shift = 0.0f;
    if (job.norm_kind == PUNA_NORM_LAYER) {
        float sum = 0.0f;
        for (int32_t d = lane_of_thread(); d < n; d += kWarp) sum += head[d];
        shift = warp_sum(sum) / static_cast<float>(n);
    }
    float squares = 0.0f;
    for (int32_t d = lane_of_thread(); d < n; d += kWarp) {
        const float value = head[d] - shift;
        squares = __fmaf_rn(value, value, squares);
    }
    const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(n) + job.norm_epsilon);
    for (int32_t d = lane_of_thread(); d < n; d += kWarp) {
        head[d] = (head[d] - shift) * scale * gain[d];
    }
    __syncwarp();
}

// QK norm and RoPE of a head in place, by a warp; all lanes see what it was.
__device__ inline void turn_head(const HeadsJob& job, int64_t row, const float* gain, float* head) {
    if (gain) norm_head(job, gain, head);
    if (!job.rope) return;
    const int32_t n_pairs = job.rope_dim / 2;
    for (int32_t i = lane_of_thread(); i < n_pairs; i += kWarp) {
        turn_pair(job.rope_kind, job.rope_dim, i, job.rope[row * n_pairs + i], head);
    }
    __syncwarp();
}

// The same for queries, which attention takes scaled.
__device__ inline void finish_query(const HeadsJob& job, int64_t row, float* head) {
    turn_head(job, row, job.q_norm, head);
    for (int32_t d = lane_of_thread(); d < job.head_dim_k; d += kWarp) head[d] *= job.scale;
    __syncwarp();
}

// For keys, which then go into the cache, as values do.
__device__ inline void finish_key(const HeadsJob& job, int64_t row, int32_t head, float* key) {
    turn_head(job, row, job.k_norm, key);
    const KvHalf& keys = job.cache.keys;
    store_head(keys, kv_head(keys, job.layer, job.rows[row].cell, head), key);
}
__device__ inline void store_value(const HeadsJob& job, int64_t row, int32_t head) {
    const KvHalf& values = job.cache.values;
    store_head(values, kv_head(values, job.layer, job.rows[row].cell, head),
               value_head(job, row, head));
}

}  // namespace puna::cuda
