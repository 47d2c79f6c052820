// A block has 8 warps, and a multiprocessor two blocks: few_rows.cuh and attention_unit.cuh work as in kernels
// of their own. Its dynamic shared memory: TokenMemory, what a phase works with, and a ring for each warp.
//
// 100 kernels of 3 us that each begin with cold weights take longer than reading the weights of a small model
// does. Here a barrier takes the place of a launch, and weights are there when it ends, as far as the rings
// hold.
#include "cuda/token_pass.h"

#include <algorithm>

#include "cuda/attention_unit.cuh"
#include "cuda/blocks_iq.cuh"
#include "cuda/blocks_k.cuh"
#include "cuda/grid_barrier.cuh"
#include "cuda/layer_products.h"
#include "cuda/vector_ops.h"
#include "cuda/weight_feed.cuh"

namespace puna::cuda {

namespace {

// All but those of grids, whose tables are many times the code.
// clang-format off
#define PUNA_TOKEN_FORMATS(X)                                             \
    X(F32) X(F16) X(BF16) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0)         \
    X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_NL) X(IQ4_XS) X(MXFP4)  \
    X(TQ1_0) X(TQ2_0)
// clang-format on

constexpr int kBlocksPerProcessor = 2;
static_assert(kFewThreads == kAttentionThreads);

struct TokenMemory {
    FeedMemory feed;
    FewRows<1> rows;
    AttentionJob attention;  // of the present phase
};
__host__ __device__ constexpr uint32_t align_16(uint64_t bytes) {
    return static_cast<uint32_t>((bytes + 15) / 16 * 16);
}
constexpr uint32_t kWorkOffset = align_16(sizeof(TokenMemory));

__device__ inline TokenMemory& token_memory() {
    return *static_cast<TokenMemory*>(dynamic_shared());
}
__device__ inline uint8_t* work_memory() {
    return static_cast<uint8_t*>(dynamic_shared()) + kWorkOffset;
}

// ---- Products -----------------------------------------------------------------------------------

// What a panel has of each 32 columns.
template <class Format>
constexpr int kPanelSpanBytes = kIsFloats<Format> ? kSpan * 4 : kRoundedSpanBytes;

template <class Format, int kOutputs>
__device__ inline void multiply_tasks(const TokenPhase& phase, WeightFeed& feed) {
    const LinearJob& job = phase.job;
    const bool adds = job.epilogue == Epilogue::kResidual && lane_of_thread() == 0;
    for (int64_t task = first_task(phase); task < phase.n_tasks; task += n_grid_warps()) {
        const OutputPair pair = outputs_of_task(phase, task);
        float before[2] = {};
        if (adds) {
            before[0] = *place_in_y(job, pair.places[0], 0);
            before[1] = *place_in_y(job, pair.places[1], 0);
        }
        float sums[2][1] = {};
        const uint8_t* panel = work_memory();
        for (int32_t chunk = 0; chunk < phase.n_chunks; ++chunk) {
            const int64_t left = job.columns - int64_t{chunk} * phase.chunk_columns;
            const auto n =
                static_cast<int>(left < phase.chunk_columns ? left : phase.chunk_columns);
            SharedBytes weights[2];
            const RingPlace place = take_weights(feed, phase, pair, chunk, weights);
            multiply_panel<Format, 1, kOutputs>(job, weights, 0, n, panel, sums);
            release_weights(feed, phase, pair, chunk, place);
            panel += int64_t{phase.chunk_columns} / kSpan * kPanelSpanBytes<Format>;
        }
        finish_pair<1>(job, pair, lane_of_thread(), before, sums);
    }
}

// Calls keep the registers of one format from those of others.
#if defined(__CUDACC__)
#define PUNA_OWN_FUNCTION __noinline__
#else
#define PUNA_OWN_FUNCTION
#endif

template <class Format>
__device__ PUNA_OWN_FUNCTION void run_product(int32_t index, WeightFeed& feed) {
    const TokenPhase& phase = token_phase(index);
    if (phase.has_panel == 0) {
        FewRows<1>& rows = token_memory().rows;
        find_rows<1>(phase.job.input, 0, rows);
        fill_panel<Format, 1>(phase.job, rows, 0, static_cast<int>(phase.job.columns),
                              work_memory());
    }
    if (phase.outputs_each == 2) {
        multiply_tasks<Format, 2>(phase, feed);
    } else {
        multiply_tasks<Format, 1>(phase, feed);
    }
}

__device__ inline void run_product_of_any(int32_t index, WeightFeed& feed) {
    switch (token_phase(index).format) {
#define PUNA_RUN(name)       \
    case PUNA_FORMAT_##name: \
        return run_product<name>(index, feed);
        PUNA_TOKEN_FORMATS(PUNA_RUN)
#undef PUNA_RUN
        default:
            return;  // has_token_pass() lets no other by
    }
}

// ---- Attention ----------------------------------------------------------------------------------

__device__ inline int32_t n_attention_tasks(const AttentionJob& job, int32_t n_chunks) {
    return units_of_row(job) * (n_chunks > kUnsplitChunks ? n_chunks : 1);
}

// `job` is that of any layer; thread 0 makes it that of the phase.
__device__ inline void begin_attention(const AttentionJob& job, const TokenPhase& phase,
                                       int32_t n_chunks) {
    if (threadIdx.x == 0) {
        AttentionJob& attention = token_memory().attention;
        attention.heads.layer = phase.layer;
        attention.heads.q_norm = phase.q_norm;
        attention.heads.k_norm = phase.k_norm;
        attention.partials = n_chunks > kUnsplitChunks ? job.partials : nullptr;
    }
    __syncthreads();
}

template <int kQueries, int kType>
__device__ PUNA_OWN_FUNCTION void run_attention(int32_t n_chunks) {
    const AttentionJob& job = token_memory().attention;
    auto& memory = *reinterpret_cast<AttentionMemory<kQueries>*>(work_memory());
    constexpr uint32_t kQueriesOffset = align_16(sizeof(AttentionMemory<kQueries>));
    auto* queries = reinterpret_cast<float*>(work_memory() + kQueriesOffset);
    const int32_t n_units = units_of_row(job);
    const int32_t n_tasks = n_attention_tasks(job, n_chunks);
    for (auto task = static_cast<int32_t>(blockIdx.x); task < n_tasks;
         task += static_cast<int32_t>(gridDim.x)) {
        const AttentionUnit unit = attention_unit(job, 0, task % n_units);
        attend_unit<kQueries, kType>(job, unit, task / n_units, queries, memory);
        __syncthreads();
    }
}

template <int kQueries>
__device__ inline void run_attention_of(int32_t type, int32_t n_chunks) {
    if (type == PUNA_KV_F16) return run_attention<kQueries, PUNA_KV_F16>(n_chunks);
    run_attention<kQueries, PUNA_KV_Q8_0>(n_chunks);
}

__device__ inline void run_attention_of_any(const AttentionJob& job, int32_t n_chunks) {
    const int32_t type = job.heads.cache.keys.type;
    const int32_t n_queries = queries_of_unit(job);
    if (n_queries == 1) return run_attention_of<1>(type, n_chunks);
    if (n_queries <= 4) return run_attention_of<4>(type, n_chunks);
    run_attention_of<kUnitQueries>(type, n_chunks);
}

// Before it: what the block will read of the cache is asked for.
__device__ inline void prefetch_attention(const AttentionJob& job, int32_t layer,
                                          int32_t n_chunks) {
    const auto task = static_cast<int32_t>(blockIdx.x);
    if (task >= n_attention_tasks(job, n_chunks)) return;
    const int32_t n_units = units_of_row(job);
    prefetch_chunk(job, attention_unit(job, 0, task % n_units), task / n_units, layer);
}

// ---- The kernel ---------------------------------------------------------------------------------

struct TokenJob {
    const TokenPhase* phases;
    int32_t n_phases;
    GridCounters* counters;
    AttentionJob attention;  // of any layer
    uint32_t ring_offset;    // of warp 0
    uint32_t ring_bytes;
};

// Phase p of the job to where it is at hand, by a warp.
__device__ inline void load_phase(const TokenJob& job, int32_t p) {
    constexpr int kPieces = sizeof(TokenPhase) / 16;
    static_assert(sizeof(TokenPhase) % 16 == 0);
    if (p >= job.n_phases) return;
    const auto* from = reinterpret_cast<const uint4*>(job.phases + p);
    auto* to = reinterpret_cast<uint4*>(&feed_memory().phases[p % kTokenPhases]);
    for (int i = lane_of_thread(); i < kPieces; i += kWarp) to[i] = __ldg(from + i);
}

__device__ inline WeightFeed begin_feed(const TokenJob& job) {
    static_assert(kTokenPhases == kFewWarps);
    load_phase(job, warp_of_thread());
    if (lane_of_thread() == 0) {
        for (int i = 0; i < kFeedEntries; ++i) {
            init_barrier(&feed_memory().barriers[warp_of_thread()][i]);
        }
        publish_barriers();
    }
    if (threadIdx.x == 0) token_memory().attention = job.attention;
    __syncthreads();
    WeightFeed feed = {};
    feed.ring = job.ring_offset + static_cast<uint32_t>(warp_of_thread()) * job.ring_bytes;
    feed.ring_bytes = job.ring_bytes;
    feed.end_phase = min(job.n_phases, kTokenPhases);
    feed.task = -1;
    return feed;
}

// What a block does once its part of phase p is done.
__device__ inline void end_phase(const TokenJob& job, int32_t p, int32_t n_chunks,
                                 WeightFeed& feed) {
    const bool is_last = p + 1 == job.n_phases;
    if (!is_last && token_phase(p + 1).waits_for_grid != 0) {
        come_to_grid(job.counters);
    } else {
        __syncthreads();
    }
    // All warps are done with phase p, whose tasks they have all asked for: another comes in its place, to be
    // seen behind the next barrier. Thread 0 has other things to do.
    if (warp_of_thread() == kFewWarps - 1) load_phase(job, p + kTokenPhases);
    feed.end_phase = min(job.n_phases, p + kTokenPhases);
    ask_for_weights(feed);
    if (is_last || token_phase(p + 1).kind != TokenPhaseKind::kAttention) return;
    prefetch_attention(job.attention, token_phase(p + 1).layer, n_chunks);
}

__device__ inline void run_phases(const TokenJob& job) {
    WeightFeed feed = begin_feed(job);
    ask_for_weights(feed);
    const int32_t n_chunks = chunks_of(attention_unit(job.attention, 0, 0));
    uint32_t n_met = 0;
    for (int32_t p = 0; p < job.n_phases; ++p) {
        const TokenPhase& phase = token_phase(p);
        if (phase.waits_for_grid != 0) wait_for_grid(job.counters, ++n_met);
        if (phase.kind == TokenPhaseKind::kAttention) {
            begin_attention(job.attention, phase, n_chunks);
            run_attention_of_any(token_memory().attention, n_chunks);
        } else {
            run_product_of_any(p, feed);
        }
        end_phase(job, p, n_chunks, feed);
    }
    leave_grid(job.counters);
}

// Grid: [what is there at once]; at least one block for each multiprocessor.
__global__ void __launch_bounds__(kFewThreads, kBlocksPerProcessor)
    token_kernel(const TokenJob job) {
    if constexpr (kHasBulkCopies) run_phases(job);
}

// ---- Phases -------------------------------------------------------------------------------------

// The columns of a chunk: in all formats a multiple of 16 bytes and of what a warp takes at a time, and few
// enough for some entries to lie in a ring.
int32_t columns_of_chunk(int32_t format, int32_t outputs_each) {
    constexpr int32_t kFloatBytes = 4096;  // of an entry
    if (format == PUNA_FORMAT_F32) return kFloatBytes / 4 / outputs_each;
    return reads_rounded(format) ? 2048 : kFloatBytes / 2 / outputs_each;
}

int32_t room_of(int64_t n_bytes, int64_t row_bytes) {
    return static_cast<int32_t>(
        align_16(static_cast<uint64_t>(n_bytes) + (row_bytes % 16 != 0 ? 15 : 0)));
}

// Pairs of outputs, where each warp of the grid has several: they read the activations once for both.
int32_t outputs_of_task(const LinearJob& job, int64_t n_warps) {
    constexpr int64_t kFewestPairs = 2;
    const bool is_pair =
        job.epilogue == Epilogue::kGateUp || job.outputs >= 2 * kFewestPairs * n_warps;
    return is_pair ? 2 : 1;
}

struct PhaseList {
    std::vector<TokenPhase> phases;
    int64_t n_warps = 0;

    void add_attention(int32_t layer, const LayerWeights& w) {
        TokenPhase phase;
        phase.kind = TokenPhaseKind::kAttention;
        phase.waits_for_grid = 1;
        phase.layer = layer;
        phase.q_norm = w.q_norm;
        phase.k_norm = w.k_norm;
        phases.push_back(phase);
    }
    void add_product(const LinearJob& job, const Matrix& matrix, bool is_first) {
        TokenPhase phase;
        phase.job = job;
        phase.format = matrix.format;
        phase.outputs_each = outputs_of_task(job, n_warps);
        phase.n_tasks = phase.outputs_each == 1 ? job.outputs : n_pairs(job);
        phase.chunk_columns = columns_of_chunk(matrix.format, phase.outputs_each);
        phase.n_chunks =
            static_cast<int32_t>((job.columns + phase.chunk_columns - 1) / phase.chunk_columns);
        const int64_t row_bytes = matrix.row_bytes;
        const int64_t columns_left =
            job.columns - int64_t{phase.n_chunks - 1} * phase.chunk_columns;
        const int64_t last_bytes = row_bytes * columns_left / job.columns;
        phase.chunk_bytes = static_cast<int32_t>(
            phase.n_chunks == 1 ? row_bytes : (row_bytes - last_bytes) / (phase.n_chunks - 1));
        phase.chunk_room = room_of(phase.chunk_bytes, row_bytes);
        phase.last_chunk_room = room_of(last_bytes, row_bytes);
        if (!is_first) {
            const TokenPhase& last = phases.back();
            phase.has_panel = reads_rounded(last.format) == reads_rounded(matrix.format) ? 1 : 0;
            phase.first_warp = static_cast<int32_t>((last.first_warp + last.n_tasks) % n_warps);
        }
        phase.waits_for_grid = is_first && !phases.empty() ? 1 : 0;
        phases.push_back(phase);
    }
    // Those of one format together, as multiply() of linear.h has them.
    void add_products(const LayerProducts& p) {
        for (int32_t i = 0; i < p.n;) {
            const Matrix& matrix = p.products[i].matrix;
            LinearJob job = make_job(p.input, p.options);
            const bool is_first = i == 0;
            while (i < p.n && p.products[i].matrix.format == matrix.format) {
                add_part(job, p.products[i++]);
            }
            job.panel_columns = static_cast<int32_t>(job.columns);
            add_product(job, matrix, is_first);
        }
    }
    void add_layer(const Forward& f, const Scratch& s, int32_t layer) {
        const LayerWeights& w = f.weights->layers[static_cast<size_t>(layer)];
        add_products(qkv_products(f, s, w));
        add_attention(layer, w);
        add_products(output_products(f, s, w));
        add_products(gate_up_products(f, s, w));
        add_products(down_products(f, s, w));
    }
};

std::vector<TokenPhase> list_phases(const Forward& f, const Scratch& s, int32_t n_blocks) {
    PhaseList list;
    list.n_warps = int64_t{n_blocks} * kFewWarps;
    for (size_t l = 0; l < f.weights->layers.size(); ++l) {
        list.add_layer(f, s, static_cast<int32_t>(l));
    }
    if (f.weights->has_head) list.add_products(logits_products(f, s));
    return list.phases;
}

bool has_kernel(const Matrix& matrix) {
    switch (matrix.format) {
#define PUNA_HAS(name)       \
    case PUNA_FORMAT_##name: \
        return true;
        PUNA_TOKEN_FORMATS(PUNA_HAS)
#undef PUNA_HAS
        default:
            return false;
    }
}

bool has_kernels(const LayerWeights& w) {
    for (const Matrix* matrix : {&w.q, &w.k, &w.v, &w.attn_output, &w.gate, &w.up, &w.down}) {
        if (!has_kernel(*matrix)) return false;
    }
    return w.gate.format == w.up.format;
}

// What the phases of a block work with, one after the other.
int64_t work_bytes(const std::vector<TokenPhase>& phases, const AttentionJob& attention) {
    int64_t bytes = align_16(sizeof(AttentionMemory<kUnitQueries>)) + unit_shared_bytes(attention);
    for (const TokenPhase& phase : phases) {
        if (phase.kind != TokenPhaseKind::kProduct) continue;
        const int64_t columns = phase.job.columns;
        const bool is_rounded = reads_rounded(phase.format);
        bytes = std::max(bytes, is_rounded ? rounded_row_bytes(columns) : columns * 4);
    }
    return align_16(static_cast<uint64_t>(bytes));
}

int64_t largest_entry(const std::vector<TokenPhase>& phases) {
    int64_t bytes = 0;
    for (const TokenPhase& phase : phases) {
        const int64_t room = std::max(phase.chunk_room, phase.last_chunk_room);
        bytes = std::max(bytes, room * phase.outputs_each);
    }
    return bytes;
}

// Whether all blocks can run at the same time with so much shared memory each. What is set here is one for all
// contexts of a device: the same each time.
bool fits_together(int32_t shared_bytes) {
    constexpr int kAllOfIt =
        100;  // percent of what a multiprocessor has for shared memory and the L1 cache
    int n_blocks = 0;
    const bool fits =
        cudaFuncSetAttribute(token_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             shared_bytes) == cudaSuccess &&
        cudaFuncSetAttribute(token_kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             kAllOfIt) == cudaSuccess &&
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n_blocks, token_kernel, kFewThreads,
                                                      static_cast<size_t>(shared_bytes)) ==
            cudaSuccess &&
        n_blocks >= kBlocksPerProcessor;
    if (!fits) (void)cudaGetLastError();
    return fits;
}

uint64_t phases_bytes(size_t n_phases) {
    return (n_phases * sizeof(TokenPhase) + 255) / 256 * 256;
}

}  // namespace

bool has_token_pass(const Weights& weights, const KvCache& cache) {
    const KvHalf& keys = cache.keys;
    const KvHalf& values = cache.values;
    const bool has_attention = keys.type == values.type &&
                               (keys.type == PUNA_KV_F16 || keys.type == PUNA_KV_Q8_0) &&
                               keys.head_dim % kKvWide == 0 && values.head_dim % kKvWide == 0;
    if (!has_attention || weights.layers.empty()) return false;
    if (weights.has_head && !has_kernel(weights.output)) return false;
    return std::all_of(weights.layers.begin(), weights.layers.end(), has_kernels);
}

uint64_t token_pass_bytes(const Weights& weights, const KvCache& cache) {
    if (!has_token_pass(weights, cache)) return 0;
    // Of a layer: Q, K and V by themselves, attention, output, gate and up, down.
    constexpr size_t kMostOfLayer = 7;
    return phases_bytes(weights.layers.size() * kMostOfLayer + 1) + 256;
}

cudaError_t prepare_token_pass(const Forward& f, uint8_t* memory, TokenPass* pass) {
    *pass = {};
    if (!f.traits.has_token_pass || !has_token_pass(*f.weights, f.cache)) return cudaSuccess;
    Forward one = f;
    one.batch.n_rows = 1;
    const Scratch s = make_scratch(f.weights->spec, f.weights->has_head, f.options, f.scratch);
    const AttentionJob attention = make_attention_job(one, s, 0);
    if (attention.finishes_heads == 0) return cudaSuccess;

    const int32_t n_blocks = f.n_processors * kBlocksPerProcessor;
    const std::vector<TokenPhase> phases = list_phases(one, s, n_blocks);
    // A kibibyte of each block is the driver's.
    const int32_t most = f.traits.processor_shared_bytes / kBlocksPerProcessor - 1024;
    const int64_t ring_bytes =
        (most - kWorkOffset - work_bytes(phases, attention)) / kFewWarps / 16 * 16;
    if (ring_bytes < largest_entry(phases)) return cudaSuccess;

    pass->n_phases = static_cast<int32_t>(phases.size());
    pass->n_blocks = n_blocks;
    pass->ring_bytes = static_cast<int32_t>(ring_bytes);
    pass->shared_bytes =
        static_cast<int32_t>(kWorkOffset + work_bytes(phases, attention) + kFewWarps * ring_bytes);
    if (!fits_together(most)) return cudaSuccess;
    cudaError_t error = cudaMemcpyAsync(memory, phases.data(), phases.size() * sizeof(TokenPhase),
                                        cudaMemcpyHostToDevice, f.stream);
    if (error != cudaSuccess) return error;
    uint8_t* counters = memory + phases_bytes(phases.size());
    error = cudaMemsetAsync(counters, 0, sizeof(GridCounters), f.stream);
    if (error != cudaSuccess) return error;
    pass->phases = reinterpret_cast<const TokenPhase*>(memory);
    pass->counters = reinterpret_cast<uint32_t*>(counters);
    return cudaStreamSynchronize(f.stream);
}

cudaError_t run_token_pass(const Forward& f, const TokenPass& pass, bool with_logits) {
    const Scratch s = make_scratch(f.weights->spec, f.weights->has_head, f.options, f.scratch);
    const cudaError_t error = begin_layers(f, s);
    if (error != cudaSuccess) return error;
    TokenJob job = {};
    job.phases = pass.phases;
    job.n_phases = pass.n_phases - (f.weights->has_head && !with_logits ? 1 : 0);
    job.counters = reinterpret_cast<GridCounters*>(pass.counters);
    job.attention = make_attention_job(f, s, 0);
    job.ring_bytes = static_cast<uint32_t>(pass.ring_bytes);
    job.ring_offset = static_cast<uint32_t>(pass.shared_bytes) - kFewWarps * job.ring_bytes;
    return launch_together(token_kernel, dim3(static_cast<unsigned>(pass.n_blocks)),
                           dim3(kFewThreads), static_cast<size_t>(pass.shared_bytes), f.stream,
                           job);
}

}  // namespace puna::cuda
