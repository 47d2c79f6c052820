#include "cuda/vector_ops.h"

#include "cuda/activations.cuh"
#include "cuda/bf16_operands.cuh"
#include "cuda/heads.cuh"
#include "cuda/launch.h"
#include "cuda/row_norm.cuh"
#include "cuda/scratch.h"

namespace puna::cuda {

namespace {

constexpr int kRoundWarps = 4;
constexpr int kHeadWarps = 8;

// Elements 4 i .. 4 i + 3 of a row, 0 from its end on.
__device__ inline float4 load_four(const float* row, int64_t columns, int64_t i) {
    float values[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) values[j] = 4 * i + j < columns ? row[4 * i + j] : 0.0f;
    return make_float4(values[0], values[1], values[2], values[3]);
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
    if (!job.rounded) return;
    const int64_t n_spans = columns / kRoundedSpan;
    uint8_t* rounded = job.rounded + row * rounded_row_bytes(columns);
    for (int64_t first = warp_of_thread() * kRoundSpans; first < n_spans;
         first += kNormWarps * kRoundSpans) {
        const int64_t half = first * kRoundLanes + lane_of_thread();  // of spans
        const int64_t span = half / kRoundLanes;
        float values[kHalfSpan] = {};
        if (span < n_spans) {
            load_half_span(x + half * kHalfSpan, values);
            norm_half_span(norm.gain + half * kHalfSpan, scale, values);
        }
        round_spans(values, span < n_spans, rounded, n_spans, span);
    }
}

// Grid: [spans / (kRoundWarps * kRoundSpans)][rows].
__global__ void round_kernel(const float* x, int64_t columns, uint8_t* rounded) {
    const int64_t n_spans = columns / kRoundedSpan;
    const int64_t half = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;  // of spans
    const auto row = static_cast<int64_t>(blockIdx.y);
    const int64_t span = half / kRoundLanes;
    float values[kHalfSpan] = {};
    if (span < n_spans) load_half_span(x + row * columns + half * kHalfSpan, values);
    round_spans(values, span < n_spans, rounded + row * rounded_row_bytes(columns), n_spans, span);
}

__device__ inline const float* row_of(const Input& input, int64_t row) {
    if (row >= input.n_rows) return nullptr;
    return input.x + (input.rows ? input.rows[row] : row) * input.columns;
}

// Columns first .. first + 7 of a row, normed if there is a gain; 0 from its end on, and without a row.
__device__ inline void load_eight(const Input& input, const float* row, const NormScale& scale,
                                  int64_t first, float* values) {
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        const int64_t j = first + i;
        float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row && input.columns % 4 == 0 && j < input.columns) {
            four = *reinterpret_cast<const float4*>(row + j);
        } else if (row) {
            four = load_four(row, input.columns, j / 4);
        }
        values[i] = four.x;
        values[i + 1] = four.y;
        values[i + 2] = four.z;
        values[i + 3] = four.w;
    }
    if (!input.norm.gain || !row) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        if (first + i < input.columns) {
            values[i] = normed(values[i], scale, input.norm.gain[first + i]);
        }
    }
}

// Grid: [rows / 16][parts of the columns]. A warp norms a row, and writes 32 columns of all 16 at a time.
template <OperandForm kForm>
__global__ void __launch_bounds__(kFragmentRows* kWarp)
    bf16_kernel(const Input input, uint4* fragments) {
    __shared__ NormScale scales[kFragmentRows];
    wait_for_last_kernel();
    const auto tile = static_cast<int64_t>(blockIdx.x);
    if (input.norm.gain) {
        const float* row = row_of(input, tile * kFragmentRows + warp_of_thread());
        if (row) scales[warp_of_thread()] = norm_scale_of_row(row, input.columns, input.norm);
        __syncthreads();
    }
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    const float* low = row_of(input, tile * kFragmentRows + g);
    const float* high = row_of(input, tile * kFragmentRows + g + 8);
    const int64_t n_steps = bf16_stride(input.columns) / 32;
    for (int64_t step = int64_t{blockIdx.y} * kFragmentRows + warp_of_thread(); step < n_steps;
         step += int64_t{gridDim.y} * kFragmentRows) {
        float a[8];
        float b[8];
        load_eight(input, low, scales[g], 32 * step + 8 * t, a);
        load_eight(input, high, scales[g + 8], 32 * step + 8 * t, b);
        const int64_t row = tile * kFragmentRows;
        if constexpr (kForm == OperandForm::kLeft) {
            put_left_pieces(a, b,
                            fragments + left_piece(n_steps, row, 32 * step) + lane_of_thread());
        } else if constexpr (kForm == OperandForm::kRight) {
            uint4* to = fragments + (step * gridDim.x + tile) * (2 * kWarp) + lane_of_thread();
            to[0] = bfloat16_piece(a);
            to[kWarp] = bfloat16_piece(b);
        } else {
            uint4* to = fragments + panel_piece(panel_rows(input.n_rows), 32 * step, row + g, t);
            to[0] = turn_words(bfloat16_piece(a));
            to[8 * 8] = turn_words(bfloat16_piece(b));
        }
    }
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

// Grid: [rows]. A warp takes every kHeadWarps-th of the heads of Q, K and V, which it changes in place.
__global__ void __launch_bounds__(kHeadWarps* kWarp) finish_heads_kernel(const HeadsJob job) {
    wait_for_last_kernel();
    const auto row = static_cast<int64_t>(blockIdx.x);
    const int32_t n_turned = job.n_head + job.n_head_kv;
    for (int32_t head = warp_of_thread(); head < n_turned + job.n_head_kv; head += kHeadWarps) {
        if (head < job.n_head) {
            finish_query(job, row, query_or_key(job, row, head));
        } else if (head < n_turned) {
            finish_key(job, row, head - job.n_head, query_or_key(job, row, head));
        } else {
            store_value(job, row, head - n_turned);
        }
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

cudaError_t bf16_rows(const Input& input, OperandForm form, uint4* fragments, bool overlaps,
                      cudaStream_t stream) {
    const auto kernel = form == OperandForm::kLeft    ? bf16_kernel<OperandForm::kLeft>
                        : form == OperandForm::kRight ? bf16_kernel<OperandForm::kRight>
                                                      : bf16_kernel<OperandForm::kPanels>;
    constexpr int64_t kColumnsOfBlock = 512;
    const auto n_tiles = static_cast<unsigned>((input.n_rows + kFragmentRows - 1) / kFragmentRows);
    const auto n_parts =
        static_cast<unsigned>((input.columns + kColumnsOfBlock - 1) / kColumnsOfBlock);
    return launch_next(overlaps, kernel, dim3(n_tiles, n_parts), dim3(kFragmentRows * kWarp), 0,
                       stream, input, fragments);
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
    return launch_next(f.traits.overlaps, finish_heads_kernel,
                       dim3(static_cast<unsigned>(job.n_rows)), dim3(kHeadWarps * kWarp), 0,
                       f.stream, job);
}

}  // namespace puna::cuda
