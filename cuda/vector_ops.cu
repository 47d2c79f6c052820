#include "cuda/vector_ops.h"

#include "cuda/activations.cuh"
#include "cuda/heads.cuh"
#include "cuda/launch.h"
#include "cuda/linear_bf16.h"
#include "cuda/row_norm.cuh"
#include "cuda/scratch.h"

namespace puna::cuda {

namespace {

constexpr int kRoundWarps = 4;

// Elements 4 i .. 4 i + 3 of a row, 0 from its end on.
__device__ inline float4 load_four(const float* row, int64_t columns, int64_t i) {
    float values[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) values[j] = 4 * i + j < columns ? row[4 * i + j] : 0.0f;
    return make_float4(values[0], values[1], values[2], values[3]);
}

__device__ inline float4 normed_four(const float* row, const float* gains, const NormScale& scale,
                                     int64_t columns, int64_t i) {
    const float4 x = load_four(row, columns, i);
    const float4 gain = load_four(gains, columns, i);
    return make_float4(normed(x.x, scale, gain.x), normed(x.y, scale, gain.y),
                       normed(x.z, scale, gain.z), normed(x.w, scale, gain.w));
}
__device__ inline void store_bf16(const float4& x, uint16_t* row, int64_t i) {
    reinterpret_cast<uint2*>(row)[i] = make_uint2(bfloat16_pair(x.x, x.y), bfloat16_pair(x.z, x.w));
}

// A block for a row.
__global__ void __launch_bounds__(kNormThreads) norm_kernel(const NormJob job) {
    __shared__ float shared[kNormWarps][1];
    const auto row = static_cast<int64_t>(blockIdx.x);
    const int64_t columns = job.input.columns;
    const RowNorm& norm = job.input.norm;
    const float* x = job.input.x + (job.input.rows ? job.input.rows[row] : row) * columns;
    NormScale scale;
    norm_scales<1>(&x, columns, norm, shared, &scale);
    if (job.floats) {
        for (auto i = static_cast<int64_t>(threadIdx.x); i < columns; i += kNormThreads) {
            job.floats[row * columns + i] = normed(x[i], scale, norm.gain[i]);
        }
    }
    if (job.bf16) {
        const int64_t stride = bf16_stride(columns);
        for (int64_t i = threadIdx.x; i < stride / 4; i += kNormThreads) {
            store_bf16(normed_four(x, norm.gain, scale, columns, i), job.bf16 + row * stride, i);
        }
    }
    if (!job.rounded) return;
    const int64_t n_spans = columns / kRoundedSpan;
    uint8_t* rounded = job.rounded + row * rounded_row_bytes(columns);
    for (int64_t first = warp_of_thread() * kRoundSpans; first < n_spans;
         first += kNormWarps * kRoundSpans) {
        const int64_t i = first * kRoundLanes + lane_of_thread();
        const int64_t span = i / kRoundLanes;
        round_spans(normed_four(x, norm.gain, scale, columns, i), span < n_spans, rounded, n_spans,
                    span);
    }
}

// Grid: [spans / (kRoundWarps * kRoundSpans)][rows].
__global__ void round_kernel(const float* x, int64_t columns, uint8_t* rounded) {
    const int64_t n_spans = columns / kRoundedSpan;
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    const auto row = static_cast<int64_t>(blockIdx.y);
    const int64_t span = i / kRoundLanes;
    round_spans(load_four(x + row * columns, columns, i), span < n_spans,
                rounded + row * rounded_row_bytes(columns), n_spans, span);
}

// Grid: [fours of elements / threads][rows].
__global__ void bf16_kernel(const float* x, int64_t columns, uint16_t* bf16) {
    const int64_t stride = bf16_stride(columns);
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    const auto row = static_cast<int64_t>(blockIdx.y);
    if (i >= stride / 4) return;
    store_bf16(load_four(x + row * columns, columns, i), bf16 + row * stride, i);
}

// Grid: [rows].
__global__ void begin_layers_kernel(const puna_batch_row* rows, const double* frequencies,
                                    int32_t n_pairs, float magnitude, float2* table,
                                    uint32_t* arrivals, int32_t n_arrivals) {
    const auto row = static_cast<int64_t>(blockIdx.x);
    const auto first = static_cast<int32_t>(threadIdx.x);
    const auto step = static_cast<int32_t>(blockDim.x);
    for (int32_t i = first; i < n_pairs; i += step) {
        table[row * n_pairs + i] = rope_turn(frequencies[i], rows[row].position, magnitude);
    }
    for (int32_t i = first; i < n_arrivals; i += step) arrivals[row * n_arrivals + i] = 0;
}

// Grid: [heads of Q, K, V][rows]; a warp for a head, which it changes in place.
__global__ void __launch_bounds__(kWarp) finish_heads_kernel(const HeadsJob job) {
    const auto row = static_cast<int64_t>(blockIdx.y);
    const auto head = static_cast<int32_t>(blockIdx.x);
    const int32_t n_keys = job.n_head_kv;
    if (head < job.n_head) {
        finish_query(job, row, query_or_key(job, row, head));
    } else if (head < job.n_head + n_keys) {
        finish_key(job, row, head - job.n_head, query_or_key(job, row, head));
    } else {
        store_value(job, row, head - job.n_head - n_keys);
    }
}

bool turns(const puna_model_spec& spec) {
    return spec.rope != PUNA_ROPE_NONE && spec.rope_dim > 0;
}

}  // namespace

cudaError_t norm_rows(const NormJob& job, cudaStream_t stream) {
    return launch(norm_kernel, dim3(static_cast<unsigned>(job.input.n_rows)), dim3(kNormThreads), 0,
                  stream, job);
}

cudaError_t round_rows(const float* x, int64_t columns, int32_t n_rows, uint8_t* rounded,
                       cudaStream_t stream) {
    constexpr int kSpans = kRoundWarps * kRoundSpans;
    const auto n_blocks = static_cast<unsigned>((columns / kRoundedSpan + kSpans - 1) / kSpans);
    return launch(round_kernel, dim3(n_blocks, static_cast<unsigned>(n_rows)),
                  dim3(kRoundWarps * kWarp), 0, stream, x, columns, rounded);
}

cudaError_t bf16_rows(const float* x, int64_t columns, int32_t n_rows, uint16_t* bf16,
                      cudaStream_t stream) {
    constexpr unsigned kThreads = 128;
    const auto n_blocks =
        static_cast<unsigned>((bf16_stride(columns) / 4 + kThreads - 1) / kThreads);
    return launch(bf16_kernel, dim3(n_blocks, static_cast<unsigned>(n_rows)), dim3(kThreads), 0,
                  stream, x, columns, bf16);
}

cudaError_t begin_layers(const Forward& f, const Scratch& scratch) {
    const puna_model_spec& spec = f.weights->spec;
    return launch(begin_layers_kernel, dim3(static_cast<unsigned>(f.batch.n_rows)), dim3(64), 0,
                  f.stream, f.batch.rows, f.weights->rope_frequencies,
                  turns(spec) ? spec.rope_dim / 2 : 0, spec.rope_magnitude,
                  reinterpret_cast<float2*>(scratch.rope), scratch.arrivals, spec.n_head);
}

HeadsJob make_heads_job(const Forward& f, const Scratch& scratch, int32_t layer) {
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
    job.n_rows = f.batch.n_rows;
    job.n_head = spec.n_head;
    job.n_head_kv = spec.n_head_kv;
    job.head_dim_k = spec.head_dim_k;
    job.head_dim_v = spec.head_dim_v;
    job.rope_kind = spec.rope;
    job.rope_dim = spec.rope_dim;
    job.norm_kind = spec.norm;
    job.norm_epsilon = spec.norm_epsilon;
    job.scale = spec.attention_scale;
    return job;
}

cudaError_t finish_heads(const Forward& f, const HeadsJob& job) {
    const auto n_heads = static_cast<unsigned>(job.n_head + 2 * job.n_head_kv);
    return launch(finish_heads_kernel, dim3(n_heads, static_cast<unsigned>(job.n_rows)),
                  dim3(kWarp), 0, f.stream, job);
}

}  // namespace puna::cuda
