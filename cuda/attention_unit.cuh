// Attention of one row by a block, in chunks of positions, which are merged in order.
//
// A block takes one row, up to 8 query heads of one KV head (a unit), and one chunk, or all of them one after
// the other: the same operations. In a warp 8 lanes share a position, each with 8 contiguous dimensions of
// every 64: cells are read in pieces of 64 to 256 contiguous bytes. Position p of a chunk is always that of
// the same lanes and of the same step, and what is masked is left out: the sums do not depend on where a row
// begins to see.
//
// Chunks in blocks of their own leave partial results; the block that comes last merges them.
//
// With few rows every block finishes the heads that it needs: its queries in shared memory, and the keys and
// values of all rows of the batch for its KV head, which it puts into the cache. So what a block reads
// there it has written itself, or an earlier pass has; that others write the same bytes to the same places
// does no harm.
#pragma once

#include "cuda/arrivals.cuh"
#include "cuda/attention.h"
#include "cuda/attention_job.cuh"

namespace puna::cuda {

constexpr int kAttentionWarps = 8;
constexpr int kAttentionThreads = kAttentionWarps * kWarp;
constexpr int kUnitQueries = 8;
constexpr int kPositionLanes = 8;
constexpr int kAttentionPiece = kPositionLanes * kKvWide;           // dimensions at a time
constexpr int kStepPositions = kAttentionThreads / kPositionLanes;  // positions of a step
constexpr int kStepsAhead = 2;                 // steps whose loads do not wait for each other
constexpr int64_t kUnitHeadBytes = 24 * 1024;  // in shared memory at most

// A block takes so many chunks in less time than they take to be merged.
constexpr int32_t kUnsplitChunks = 2;

__host__ __device__ inline int32_t units_of_row(const AttentionJob& job) {
    return job.heads.n_head_kv * job.units_per_head;
}
// Of its units with the most.
__host__ __device__ inline int32_t queries_of_unit(const AttentionJob& job) {
    return job.group < kUnitQueries ? job.group : kUnitQueries;
}
// Beside AttentionMemory.
inline int64_t unit_shared_bytes(const AttentionJob& job) {
    const int64_t head_bytes = int64_t{job.heads.head_dim_k} * 4;
    if (job.finishes_heads != 0) return (queries_of_unit(job) + kAttentionWarps) * head_bytes;
    return job.keeps_queries != 0 ? queries_of_unit(job) * head_bytes : 0;
}

// A unit of a row.
struct AttentionUnit {
    puna_batch_row row;
    int64_t row_index;
    int64_t place;  // of the row among those that attend
    int32_t index;  // within the row
    int32_t kv_head;
    int32_t first_query;
    int32_t n_queries;
    const int32_t* pages;
};

__device__ inline AttentionUnit attention_unit(const AttentionJob& job, int64_t place,
                                               int32_t index) {
    AttentionUnit unit;
    unit.place = place;
    unit.row_index = job.alone ? job.alone[place] : place;
    unit.row = job.heads.rows[unit.row_index];
    unit.index = index;
    unit.kv_head = index / job.units_per_head;
    const int32_t within = index % job.units_per_head * kUnitQueries;
    unit.first_query = unit.kv_head * job.group + within;
    unit.n_queries = min(kUnitQueries, job.group - within);
    unit.pages = pages_of(job, unit.row.view);
    return unit;
}
__device__ inline int32_t chunks_of(const AttentionUnit& unit) {
    return unit.row.position / kAttentionChunk - unit.row.first / kAttentionChunk + 1;
}

// The visible positions of a chunk.
struct VisibleSpan {
    int32_t start;  // of the chunk
    int32_t begin;
    int32_t end;
};

template <int kQueries>
struct AttentionMemory {
    float scores[kQueries][kAttentionChunk];
    float pieces[kAttentionWarps][kQueries][kAttentionPiece];
    float largest[kQueries];  // of the chunk
    float sum[kQueries];
    float whole_largest[kQueries];  // of all chunks so far
    float whole_sum[kQueries];
    float keep[kQueries];  // what the values so far, and those of the chunk, are multiplied by
    float add[kQueries];
    bool is_last;  // of the blocks of the unit
};

// What every GPU gives a block without asking.
static_assert(sizeof(AttentionMemory<kUnitQueries>) + kUnitHeadBytes <= 48 * 1024);

// The steps in which there is a visible position.
__device__ inline int first_step(const VisibleSpan& span) {
    return (span.begin - span.start) / kStepPositions;
}
__device__ inline int last_step(const VisibleSpan& span) {
    return (span.end - 1 - span.start) / kStepPositions;
}

// The heads that a thread reads in a step and those after it. What is not visible is a head that is.
struct StepHeads {
    KvHead heads[kStepsAhead];
    int at[kStepsAhead];  // positions, from the start of the chunk
    bool visible[kStepsAhead];
};
__device__ inline StepHeads heads_of_steps(const AttentionJob& job, const KvHalf& half,
                                           const AttentionUnit& unit, const VisibleSpan& span,
                                           int step) {
    StepHeads next;
#pragma unroll
    for (int a = 0; a < kStepsAhead; ++a) {
        const int at = (step + a) * kStepPositions + static_cast<int>(threadIdx.x) / kPositionLanes;
        next.at[a] = at;
        next.visible[a] = at >= span.begin - span.start && at < span.end - span.start;
        const int32_t cell = cell_of(unit.pages, next.visible[a] ? span.start + at : span.begin);
        next.heads[a] = kv_head(half, job.heads.layer, cell, unit.kv_head);
    }
    return next;
}

// Dimensions d .. d + 7 of a query, 0 from its end on. `is_wide`: they can be read 16 bytes at a time.
__device__ inline void load_query(const float* q, int d, int dim, bool is_wide, float* out) {
    if (is_wide) {
        const float4 low = *reinterpret_cast<const float4*>(q + d);
        const float4 high = *reinterpret_cast<const float4*>(q + d + 4);
        const float both[kKvWide] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < kKvWide; ++i) out[i] = both[i];
        return;
    }
#pragma unroll
    for (int i = 0; i < kKvWide; ++i) out[i] = d + i < dim ? q[d + i] : 0.0f;
}

// sums[a][g] = q[g] . k[a], the part of a lane
template <int kQueries, int kType>
__device__ inline void multiply_keys(const AttentionJob& job, const AttentionUnit& unit,
                                     const StepHeads& steps, const float* q,
                                     float (*sums)[kQueries]) {
    const KvHalf& keys = job.heads.cache.keys;
    const int dim = keys.head_dim;
    const bool is_wide = job.keeps_queries != 0 && dim % kKvWide == 0;
    for (int d = static_cast<int>(threadIdx.x) % kPositionLanes * kKvWide; d < dim;
         d += kAttentionPiece) {
        float k[kStepsAhead][kKvWide];
#pragma unroll
        for (int a = 0; a < kStepsAhead; ++a) load_kv<kType>(keys, steps.heads[a], d, k[a]);
#pragma unroll
        for (int g = 0; g < kQueries; ++g) {
            if (g >= unit.n_queries) break;
            float x[kKvWide];
            load_query(q + g * dim, d, dim, is_wide, x);
#pragma unroll
            for (int a = 0; a < kStepsAhead; ++a) {
#pragma unroll
                for (int i = 0; i < kKvWide; ++i) {
                    sums[a][g] = __fmaf_rn(x[i], k[a][i], sums[a][g]);
                }
            }
        }
    }
}

// scores[g][p - start] = q[g] . k[p], soft-capped
template <int kQueries, int kType>
__device__ inline void compute_scores(const AttentionJob& job, const AttentionUnit& unit,
                                      const VisibleSpan& span, const float* q,
                                      AttentionMemory<kQueries>& memory) {
    const bool is_first = static_cast<int>(threadIdx.x) % kPositionLanes == 0;
#pragma unroll 1
    for (int step = first_step(span); step <= last_step(span); step += kStepsAhead) {
        const StepHeads steps = heads_of_steps(job, job.heads.cache.keys, unit, span, step);
        float sums[kStepsAhead][kQueries] = {};
        multiply_keys<kQueries, kType>(job, unit, steps, q, sums);
#pragma unroll
        for (int a = 0; a < kStepsAhead; ++a) {
#pragma unroll
            for (int g = 0; g < kQueries; ++g) {
                if (g >= unit.n_queries) break;
                float score = sums[a][g];
#pragma unroll
                for (int bits = kPositionLanes / 2; bits > 0; bits /= 2) {
                    score += __shfl_xor_sync(kAllLanes, score, bits);
                }
                if (!is_first || !steps.visible[a]) continue;
                if (job.softcap != 0.0f) score = job.softcap * tanhf(score / job.softcap);
                memory.scores[g][steps.at[a]] = score;
            }
        }
    }
}

// scores = exp(scores - largest), by a warp for each query.
template <int kQueries>
__device__ inline void softmax(const AttentionUnit& unit, const VisibleSpan& span,
                               AttentionMemory<kQueries>& memory) {
    constexpr int kEach = kAttentionChunk / kWarp;
    for (int g = warp_of_thread(); g < unit.n_queries; g += kAttentionWarps) {
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

// sums[g][i] = sum_p scores[g][p] v[p][d + i] over the positions of the thread
template <int kQueries, int kType>
__device__ inline void add_values(const AttentionJob& job, const AttentionUnit& unit,
                                  const VisibleSpan& span, int d,
                                  const AttentionMemory<kQueries>& memory, float (*sums)[kKvWide]) {
    const KvHalf& values = job.heads.cache.values;
#pragma unroll 1
    for (int step = first_step(span); step <= last_step(span); step += kStepsAhead) {
        const StepHeads steps = heads_of_steps(job, values, unit, span, step);
        float v[kStepsAhead][kKvWide];
#pragma unroll
        for (int a = 0; a < kStepsAhead; ++a) load_kv<kType>(values, steps.heads[a], d, v[a]);
#pragma unroll
        for (int a = 0; a < kStepsAhead; ++a) {
            if (!steps.visible[a]) continue;
#pragma unroll
            for (int g = 0; g < kQueries; ++g) {
                if (g >= unit.n_queries) break;
                const float weight = memory.scores[g][steps.at[a]];
#pragma unroll
                for (int i = 0; i < kKvWide; ++i) {
                    sums[g][i] = __fmaf_rn(weight, v[a][i], sums[g][i]);
                }
            }
        }
    }
}

// pieces[warp][g][i] = sum_p scores[g][p] v[p][first + i] over the positions of the warp
template <int kQueries, int kType>
__device__ inline void mix_values(const AttentionJob& job, const AttentionUnit& unit,
                                  const VisibleSpan& span, int first,
                                  AttentionMemory<kQueries>& memory) {
    const int d = first + static_cast<int>(threadIdx.x) % kPositionLanes * kKvWide;
    float sums[kQueries][kKvWide] = {};
    if (d < job.heads.head_dim_v) {
        add_values<kQueries, kType>(job, unit, span, d, memory, sums);
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

// Of query g of a unit: its head within [n_rows][n_head], and what the first chunk left.
__device__ inline int64_t head_of(const AttentionJob& job, const AttentionUnit& unit, int g) {
    return unit.row_index * job.heads.n_head + unit.first_query + g;
}
__device__ inline float* first_partial(const AttentionJob& job, const AttentionUnit& unit, int g) {
    const int64_t head = unit.place * job.heads.n_head + unit.first_query + g;
    return job.partials + head * job.max_chunks * (2 + int64_t{job.heads.head_dim_v});
}

// What a chunk has for a query and dimension goes to its partial, or to the sums so far.
template <int kQueries>
__device__ inline void put_value(const AttentionJob& job, const AttentionUnit& unit, int g,
                                 int64_t d, float value, bool is_first, bool is_last, int32_t chunk,
                                 const AttentionMemory<kQueries>& memory) {
    const int64_t dim = job.heads.head_dim_v;
    if (job.partials) {
        first_partial(job, unit, g)[chunk * (2 + dim) + 2 + d] = value;
        return;
    }
    float* attn = job.attn + head_of(job, unit, g) * dim + d;
    const Merge merge = {0.0f, memory.keep[g], memory.add[g]};
    if (!is_first) value = merged(*attn, value, merge);
    *attn = is_last ? value * (1.0f / memory.whole_sum[g]) : value;
}

// The largest score and the sum of a chunk likewise, a thread for each query.
template <int kQueries>
__device__ inline void put_sums(const AttentionJob& job, const AttentionUnit& unit, bool is_first,
                                int32_t chunk, AttentionMemory<kQueries>& memory) {
    const auto g = static_cast<int>(threadIdx.x);
    if (g >= unit.n_queries) return;
    if (job.partials) {
        float* partial = first_partial(job, unit, g) + chunk * (2 + int64_t{job.heads.head_dim_v});
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

__device__ inline VisibleSpan span_of_chunk(const AttentionUnit& unit, int32_t chunk) {
    const int32_t start = (unit.row.first / kAttentionChunk + chunk) * kAttentionChunk;
    // Without overflow at the end of the numbers: start + kAttentionChunk may not be one.
    const int32_t end = unit.row.position - start < kAttentionChunk ? unit.row.position + 1
                                                                    : start + kAttentionChunk;
    return {start, max(unit.row.first, start), end};
}

// Keys and values of a chunk into the L2 cache, out of which the weights of a token drive them, by one of
// n_threads.
__device__ inline void prefetch_chunk(const AttentionJob& job, const AttentionUnit& unit,
                                      int32_t chunk, int32_t layer, int thread, int n_threads) {
    constexpr int kLine = 128;
    const VisibleSpan span = span_of_chunk(unit, chunk);
    const int n = span.end - span.begin;
    for (int i = thread; i < 2 * n; i += n_threads) {
        const KvHalf& half = i < n ? job.heads.cache.keys : job.heads.cache.values;
        const int32_t cell = cell_of(unit.pages, span.begin + i % n);
        const KvHead head = kv_head(half, layer, cell, unit.kv_head);
        const auto bytes = static_cast<int>(half.head_dim * kv_element_bytes(half.type));
        for (int at = 0; at < bytes; at += kLine) prefetch_l2(head.data + at);
    }
}

template <int kQueries, int kType>
__device__ inline void attend_chunk(const AttentionJob& job, const AttentionUnit& unit,
                                    const float* q, int32_t chunk, int32_t n_chunks,
                                    AttentionMemory<kQueries>& memory) {
    const bool is_first = chunk == 0;
    const bool is_last = chunk + 1 == n_chunks;
    const VisibleSpan span = span_of_chunk(unit, chunk);
    compute_scores<kQueries, kType>(job, unit, span, q, memory);
    __syncthreads();
    softmax(unit, span, memory);
    __syncthreads();
    put_sums(job, unit, is_first, chunk, memory);
    for (int first = 0; first < job.heads.head_dim_v; first += kAttentionPiece) {
        mix_values<kQueries, kType>(job, unit, span, first, memory);
        __syncthreads();
        const int n = unit.n_queries * kAttentionPiece;
        for (auto i = static_cast<int>(threadIdx.x); i < n; i += kAttentionThreads) {
            const int g = i / kAttentionPiece;
            const int d = first + i % kAttentionPiece;
            if (d >= job.heads.head_dim_v) continue;
            float value = memory.pieces[0][g][i % kAttentionPiece];
            for (int w = 1; w < kAttentionWarps; ++w)
                value += memory.pieces[w][g][i % kAttentionPiece];
            put_value(job, unit, g, d, value, is_first, is_last, chunk, memory);
        }
        __syncthreads();
    }
}

// Joins the chunks of a unit. They are read past the L1 cache, which may have neighbours of theirs that
// were not written yet.
__device__ inline void merge_chunks(const AttentionJob& job, const AttentionUnit& unit,
                                    int32_t n_chunks) {
    const int64_t dim = job.heads.head_dim_v;
    const int64_t n = unit.n_queries * dim;
    for (auto i = static_cast<int64_t>(threadIdx.x); i < n; i += kAttentionThreads) {
        const auto g = static_cast<int>(i / dim);
        const int64_t d = i % dim;
        const float* partial = first_partial(job, unit, g);
        float largest = __ldcg(partial);
        float sum = __ldcg(partial + 1);
        float value = __ldcg(partial + 2 + d);
#pragma unroll 4
        for (int32_t chunk = 1; chunk < n_chunks; ++chunk) {
            const float* next = partial + chunk * (2 + dim);
            const Merge merge = merge_of(largest, __ldcg(next));
            sum = merged(sum, __ldcg(next + 1), merge);
            value = merged(value, __ldcg(next + 2 + d), merge);
            largest = merge.largest;
        }
        job.attn[head_of(job, unit, g) * dim + d] = value * (1.0f / sum);
    }
}

// A head into shared memory, by a warp.
__device__ inline void copy_head(const float* from, int32_t dim, float* to) {
    for (int32_t d = lane_of_thread(); d < dim; d += kWarp) to[d] = from[d];
    __syncwarp();
}

// The heads that a block needs, a warp for each: `memory` gets its queries [n_queries][head_dim_k], and
// has room behind them for a key of each warp; keys and values go into the cache.
__device__ inline void finish_unit(const AttentionJob& job, const AttentionUnit& unit,
                                   float* memory) {
    const HeadsJob& heads = job.heads;
    const int32_t dim = heads.head_dim_k;
    float* key = memory + (unit.n_queries + warp_of_thread()) * dim;
    const int32_t n_tasks = unit.n_queries + 2 * heads.n_rows;
    for (int32_t task = warp_of_thread(); task < n_tasks; task += kAttentionWarps) {
        const int32_t row = (task - unit.n_queries) / 2;
        if (task < unit.n_queries) {
            float* query = memory + task * dim;
            copy_head(query_or_key(heads, unit.row_index, unit.first_query + task), dim, query);
            finish_query(heads, unit.row_index, query);
        } else if ((task - unit.n_queries) % 2 == 0) {
            __syncwarp();  // the key before is stored
            copy_head(query_or_key(heads, row, heads.n_head + unit.kv_head), dim, key);
            finish_key(heads, row, unit.kv_head, key);
        } else {
            store_value(heads, row, unit.kv_head);
        }
    }
    __syncthreads();
}

// The queries of the unit, in shared memory if they fit there: `memory` has room for what the job says.
__device__ inline const float* take_queries(const AttentionJob& job, const AttentionUnit& unit,
                                            float* memory) {
    const float* q = query_or_key(job.heads, unit.row_index, unit.first_query);
    if (job.finishes_heads != 0) {
        finish_unit(job, unit, memory);
    } else if (job.keeps_queries != 0) {
        const int64_t n = int64_t{unit.n_queries} * job.heads.head_dim_k;
        for (auto i = static_cast<int64_t>(threadIdx.x); i < n; i += kAttentionThreads) {
            memory[i] = q[i];
        }
        __syncthreads();
    } else {
        return q;
    }
    return memory;
}

// One of the chunks of a unit, whose partials the job has room for; or all of them.
template <int kQueries, int kType>
__device__ inline void attend_unit(const AttentionJob& job, const AttentionUnit& unit,
                                   int32_t chunk, float* queries,
                                   AttentionMemory<kQueries>& memory) {
    const int32_t n_chunks = chunks_of(unit);
    const float* q = take_queries(job, unit, queries);
    const int32_t first = job.partials ? chunk : 0;
    const int32_t end = job.partials ? chunk + 1 : n_chunks;
#pragma unroll 1
    for (int32_t c = first; c < end; ++c) {
        attend_chunk<kQueries, kType>(job, unit, q, c, n_chunks, memory);
    }
    if (!job.partials) return;
    uint32_t* arrivals = job.arrivals + unit.row_index * job.heads.n_head + unit.index;
    if (comes_last(arrivals, n_chunks, memory.is_last)) merge_chunks(job, unit, n_chunks);
}

}  // namespace puna::cuda
