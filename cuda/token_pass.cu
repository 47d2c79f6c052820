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
// Phases: so long before what they read alike is asked for.
constexpr int kConstantsAhead = 2;
constexpr int32_t kNoPhase = -1;
static_assert(kFewThreads == kAttentionThreads);

struct TokenJob {
    const TokenPhase* phases;
    int32_t n_phases;
    GridCounters* counters;
    AttentionJob attention;  // of any layer
    uint32_t ring_offset;    // of warp 0
    uint32_t ring_bytes;
};

// Pages of what a block attends to first, the same in all layers.
constexpr int kFirstPages = kUnsplitChunks * kAttentionChunk / PUNA_KV_PAGE;

struct TokenMemory {
    FeedMemory feed;
    const TokenPhase* phases;  // as the job has them
    GridCounters* counters;
    int32_t n_phases;
    FewRows<1> rows;
    AttentionJob attention;  // of the present phase, or the one that comes next
    puna_batch_row row;      // the batch, as the job has it: its view is 0
    int32_t view_pages[1];
    int32_t n_chunks;  // of positions
    int32_t pages[kFirstPages];
    const int32_t* views[2];  // pages of the view: as far as they are in `pages`, and all
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

// What a lane finishes of a task, and what it needs for that. Of two outputs the second is that of lane 16.
struct LaneOutput {
    float* y;
    float bias;
    float before;
    int32_t is_there;
};
template <int kOutputs>
__device__ inline LaneOutput output_of_lane(const TokenPhase& phase, int32_t task) {
    constexpr int kLanes = kWarp / kOutputs;
    const int index = lane_of_thread() / kLanes;
    const bool is_pair = kOutputs == 2 && phase.is_gate_up != 0;
    const int32_t mine = is_pair ? task : task * kOutputs + index;
    const int32_t output = min(mine, phase.n_outputs - 1);
    const int part = is_pair ? index : part_of_output(phase, output);
    const auto offset = static_cast<uint64_t>(output) * sizeof(float);
    LaneOutput out = {};
    out.y = reinterpret_cast<float*>(phase.y[part] + offset);
    out.is_there = lane_of_thread() % kLanes == 0 && mine == output ? 1 : 0;
    if (phase.job.epilogue == Epilogue::kResidual) out.before = *out.y;
    if (phase.has_biases != 0 && phase.biases[part] != 0) {
        out.bias = __ldg(reinterpret_cast<const float*>(phase.biases[part] + offset));
    }
    return out;
}

// The sums over all lanes, as warp_sum() adds them: the first one for lane 0, the second for lane 16.
template <int kOutputs>
__device__ inline float sum_of_lane(const float (*sums)[1]) {
    if constexpr (kOutputs == 1) return warp_sum(sums[0][0]);
    const bool has_first = lane_of_thread() < kWarp / 2;
    const float mine = has_first ? sums[0][0] : sums[1][0];
    const float others = has_first ? sums[1][0] : sums[0][0];
    float sum = mine + __shfl_xor_sync(kAllLanes, others, kWarp / 2);
#pragma unroll
    for (int bits = kWarp / 4; bits > 0; bits /= 2) {
        sum += __shfl_xor_sync(kAllLanes, sum, bits);
    }
    return sum;
}

template <int kOutputs>
__device__ inline void finish_task(const TokenPhase& phase, const LaneOutput& out,
                                   const float (*sums)[1]) {
    const float sum = sum_of_lane<kOutputs>(sums);
    if (kOutputs == 2 && phase.is_gate_up != 0) {
        const float value = sum + out.bias;
        const float up = __shfl_down_sync(kAllLanes, value, kWarp / 2);
        if (lane_of_thread() == 0) *out.y = activate(phase.job.activation, value, up);
    } else if (out.is_there != 0) {
        *out.y = output_value(phase.job, phase.job.epilogue, sum, out.bias, out.before);
    }
}

// As multiply_panel().
template <class Format, int kOutputs>
__device__ inline void multiply_chunk(bool is_wide, const SharedBytes* weights, int n,
                                      const uint8_t* panel, float (*sums)[1]) {
    const auto* floats = reinterpret_cast<const float*>(panel);
    if constexpr (!kIsFloats<Format>) {
        multiply_quants<Format, 1, kOutputs>(weights, 0, n, panel, sums);
    } else if (is_wide) {
        multiply_wide<Format, 1, kOutputs>(weights, 0, n, floats, sums);
    } else {
        multiply_elements<Format, 1, kOutputs>(weights, 0, n, floats, sums);
    }
}

template <class Format, int kOutputs>
__device__ inline void multiply_tasks(int32_t index) {
    const TokenPhase& phase = token_phase(index);
    const bool is_wide = phase.job.columns * Format::kBytes % 16 == 0;  // of floats
    const int chunk_columns = phase.chunk_columns;
    const int last_columns = phase.last_chunk_columns;
    const int panel_step = chunk_columns / kSpan * kPanelSpanBytes<Format>;
    FeedPlan plan = feed_of_warp().plan;
    for (int32_t task = first_task(phase); task < phase.n_tasks; task += n_grid_warps()) {
        const LaneOutput out = output_of_lane<kOutputs>(phase, task);
        float sums[2][1] = {};
        const uint8_t* panel = work_memory();
#pragma unroll 1
        for (int left = phase.n_chunks; left > 0; --left, panel += panel_step) {
            SharedBytes weights[2];
            take_weights(plan, weights);
            multiply_chunk<Format, kOutputs>(is_wide, weights,
                                             left > 1 ? chunk_columns : last_columns, panel, sums);
            release_weights(index, plan);
        }
        finish_task<kOutputs>(phase, out, sums);
    }
    __syncwarp();  // all lanes have read the last one
    keep_plan(plan);
}

// Calls keep the registers of one format from those of others.
#if defined(__CUDACC__)
#define PUNA_OWN_FUNCTION __noinline__
#else
#define PUNA_OWN_FUNCTION
#endif

template <class Format>
__device__ PUNA_OWN_FUNCTION void run_product(int32_t index) {
    const TokenPhase& phase = token_phase(index);
    if (phase.has_panel == 0) {
        FewRows<1>& rows = token_memory().rows;
        find_rows<1>(phase.job.input, 0, rows);
        fill_panel<Format, 1>(phase.job, rows, 0, static_cast<int>(phase.job.columns),
                              work_memory());
    }
    if (phase.chunks.n_rows == 2) return multiply_tasks<Format, 2>(index);
    multiply_tasks<Format, 1>(index);
}

__device__ inline void run_product_of_any(int32_t index) {
    switch (token_phase(index).format) {
#define PUNA_RUN(name)       \
    case PUNA_FORMAT_##name: \
        return run_product<name>(index);
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

// What attention reads in every layer comes into shared memory once, by a warp: the row, and the pages of what
// the block attends to first, which is all that it does where there is a block for each chunk of positions.
__device__ inline void begin_attention(const AttentionJob& job) {
    TokenMemory& memory = token_memory();
    const AttentionUnit unit = attention_unit(job, 0, 0);
    const int32_t n_chunks = chunks_of(unit);
    const bool is_split = n_chunks > kUnsplitChunks;
    const int32_t chunk = is_split ? static_cast<int32_t>(blockIdx.x) / units_of_row(job) : 0;
    const int32_t first = (unit.row.first / kAttentionChunk + min(chunk, n_chunks - 1)) *
                          (kAttentionChunk / PUNA_KV_PAGE);
    const int32_t page = first + lane_of_thread();
    if (lane_of_thread() < kFirstPages && page >= unit.row.first / PUNA_KV_PAGE &&
        page <= unit.row.position / PUNA_KV_PAGE) {
        memory.pages[lane_of_thread()] = unit.pages[page];
    }
    if (lane_of_thread() != 0) return;
    memory.n_chunks = n_chunks;
    memory.views[0] = memory.pages - first;
    memory.views[1] = unit.pages;
    memory.view_pages[0] = job.view_pages[unit.row.view];
    memory.row = unit.row;
    memory.row.view = 0;
    memory.attention = job;
    memory.attention.heads.rows = &memory.row;
    memory.attention.view_pages = memory.view_pages;
    if (!is_split) memory.attention.partials = nullptr;
}

// Task `task` of the block's, the first one being blockIdx.x.
__device__ inline AttentionUnit unit_of_task(const AttentionJob& job, int32_t task) {
    AttentionUnit unit = attention_unit(job, 0, task % units_of_row(job));
    unit.pages = token_memory().views[task == static_cast<int32_t>(blockIdx.x) ? 0 : 1];
    return unit;
}

// A layer's attention is next: by a thread, behind the attention before and before a barrier.
__device__ inline void turn_to_layer(const TokenPhase& phase) {
    HeadsJob& heads = token_memory().attention.heads;
    heads.layer = phase.layer;
    heads.q_norm = phase.q_norm;
    heads.k_norm = phase.k_norm;
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
        attend_unit<kQueries, kType>(job, unit_of_task(job, task), task / n_units, queries, memory);
        __syncthreads();
    }
}

template <int kQueries>
__device__ inline void run_attention_of(int32_t type, int32_t n_chunks) {
    if (type == PUNA_KV_F16) return run_attention<kQueries, PUNA_KV_F16>(n_chunks);
    run_attention<kQueries, PUNA_KV_Q8_0>(n_chunks);
}

__device__ inline void run_attention_of_any() {
    const AttentionJob& job = token_memory().attention;
    const int32_t n_chunks = token_memory().n_chunks;
    const int32_t type = job.heads.cache.keys.type;
    const int32_t n_queries = queries_of_unit(job);
    if (n_queries == 1) return run_attention_of<1>(type, n_chunks);
    if (n_queries <= 4) return run_attention_of<4>(type, n_chunks);
    run_attention_of<kUnitQueries>(type, n_chunks);
}

// Before it: what the block will read of the cache is asked for, by all warps but the first, which waits for
// the other blocks.
__device__ inline void prefetch_attention(int32_t layer) {
    const AttentionJob& job = token_memory().attention;
    const int32_t n_chunks = token_memory().n_chunks;
    const auto task = static_cast<int32_t>(blockIdx.x);
    if (threadIdx.x < kWarp || task >= n_attention_tasks(job, n_chunks)) return;
    prefetch_chunk(job, unit_of_task(job, task), task / units_of_row(job), layer,
                   static_cast<int>(threadIdx.x) - kWarp, kAttentionThreads - kWarp);
}

// ---- The kernel ---------------------------------------------------------------------------------

// Phase p to where it is at hand, by a warp.
__device__ inline void load_phase(const TokenPhase* phases, int32_t p) {
    constexpr int kPieces = sizeof(TokenPhase) / 16;
    static_assert(sizeof(TokenPhase) % 16 == 0);
    const auto* from = reinterpret_cast<const uint4*>(phases + p);
    auto* to = reinterpret_cast<uint4*>(&feed_memory().phases[p % kTokenPhases]);
    for (int i = lane_of_thread(); i < kPieces; i += kWarp) to[i] = __ldg(from + i);
}

// What a phase reads that is no weight of a row, into the L2 cache: each line by one block, from the last warps
// on.
__device__ inline void prefetch_constants(const TokenPhase& phase) {
    constexpr int kLine = 128;
    const int i = kFewWarps - 1 - warp_of_thread();
    if (i >= kMostConstants) return;
    const TokenConstants& constants = phase.constants[i];
    const int64_t step = int64_t{gridDim.x} * kLine;
    for (int64_t at = lane_of_thread() * step + int64_t{blockIdx.x} * kLine; at < constants.n_bytes;
         at += kWarp * step) {
        prefetch_l2(constants.data + at);
    }
}

// The first phases to where they are at hand, and all rings empty.
__device__ inline void begin_phases(const TokenJob& job) {
    static_assert(kTokenPhases == kFewWarps);
    if (warp_of_thread() < job.n_phases) load_phase(job.phases, warp_of_thread());
    if (threadIdx.x == 0) {
        TokenMemory& memory = token_memory();
        memory.phases = job.phases;
        memory.counters = job.counters;
        memory.n_phases = job.n_phases;
    }
    if (warp_of_thread() == kFewWarps - 1) begin_attention(job.attention);
    if (lane_of_thread() == 0) {
        for (FeedEntry& entry : feed_of_warp().entries) init_barrier(&entry.barrier);
        publish_barriers();
        feed_of_warp().end_phase = min(job.n_phases, kTokenPhases);
    }
    __syncthreads();
    FeedPlan plan = {};
    plan.next_task = -1;
    plan.asked_at = job.ring_offset + static_cast<uint32_t>(warp_of_thread()) * job.ring_bytes;
    plan.ring_begin = plan.asked_at;
    plan.ring_end = plan.ring_begin + job.ring_bytes;
    ask_for_weights(kNoPhase, plan);
    keep_plan(plan);
    for (int32_t p = 0; p < min(job.n_phases, kConstantsAhead); ++p) {
        prefetch_constants(token_phase(p));
    }
}

// What a block does once its part of phase p is done.
__device__ PUNA_OWN_FUNCTION void end_phase(int32_t p) {
    const TokenMemory& memory = token_memory();
    const int32_t n_phases = memory.n_phases;
    const TokenPhase* next = p + 1 < n_phases ? &token_phase(p + 1) : nullptr;
    if (next && next->meeting != 0) {
        come_to_grid(memory.counters);
    } else {
        __syncthreads();
    }
    // All warps are done with phase p, whose tasks they have all asked for: another comes in its place, to be
    // seen behind the next barrier. Thread 0 has other things to do.
    const int32_t end = p + kTokenPhases;
    if (warp_of_thread() == kFewWarps - 1 && end < n_phases) load_phase(memory.phases, end);
    if (lane_of_thread() == 0) feed_of_warp().end_phase = min(n_phases, end);
    __syncwarp();
    FeedPlan plan = feed_of_warp().plan;
    ask_for_weights(kNoPhase, plan);
    __syncwarp();  // all lanes have read it
    keep_plan(plan);
    if (p + kConstantsAhead < n_phases) prefetch_constants(token_phase(p + kConstantsAhead));
    if (!next || next->kind != TokenPhaseKind::kAttention) return;
    if (threadIdx.x == kWarp) turn_to_layer(*next);
    prefetch_attention(next->layer);
}

__device__ inline void run_phases(const TokenJob& job) {
    begin_phases(job);
    for (int32_t p = 0; p < job.n_phases; ++p) {
        const TokenPhase& phase = token_phase(p);
        if (phase.kind == TokenPhaseKind::kAttention) {
            wait_for_grid(job.counters, phase.meeting);
            run_attention_of_any();
        } else {
            if (phase.meeting != 0) wait_for_grid(job.counters, phase.meeting);
            run_product_of_any(p);
        }
        end_phase(p);
    }
    leave_grid(job.counters);
}

// Grid: [what is there at once]; at least one block for each multiprocessor.
__global__ void __launch_bounds__(kFewThreads, kBlocksPerProcessor)
    token_kernel(const TokenJob job) {
    if constexpr (kHasBulkCopies) run_phases(job);
}

// ---- Phases -------------------------------------------------------------------------------------

// Columns that chunks are multiples of: in all formats 16 bytes, and what a warp takes at a time.
int64_t columns_of_step(int32_t format) {
    return reads_rounded(format) ? 2048 : 256;
}

int64_t room_of(int64_t n_bytes, int64_t row_bytes) {
    return align_16(static_cast<uint64_t>(n_bytes) + (row_bytes % 16 != 0 ? 15 : 0));
}

// Cuts the rows of a phase into chunks of about as many columns, few enough for some entries to lie in a ring.
void cut_rows(int64_t ring_bytes, TokenPhase* phase) {
    constexpr int64_t kEntries = 3;
    const int64_t columns = phase->job.columns;
    const int64_t row_bytes = phase->row_bytes;
    const int64_t step = columns_of_step(phase->format);
    const int64_t step_bytes = row_bytes * step / columns;
    const int64_t n_steps = (columns + step - 1) / step;
    const int64_t n_rows = phase->chunks.n_rows;
    const int64_t most_bytes = ring_bytes / kEntries / n_rows - 15;
    const int64_t most = std::clamp(most_bytes / step_bytes, int64_t{1}, n_steps);
    const int64_t n_chunks = (n_steps + most - 1) / most;
    const int64_t chunk = std::min((n_steps + n_chunks - 1) / n_chunks * step, columns);
    phase->n_chunks = static_cast<int32_t>((columns + chunk - 1) / chunk);
    phase->chunk_columns = static_cast<int32_t>(chunk);
    phase->last_chunk_columns = static_cast<int32_t>(columns - (phase->n_chunks - 1) * chunk);
    const int64_t chunk_bytes = row_bytes * chunk / columns;
    phase->chunks.n_bytes = static_cast<uint32_t>(chunk_bytes);
    phase->chunks.last_bytes =
        static_cast<uint32_t>(row_bytes - (phase->n_chunks - 1) * chunk_bytes);
    phase->chunks.room = static_cast<uint32_t>(n_rows * room_of(chunk_bytes, row_bytes));
}

// Pairs of outputs, where each warp of the grid has several: they read the activations once for both.
uint32_t outputs_of_task(const LinearJob& job, int64_t n_warps) {
    constexpr int64_t kFewestPairs = 2;
    const bool is_pair =
        job.epilogue == Epilogue::kGateUp || job.outputs >= 2 * kFewestPairs * n_warps;
    return is_pair ? 2 : 1;
}

// Where the outputs of a phase, their weights and biases are.
void place_parts(TokenPhase* phase) {
    const LinearJob& job = phase->job;
    phase->is_gate_up = job.epilogue == Epilogue::kGateUp ? 1 : 0;
    phase->n_outputs = static_cast<int32_t>(job.outputs);
    phase->row_bytes = static_cast<uint32_t>(job.parts[0].row_bytes);
    for (int32_t& end : phase->part_ends) end = phase->n_outputs;
    uint64_t first = 0;  // output of the part
    for (int32_t i = 0; i < job.n_parts; ++i) {
        const LinearPart& part = job.parts[i];
        const uint64_t first_bytes = first * sizeof(float);
        phase->rows[i] = reinterpret_cast<uintptr_t>(part.data) - first * phase->row_bytes;
        phase->y[i] = reinterpret_cast<uintptr_t>(part.y) - first_bytes;
        if (part.bias) {
            phase->biases[i] = reinterpret_cast<uintptr_t>(part.bias) - first_bytes;
            phase->has_biases = 1;
        }
        if (phase->is_gate_up != 0) continue;
        first += static_cast<uint64_t>(part.rows);
        if (i + 1 < job.n_parts) phase->part_ends[i] = static_cast<int32_t>(first);
    }
}

void add_constants(TokenPhase* phase, const float* data, int64_t n) {
    if (!data) return;
    TokenConstants* constants = phase->constants;
    while (constants->data) ++constants;
    *constants = {reinterpret_cast<const uint8_t*>(data), n * static_cast<int64_t>(sizeof(float))};
}

struct PhaseList {
    std::vector<TokenPhase> phases;
    int64_t n_warps = 0;
    uint32_t n_meetings = 0;

    void add_attention(const Forward& f, int32_t layer, const LayerWeights& w) {
        TokenPhase phase;
        phase.kind = TokenPhaseKind::kAttention;
        phase.meeting = ++n_meetings;
        phase.layer = layer;
        phase.q_norm = w.q_norm;
        phase.k_norm = w.k_norm;
        add_constants(&phase, w.q_norm, f.weights->spec.head_dim_k);
        add_constants(&phase, w.k_norm, f.weights->spec.head_dim_k);
        phases.push_back(phase);
    }
    void add_product(const LinearJob& job, const Matrix& matrix, bool is_first) {
        TokenPhase phase;
        phase.job = job;
        phase.format = matrix.format;
        phase.chunks.n_rows = outputs_of_task(job, n_warps);
        phase.n_tasks = static_cast<int32_t>(phase.chunks.n_rows == 1 ? job.outputs : n_pairs(job));
        place_parts(&phase);
        add_constants(&phase, job.input.norm.gain, job.columns);
        for (const LinearPart& part : job.parts) add_constants(&phase, part.bias, part.rows);
        if (!is_first) {
            const TokenPhase& last = phases.back();
            phase.has_panel = reads_rounded(last.format) == reads_rounded(matrix.format) ? 1 : 0;
            phase.first_warp = static_cast<int32_t>((last.first_warp + last.n_tasks) % n_warps);
        }
        if (is_first && !phases.empty()) phase.meeting = ++n_meetings;
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
        add_attention(f, layer, w);
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
        bytes = std::max(bytes, int64_t{phase.chunks.room});
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
    std::vector<TokenPhase> phases = list_phases(one, s, n_blocks);
    // A kibibyte of each block is the driver's.
    const int32_t most = f.traits.processor_shared_bytes / kBlocksPerProcessor - 1024;
    const int64_t ring_bytes =
        (most - kWorkOffset - work_bytes(phases, attention)) / kFewWarps / 16 * 16;
    if (ring_bytes <= 0) return cudaSuccess;
    for (TokenPhase& phase : phases) {
        if (phase.kind == TokenPhaseKind::kProduct) cut_rows(ring_bytes, &phase);
    }
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
