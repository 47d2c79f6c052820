// Attention of rows one by one: attention_unit.cuh in a grid of blocks.
#include "cuda/attention.h"

#include "cuda/attention_rows.h"
#include "cuda/attention_unit.cuh"
#include "cuda/launch.h"
#include "cuda/linear_bf16.h"
#include "cuda/scratch.h"
#include "cuda/vector_ops.h"

namespace puna::cuda {

namespace {

// Grid: [chunks][units][rows that attend], or [1][units][rows] without partials.
template <int kQueries, int kType>
__global__ void __launch_bounds__(kAttentionThreads, 2) attend_kernel(const AttentionJob job) {
    __shared__ AttentionMemory<kQueries> memory;
    const AttentionUnit unit = attention_unit(job, blockIdx.z, static_cast<int32_t>(blockIdx.y));
    const auto chunk = static_cast<int32_t>(blockIdx.x);
    const bool has_work = chunk < chunks_of(unit);
    // With few rows; the first chunk, where the block takes all.
    if (job.finishes_heads != 0 && has_work) {
        prefetch_chunk(job, unit, chunk, job.heads.layer, static_cast<int>(threadIdx.x),
                       kAttentionThreads);
    }
    wait_for_last_kernel();
    if (!has_work) return;
    attend_unit<kQueries, kType>(job, unit, chunk, static_cast<float*>(dynamic_shared()), memory);
}

// ---- Which kernel -------------------------------------------------------------------------------

using AttentionKernel = void (*)(AttentionJob);

// What is rare shares a kernel: those for all pairs of types would take most of the time that compiling the
// backend takes.
template <int kQueries>
AttentionKernel kernel_for(const KvCache& cache) {
    const bool is_wide = cache.keys.head_dim % kKvWide == 0 && cache.values.head_dim % kKvWide == 0;
    if (cache.keys.type != cache.values.type || !is_wide) {
        return attend_kernel<kQueries, kKvAnyType>;
    }
    switch (cache.keys.type) {
        case PUNA_KV_F32:
            return attend_kernel<kQueries, PUNA_KV_F32>;
        case PUNA_KV_F16:
            return attend_kernel<kQueries, PUNA_KV_F16>;
        case PUNA_KV_BF16:
            return attend_kernel<kQueries, PUNA_KV_BF16>;
        default:
            return attend_kernel<kQueries, PUNA_KV_Q8_0>;
    }
}

// Chunks that n pages in a row may touch.
int32_t chunks_of_pages(int32_t n_pages) {
    constexpr int32_t kPages = kAttentionChunk / PUNA_KV_PAGE;
    return n_pages < 1 ? 1 : 1 + (n_pages - 1 + kPages - 1) / kPages;
}

// All rows, or those of job.alone.
cudaError_t attend_one_by_one(const Forward& f, const Scratch& scratch, AttentionJob job) {
    const DeviceBatch& batch = f.batch;
    const int32_t n_rows = job.alone ? batch.n_alone : batch.n_rows;
    const int32_t most =
        chunks_of_pages(job.alone ? batch.n_pages_of_alone : batch.n_pages_of_longest);
    const int32_t n_chunks = most < scratch.max_chunks ? most : scratch.max_chunks;
    const bool is_split = n_chunks > kUnsplitChunks && n_rows <= scratch.split_rows;
    if (!is_split) job.partials = nullptr;
    const int32_t n_queries = queries_of_unit(job);
    const AttentionKernel kernel = n_queries == 1   ? kernel_for<1>(f.cache)
                                   : n_queries <= 4 ? kernel_for<4>(f.cache)
                                                    : kernel_for<kUnitQueries>(f.cache);
    const dim3 grid(is_split ? static_cast<unsigned>(n_chunks) : 1,
                    static_cast<unsigned>(units_of_row(job)), static_cast<unsigned>(n_rows));
    return launch_next(f.traits.overlaps, kernel, grid, dim3(kAttentionThreads),
                       static_cast<size_t>(unit_shared_bytes(job)), f.stream, job);
}

}  // namespace

AttentionJob make_attention_job(const Forward& f, const Scratch& scratch, int32_t layer) {
    const puna_model_spec& spec = f.weights->spec;
    AttentionJob job = {};
    job.heads = make_heads_job(f, scratch, layer);
    job.view_pages = f.batch.view_pages;
    job.pages = f.batch.pages;
    job.pieces = f.batch.pieces;
    job.group = spec.n_head / spec.n_head_kv;
    job.units_per_head = (job.group + kUnitQueries - 1) / kUnitQueries;
    job.softcap = spec.attention_softcap;
    job.attn = scratch.attn;
    job.partials = scratch.partials;
    job.arrivals = scratch.arrivals;
    job.max_chunks = scratch.max_chunks;

    const int64_t head_bytes = int64_t{spec.head_dim_k} * 4;
    const int32_t n_queries = queries_of_unit(job);
    const bool finishes =
        f.batch.n_rows <= kFewRows && (n_queries + kAttentionWarps) * head_bytes <= kUnitHeadBytes;
    const bool keeps = finishes || n_queries * head_bytes <= kUnitHeadBytes;
    job.finishes_heads = finishes ? 1 : 0;
    job.keeps_queries = keeps ? 1 : 0;
    return job;
}

// Columns of panels end where heads do, and heads where pieces do.
bool leaves_panels(const Forward& f) {
    const puna_model_spec& spec = f.weights->spec;
    return attends_together(f) && f.batch.n_alone == 0 && spec.head_dim_v % 32 == 0 &&
           attn_columns(spec) % kBf16Step == 0;
}

cudaError_t attend(const Forward& f, const Scratch& scratch, int32_t layer, uint4* panels) {
    AttentionJob job = make_attention_job(f, scratch, layer);
    job.panels = panels;
    if (job.finishes_heads == 0) {
        const cudaError_t error = finish_heads(f, job.heads);
        if (error != cudaSuccess) return error;
        if (attends_together(f)) {
            const cudaError_t together = attend_together(f, job);
            if (together != cudaSuccess || f.batch.n_alone == 0) return together;
            job.alone = f.batch.alone;
        }
    }
    return attend_one_by_one(f, scratch, job);
}

}  // namespace puna::cuda
