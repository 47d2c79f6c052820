// Attention in two steps: chunks of positions, and their merge.
//
// A block takes one row, up to 8 query heads of one KV head, and one chunk (or, with many rows, all of
// them one after the other: the same operations). In a warp 8 lanes share a position, each with 8
// contiguous dimensions of every 64: cells are read in pieces of 64 to 256 contiguous bytes. Position p of
// a chunk is always that of the same lanes and of the same step, and what is masked is left out: the sums
// do not depend on where a row begins to see.
#include "cuda/attention.h"

#include "cuda/kv_cells.cuh"
#include "cuda/launch.h"
#include "cuda/scratch.h"

namespace puna::cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kMostQueries = 8;
constexpr int kPositionLanes = 8;
constexpr int kPiece = kPositionLanes * kKvWide;       // dimensions at a time
constexpr int kPositions = kThreads / kPositionLanes;  // positions at a time
constexpr int64_t kQueryBytes = 32 * 1024;             // in shared memory at most

struct AttentionJob {
    const puna_batch_row* rows;
    const int32_t* view_pages;
    const int32_t* pages;
    KvCache cache;
    int32_t layer;
    int32_t n_head;
    int32_t group;           // query heads of a KV head
    int32_t units_per_head;  // of up to kMostQueries of them
    float softcap;
    const float* q;  // [rows][q_stride]
    int64_t q_stride;
    float* attn;      // [rows][n_head][head_dim_v]
    float* partials;  // [rows][n_head][max_chunks][2 + head_dim_v]; null: all chunks in one block
    int32_t max_chunks;
    int32_t keeps_queries;  // they fit the shared memory
};

// What a block has for its row and unit.
struct Unit {
    puna_batch_row row;
    int64_t row_index;
    int32_t kv_head;
    int32_t first_query;
    int32_t n_queries;
    const int32_t* pages;
};

__device__ inline Unit unit_of_block(const AttentionJob& job) {
    Unit unit;
    unit.row_index = blockIdx.z;
    unit.row = job.rows[unit.row_index];
    const auto index = static_cast<int32_t>(blockIdx.y);
    unit.kv_head = index / job.units_per_head;
    const int32_t within = index % job.units_per_head * kMostQueries;
    unit.first_query = unit.kv_head * job.group + within;
    unit.n_queries = min(kMostQueries, job.group - within);
    unit.pages = job.pages + job.view_pages[unit.row.view];
    return unit;
}

__device__ inline int32_t cell_of(const Unit& unit, int32_t position) {
    return unit.pages[position / PUNA_KV_PAGE] * PUNA_KV_PAGE + position % PUNA_KV_PAGE;
}

// The visible positions of a chunk.
struct Span {
    int32_t start;  // of the chunk
    int32_t begin;
    int32_t end;
};

template <int kQueries>
struct AttentionMemory {
    float scores[kQueries][kAttentionChunk];
    float pieces[kWarps][kQueries][kPiece];
    float largest[kQueries];  // of the chunk
    float sum[kQueries];
    float whole_largest[kQueries];  // of all chunks so far
    float whole_sum[kQueries];
    float keep[kQueries];  // what the values so far, and those of the chunk, are multiplied by
    float add[kQueries];
};

// The steps in which there is a visible position.
__device__ inline int first_step(const Span& span) {
    return (span.begin - span.start) / kPositions;
}
__device__ inline int last_step(const Span& span) {
    return (span.end - 1 - span.start) / kPositions;
}
// Position of a step that a thread's lanes share.
__device__ inline int32_t position_of(const Span& span, int step) {
    return span.start + step * kPositions + static_cast<int>(threadIdx.x) / kPositionLanes;
}

// scores[g][p - start] = q[g] . k[p], soft-capped
template <int kQueries, int kType>
__device__ inline void compute_scores(const AttentionJob& job, const Unit& unit, const Span& span,
                                      const float* q, AttentionMemory<kQueries>& memory) {
    const KvHalf& keys = job.cache.keys;
    const int dim = keys.head_dim;
    const bool is_aligned = dim % kKvWide == 0;
    const int first = static_cast<int>(threadIdx.x) % kPositionLanes * kKvWide;
#pragma unroll 1
    for (int step = first_step(span); step <= last_step(span); ++step) {
        const int32_t p = position_of(span, step);
        const bool is_visible = p >= span.begin && p < span.end;
        float sums[kQueries] = {};
        if (is_visible) {
            const KvHead key = kv_head(keys, job.layer, cell_of(unit, p), unit.kv_head);
            for (int d = first; d < dim; d += kPiece) {
                float k[kKvWide];
                load_kv<kType>(key, d, dim, is_aligned, k);
#pragma unroll
                for (int g = 0; g < kQueries; ++g) {
                    if (g >= unit.n_queries) break;
#pragma unroll
                    for (int i = 0; i < kKvWide; ++i) {
                        const float x = d + i < dim ? q[g * dim + d + i] : 0.0f;
                        sums[g] = __fmaf_rn(x, k[i], sums[g]);
                    }
                }
            }
        }
#pragma unroll
        for (int g = 0; g < kQueries; ++g) {
            if (g >= unit.n_queries) break;
#pragma unroll
            for (int bits = kPositionLanes / 2; bits > 0; bits /= 2) {
                sums[g] += __shfl_xor_sync(kAllLanes, sums[g], bits);
            }
            if (first != 0 || !is_visible) continue;
            float score = sums[g];
            if (job.softcap != 0.0f) score = job.softcap * tanhf(score / job.softcap);
            memory.scores[g][p - span.start] = score;
        }
    }
}

// scores = exp(scores - largest), by a warp for each query.
template <int kQueries>
__device__ inline void softmax(const Unit& unit, const Span& span,
                               AttentionMemory<kQueries>& memory) {
    constexpr int kEach = kAttentionChunk / kWarp;
    for (int g = warp_of_thread(); g < unit.n_queries; g += kWarps) {
        float* scores = memory.scores[g];
        float largest = __uint_as_float(0xff800000u);
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const int at = lane_of_thread() + i * kWarp;
            const int32_t p = span.start + at;
            if (p >= span.begin && p < span.end) largest = fmaxf(largest, scores[at]);
        }
        largest = warp_max(largest);
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const int at = lane_of_thread() + i * kWarp;
            const int32_t p = span.start + at;
            if (p < span.begin || p >= span.end) continue;
            scores[at] = expf(scores[at] - largest);
            sum += scores[at];
        }
        sum = warp_sum(sum);
        if (lane_of_thread() == 0) {
            memory.largest[g] = largest;
            memory.sum[g] = sum;
        }
    }
}

// pieces[warp][g][i] = sum_p scores[g][p] v[p][first + i] over the positions of the warp
template <int kQueries, int kType>
__device__ inline void mix_values(const AttentionJob& job, const Unit& unit, const Span& span,
                                  int first, AttentionMemory<kQueries>& memory) {
    const KvHalf& values = job.cache.values;
    const int dim = values.head_dim;
    const int d = first + static_cast<int>(threadIdx.x) % kPositionLanes * kKvWide;
    float sums[kQueries][kKvWide] = {};
#pragma unroll 2
    for (int step = first_step(span); step <= last_step(span); ++step) {
        const int32_t p = position_of(span, step);
        if (p < span.begin || p >= span.end || d >= dim) continue;
        const KvHead value = kv_head(values, job.layer, cell_of(unit, p), unit.kv_head);
        float v[kKvWide];
        load_kv<kType>(value, d, dim, dim % kKvWide == 0, v);
#pragma unroll
        for (int g = 0; g < kQueries; ++g) {
            if (g >= unit.n_queries) break;
            const float weight = memory.scores[g][p - span.start];
#pragma unroll
            for (int i = 0; i < kKvWide; ++i) sums[g][i] = __fmaf_rn(weight, v[i], sums[g][i]);
        }
    }
#pragma unroll
    for (int g = 0; g < kQueries; ++g) {
        if (g >= unit.n_queries) break;
#pragma unroll
        for (int i = 0; i < kKvWide; ++i) {
#pragma unroll
            for (int bits = kWarp / 2; bits >= kPositionLanes; bits /= 2) {
                sums[g][i] += __shfl_xor_sync(kAllLanes, sums[g][i], bits);
            }
            if (lane_of_thread() < kPositionLanes) {
                memory.pieces[warp_of_thread()][g][lane_of_thread() * kKvWide + i] = sums[g][i];
            }
        }
    }
}

// How two parts of a softmax become one.
struct Merge {
    float largest;
    float keep;
    float add;
};
__device__ inline Merge merge_of(float largest, float next) {
    const float both = fmaxf(largest, next);
    return {both, expf(largest - both), expf(next - both)};
}
__device__ inline float merged(float a, float b, const Merge& merge) {
    return __fmaf_rn(a, merge.keep, __fmul_rn(b, merge.add));
}

// What a chunk has for a query and dimension goes to its partial, or to the sums so far.
template <int kQueries>
__device__ inline void put_value(const AttentionJob& job, const Unit& unit, int g, int64_t d,
                                 float value, bool is_first, bool is_last, int32_t chunk,
                                 const AttentionMemory<kQueries>& memory) {
    const int64_t dim = job.cache.values.head_dim;
    const int64_t head = unit.row_index * job.n_head + unit.first_query + g;
    if (job.partials) {
        job.partials[(head * job.max_chunks + chunk) * (2 + dim) + 2 + d] = value;
        return;
    }
    float* attn = job.attn + head * dim + d;
    const Merge merge = {0.0f, memory.keep[g], memory.add[g]};
    if (!is_first) value = merged(*attn, value, merge);
    *attn = is_last ? value * (1.0f / memory.whole_sum[g]) : value;
}

// The largest score and the sum of a chunk likewise, a thread for each query.
template <int kQueries>
__device__ inline void put_sums(const AttentionJob& job, const Unit& unit, bool is_first,
                                int32_t chunk, AttentionMemory<kQueries>& memory) {
    const auto g = static_cast<int>(threadIdx.x);
    if (g >= unit.n_queries) return;
    if (job.partials) {
        const int64_t head = unit.row_index * job.n_head + unit.first_query + g;
        float* partial =
            job.partials + (head * job.max_chunks + chunk) * (2 + job.cache.values.head_dim);
        partial[0] = memory.largest[g];
        partial[1] = memory.sum[g];
    } else if (is_first) {
        memory.whole_largest[g] = memory.largest[g];
        memory.whole_sum[g] = memory.sum[g];
    } else {
        const Merge merge = merge_of(memory.whole_largest[g], memory.largest[g]);
        memory.whole_sum[g] = merged(memory.whole_sum[g], memory.sum[g], merge);
        memory.whole_largest[g] = merge.largest;
        memory.keep[g] = merge.keep;
        memory.add[g] = merge.add;
    }
}

template <int kQueries, int kKeyType, int kValueType>
__device__ inline void attend_chunk(const AttentionJob& job, const Unit& unit, const float* q,
                                    int32_t chunk, int32_t n_chunks,
                                    AttentionMemory<kQueries>& memory) {
    const bool is_first = chunk == 0;
    const bool is_last = chunk + 1 == n_chunks;
    const int32_t start = (unit.row.first / kAttentionChunk + chunk) * kAttentionChunk;
    // Without overflow at the end of the numbers: start + kAttentionChunk may not be one.
    const int32_t end = unit.row.position - start < kAttentionChunk ? unit.row.position + 1
                                                                    : start + kAttentionChunk;
    const Span span = {start, max(unit.row.first, start), end};
    compute_scores<kQueries, kKeyType>(job, unit, span, q, memory);
    __syncthreads();
    softmax(unit, span, memory);
    __syncthreads();
    put_sums(job, unit, is_first, chunk, memory);
    for (int first = 0; first < job.cache.values.head_dim; first += kPiece) {
        mix_values<kQueries, kValueType>(job, unit, span, first, memory);
        __syncthreads();
        const int n = unit.n_queries * kPiece;
        for (auto i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
            const int g = i / kPiece;
            const int d = first + i % kPiece;
            if (d >= job.cache.values.head_dim) continue;
            float value = memory.pieces[0][g][i % kPiece];
            for (int w = 1; w < kWarps; ++w) value += memory.pieces[w][g][i % kPiece];
            put_value(job, unit, g, d, value, is_first, is_last, chunk, memory);
        }
        __syncthreads();
    }
}

// Grid: [chunks][units][rows], or [1][units][rows] without partials.
template <int kQueries, int kKeyType, int kValueType>
__global__ void __launch_bounds__(kThreads) attend_kernel(const AttentionJob job) {
    __shared__ AttentionMemory<kQueries> memory;
    const Unit unit = unit_of_block(job);
    const int32_t n_chunks =
        unit.row.position / kAttentionChunk - unit.row.first / kAttentionChunk + 1;
    const auto block_chunk = static_cast<int32_t>(blockIdx.x);
    if (block_chunk >= n_chunks) return;
    const int64_t dim = job.cache.keys.head_dim;
    const float* q = job.q + unit.row_index * job.q_stride + unit.first_query * dim;
    if (job.keeps_queries != 0) {
        auto* kept = static_cast<float*>(dynamic_shared());
        const int64_t n = unit.n_queries * dim;
        for (auto i = static_cast<int64_t>(threadIdx.x); i < n; i += kThreads) kept[i] = q[i];
        __syncthreads();
        q = kept;
    }
    if (job.partials) {
        attend_chunk<kQueries, kKeyType, kValueType>(job, unit, q, block_chunk, n_chunks, memory);
        return;
    }
    for (int32_t chunk = 0; chunk < n_chunks; ++chunk) {
        attend_chunk<kQueries, kKeyType, kValueType>(job, unit, q, chunk, n_chunks, memory);
    }
}

// Grid: [blocks of dimensions][heads][rows].
__global__ void merge_kernel(const AttentionJob job) {
    const auto row_index = static_cast<int64_t>(blockIdx.z);
    const int64_t dim = job.cache.values.head_dim;
    const int64_t d = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (d >= dim) return;
    const puna_batch_row& row = job.rows[row_index];
    const int32_t n_chunks = row.position / kAttentionChunk - row.first / kAttentionChunk + 1;
    const int64_t head = row_index * job.n_head + blockIdx.y;
    const float* partial = job.partials + head * job.max_chunks * (2 + dim);
    float largest = partial[0];
    float sum = partial[1];
    float value = partial[2 + d];
    for (int32_t chunk = 1; chunk < n_chunks; ++chunk) {
        partial += 2 + dim;
        const Merge merge = merge_of(largest, partial[0]);
        sum = merged(sum, partial[1], merge);
        value = merged(value, partial[2 + d], merge);
        largest = merge.largest;
    }
    job.attn[head * dim + d] = value * (1.0f / sum);
}

// ---- Which kernel -------------------------------------------------------------------------------

using AttentionKernel = void (*)(AttentionJob);

template <int kQueries, int kKeyType>
AttentionKernel kernel_for_values(int32_t value_type) {
    switch (value_type) {
        case PUNA_KV_F32:
            return attend_kernel<kQueries, kKeyType, PUNA_KV_F32>;
        case PUNA_KV_F16:
            return attend_kernel<kQueries, kKeyType, PUNA_KV_F16>;
        case PUNA_KV_BF16:
            return attend_kernel<kQueries, kKeyType, PUNA_KV_BF16>;
        default:
            return attend_kernel<kQueries, kKeyType, PUNA_KV_Q8_0>;
    }
}

template <int kQueries>
AttentionKernel kernel_for(const KvCache& cache) {
    switch (cache.keys.type) {
        case PUNA_KV_F32:
            return kernel_for_values<kQueries, PUNA_KV_F32>(cache.values.type);
        case PUNA_KV_F16:
            return kernel_for_values<kQueries, PUNA_KV_F16>(cache.values.type);
        case PUNA_KV_BF16:
            return kernel_for_values<kQueries, PUNA_KV_BF16>(cache.values.type);
        default:
            return kernel_for_values<kQueries, PUNA_KV_Q8_0>(cache.values.type);
    }
}

// Chunks that n pages in a row may touch.
int32_t chunks_of_pages(int32_t n_pages) {
    constexpr int32_t kPages = kAttentionChunk / PUNA_KV_PAGE;
    return n_pages < 1 ? 1 : 1 + (n_pages - 1 + kPages - 1) / kPages;
}

}  // namespace

cudaError_t attend(const Forward& f, const Scratch& scratch, int32_t layer) {
    const puna_model_spec& spec = f.weights->spec;
    AttentionJob job = {};
    job.rows = f.batch.rows;
    job.view_pages = f.batch.view_pages;
    job.pages = f.batch.pages;
    job.cache = f.cache;
    job.layer = layer;
    job.n_head = spec.n_head;
    job.group = spec.n_head / spec.n_head_kv;
    job.units_per_head = (job.group + kMostQueries - 1) / kMostQueries;
    job.softcap = spec.attention_softcap;
    job.q = scratch.qkv;
    job.q_stride = qkv_columns(spec);
    job.attn = scratch.attn;
    job.max_chunks = scratch.max_chunks;
    const int32_t n_queries = job.group < kMostQueries ? job.group : kMostQueries;
    const int64_t query_bytes = int64_t{n_queries} * spec.head_dim_k * 4;
    job.keeps_queries = query_bytes <= kQueryBytes ? 1 : 0;

    const int32_t most = chunks_of_pages(f.batch.n_pages_of_longest);
    const int32_t n_chunks = most < scratch.max_chunks ? most : scratch.max_chunks;
    // A block takes two chunks in less than another launch.
    const bool is_split = n_chunks > 2 && f.batch.n_rows <= scratch.split_rows;
    job.partials = is_split ? scratch.partials : nullptr;
    const AttentionKernel kernel = n_queries == 1   ? kernel_for<1>(f.cache)
                                   : n_queries <= 4 ? kernel_for<4>(f.cache)
                                                    : kernel_for<kMostQueries>(f.cache);
    const auto n_units = static_cast<unsigned>(spec.n_head_kv * job.units_per_head);
    const auto n_rows = static_cast<unsigned>(f.batch.n_rows);
    const cudaError_t error =
        launch(kernel, dim3(is_split ? static_cast<unsigned>(n_chunks) : 1, n_units, n_rows),
               dim3(kThreads), job.keeps_queries != 0 ? static_cast<size_t>(query_bytes) : 0,
               f.stream, job);
    if (error != cudaSuccess || !is_split) return error;
    constexpr unsigned kMergeThreads = 64;
    const auto n_blocks =
        (static_cast<unsigned>(spec.head_dim_v) + kMergeThreads - 1) / kMergeThreads;
    return launch(merge_kernel, dim3(n_blocks, static_cast<unsigned>(spec.n_head), n_rows),
                  dim3(kMergeThreads), 0, f.stream, job);
}

}  // namespace puna::cuda
