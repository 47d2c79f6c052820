#include "cuda/vector_ops.h"

#include "cuda/activations.cuh"
#include "cuda/kv_cells.cuh"
#include "cuda/launch.h"
#include "cuda/rope.cuh"
#include "cuda/scratch.h"

namespace puna::cuda {

namespace {

constexpr int kNormThreads = 256;
constexpr int kRoundWarps = 4;

// normed = x * scale * gain, with a shift before it for PUNA_NORM_LAYER.
struct NormScale {
    float shift;
    float scale;
};

__device__ inline NormScale norm_scale(const float* x, int64_t n, int32_t kind, float epsilon,
                                       float* shared) {
    NormScale norm = {0.0f, 0.0f};
    const auto first = static_cast<int64_t>(threadIdx.x);
    const auto step = static_cast<int64_t>(blockDim.x);
    if (kind == PUNA_NORM_LAYER) {
        float sum = 0.0f;
        for (int64_t i = first; i < n; i += step) sum += x[i];
        norm.shift = block_sum(sum, shared) / static_cast<float>(n);
    }
    float squares = 0.0f;
    for (int64_t i = first; i < n; i += step) {
        const float value = x[i] - norm.shift;
        squares = __fmaf_rn(value, value, squares);
    }
    norm.scale = 1.0f / sqrtf(block_sum(squares, shared) / static_cast<float>(n) + epsilon);
    return norm;
}

// A block for a row.
__global__ void __launch_bounds__(kNormThreads) norm_kernel(const NormJob job) {
    __shared__ float shared[kNormThreads / kWarp];
    const auto row = static_cast<int64_t>(blockIdx.x);
    const float* x = job.x + (job.rows ? job.rows[row] : row) * job.columns;
    const NormScale norm = norm_scale(x, job.columns, job.kind, job.epsilon, shared);
    const int64_t n_spans = (job.columns + kWarp - 1) / kWarp;
    for (int64_t s = warp_of_thread(); s < n_spans; s += kNormThreads / kWarp) {
        const int64_t i = s * kWarp + lane_of_thread();
        const bool is_there = i < job.columns;
        const float value = is_there ? (x[i] - norm.shift) * norm.scale * job.gain[i] : 0.0f;
        if (job.floats && is_there) job.floats[row * job.columns + i] = value;
        if (job.rounded) {
            round_span(value, job.rounded + row * rounded_row_bytes(job.columns), n_spans, s);
        }
    }
}

// Grid: [spans / kRoundWarps][rows]; a warp for a span.
__global__ void round_kernel(const float* x, int64_t columns, uint8_t* rounded) {
    const int64_t n_spans = columns / kWarp;
    const int64_t s = int64_t{blockIdx.x} * kRoundWarps + warp_of_thread();
    if (s >= n_spans) return;
    const auto row = static_cast<int64_t>(blockIdx.y);
    round_span(x[row * columns + s * kWarp + lane_of_thread()],
               rounded + row * rounded_row_bytes(columns), n_spans, s);
}

// Grid: [rows].
__global__ void rope_table_kernel(const puna_batch_row* rows, const double* frequencies,
                                  int32_t n_pairs, float magnitude, float2* table) {
    const auto row = static_cast<int64_t>(blockIdx.x);
    for (auto i = static_cast<int32_t>(threadIdx.x); i < n_pairs;
         i += static_cast<int32_t>(blockDim.x)) {
        table[row * n_pairs + i] = rope_turn(frequencies[i], rows[row].position, magnitude);
    }
}

struct HeadsJob {
    const puna_batch_row* rows;
    float* qkv;
    const float2* rope;  // [n_rows][rope_dim / 2] or null
    const float* q_norm;
    const float* k_norm;
    KvCache cache;
    int32_t layer;
    int32_t n_head, n_head_kv;
    int32_t head_dim_k, head_dim_v;
    int32_t rope_kind, rope_dim;
    int32_t norm_kind;
    float norm_epsilon;
    float scale;
};

// The norm of a head, by a warp.
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

// Grid: [heads of Q, K, V][rows]; a warp for a head, which it changes in place.
__global__ void __launch_bounds__(kWarp) finish_heads_kernel(const HeadsJob job) {
    const auto row = static_cast<int64_t>(blockIdx.y);
    const int32_t q_columns = job.n_head * job.head_dim_k;
    const int32_t k_columns = job.n_head_kv * job.head_dim_k;
    const int32_t v_columns = job.n_head_kv * job.head_dim_v;
    float* qkv = job.qkv + row * (int64_t{q_columns} + k_columns + v_columns);
    auto head = static_cast<int32_t>(blockIdx.x);
    const int64_t cell = job.rows[row].cell;
    if (head >= job.n_head + job.n_head_kv) {
        head -= job.n_head + job.n_head_kv;
        const KvHalf& values = job.cache.values;
        store_head(values, kv_head(values, job.layer, cell, head),
                   qkv + q_columns + k_columns + head * job.head_dim_v);
        return;
    }
    const bool is_query = head < job.n_head;
    float* x = qkv + head * job.head_dim_k;  // keys follow the queries
    if (const float* gain = is_query ? job.q_norm : job.k_norm) norm_head(job, gain, x);
    if (job.rope) {
        const int32_t n_pairs = job.rope_dim / 2;
        for (int32_t i = lane_of_thread(); i < n_pairs; i += kWarp) {
            turn_pair(job.rope_kind, job.rope_dim, i, job.rope[row * n_pairs + i], x);
        }
        __syncwarp();
    }
    if (is_query) {
        for (int32_t d = lane_of_thread(); d < job.head_dim_k; d += kWarp) x[d] *= job.scale;
        return;
    }
    const KvHalf& keys = job.cache.keys;
    store_head(keys, kv_head(keys, job.layer, cell, head - job.n_head), x);
}

bool turns(const puna_model_spec& spec) {
    return spec.rope != PUNA_ROPE_NONE && spec.rope_dim > 0;
}

}  // namespace

cudaError_t norm_rows(const NormJob& job, cudaStream_t stream) {
    return launch(norm_kernel, dim3(static_cast<unsigned>(job.n_rows)), dim3(kNormThreads), 0,
                  stream, job);
}

cudaError_t round_rows(const float* x, int64_t columns, int32_t n_rows, uint8_t* rounded,
                       cudaStream_t stream) {
    const int64_t n_spans = columns / kWarp;
    const auto n_blocks = static_cast<unsigned>((n_spans + kRoundWarps - 1) / kRoundWarps);
    return launch(round_kernel, dim3(n_blocks, static_cast<unsigned>(n_rows)),
                  dim3(kRoundWarps * kWarp), 0, stream, x, columns, rounded);
}

cudaError_t make_rope_table(const Forward& f, const Scratch& scratch) {
    const puna_model_spec& spec = f.weights->spec;
    if (!turns(spec)) return cudaSuccess;
    return launch(rope_table_kernel, dim3(static_cast<unsigned>(f.batch.n_rows)), dim3(64), 0,
                  f.stream, f.batch.rows, f.weights->rope_frequencies, spec.rope_dim / 2,
                  spec.rope_magnitude, reinterpret_cast<float2*>(scratch.rope));
}

cudaError_t finish_heads(const Forward& f, const Scratch& scratch, int32_t layer) {
    const puna_model_spec& spec = f.weights->spec;
    const LayerWeights& w = f.weights->layers[static_cast<size_t>(layer)];
    HeadsJob job = {};
    job.rows = f.batch.rows;
    job.qkv = scratch.qkv;
    job.rope = turns(spec) ? reinterpret_cast<const float2*>(scratch.rope) : nullptr;
    job.q_norm = w.q_norm;
    job.k_norm = w.k_norm;
    job.cache = f.cache;
    job.layer = layer;
    job.n_head = spec.n_head;
    job.n_head_kv = spec.n_head_kv;
    job.head_dim_k = spec.head_dim_k;
    job.head_dim_v = spec.head_dim_v;
    job.rope_kind = spec.rope;
    job.rope_dim = spec.rope_dim;
    job.norm_kind = spec.norm;
    job.norm_epsilon = spec.norm_epsilon;
    job.scale = spec.attention_scale;
    const auto n_heads = static_cast<unsigned>(spec.n_head + 2 * spec.n_head_kv);
    return launch(finish_heads_kernel, dim3(n_heads, static_cast<unsigned>(f.batch.n_rows)),
                  dim3(kWarp), 0, f.stream, job);
}

}  // namespace puna::cuda
