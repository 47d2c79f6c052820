#include "cpu/attention.h"

#include <algorithm>
#include <cmath>

namespace puna::core {

namespace {

// The softmax-weighted values of some positions, not yet divided by the sum.
struct Partial {
    Partial(float* memory, int32_t head_dim_v)
        : largest(memory),
          sum(memory + kAttentionQueries),
          values(memory + 2 * kAttentionQueries),
          dim(head_dim_v) {}

    float* largest;  // [kAttentionQueries]: the largest score
    float* sum;      // [kAttentionQueries]: of exp(score - largest)
    float* values;   // [kAttentionQueries][head_dim_v]
    int32_t dim;
};

struct Unit {
    int32_t row;
    int32_t kv_head;
    int32_t first_query;  // head of the model
    int32_t n_queries;
};

class BatchAttention {
  public:
    explicit BatchAttention(const AttentionInput& input)
        : in_(input),
          spec_(input.layers.spec),
          scores_(input.layers.kernels->attention_scores[input.cache.keys().type].run),
          values_(input.layers.kernels->attention_values[input.cache.values().type].run) {}

    int64_t n_units() const { return in_.batch.n_rows * in_.plan.units_per_row(); }

    // Rows of one KV head follow each other, so that threads meet in its cache.
    Unit unit(int64_t index) const {
        const int32_t group = spec_.n_head / spec_.n_head_kv;
        const int64_t units_per_head = in_.plan.units_per_row() / spec_.n_head_kv;
        const int64_t block = index / in_.batch.n_rows;
        Unit unit;
        unit.row = static_cast<int32_t>(index % in_.batch.n_rows);
        unit.kv_head = static_cast<int32_t>(block / units_per_head);
        const auto within = static_cast<int32_t>(block % units_per_head) * kAttentionQueries;
        unit.first_query = unit.kv_head * group + within;
        unit.n_queries = std::min<int32_t>(kAttentionQueries, group - within);
        return unit;
    }
    int32_t first_chunk(const Unit& unit) const {
        return in_.batch.rows[unit.row].first / kAttentionChunk;
    }
    // The positions in chunk `index` of those that the unit's row sees.
    Range visible(const Unit& unit, int32_t index) const {
        const puna_batch_row& row = in_.batch.rows[unit.row];
        const int64_t start = int64_t{first_chunk(unit) + index} * kAttentionChunk;
        return {std::max<int64_t>(row.first, start),
                std::min<int64_t>(int64_t{row.position} + 1, start + kAttentionChunk)};
    }
    int32_t n_chunks(const Unit& unit) const {
        return in_.batch.rows[unit.row].position / kAttentionChunk - first_chunk(unit) + 1;
    }
    Partial partial(int64_t index) const {
        return {in_.partials + index * in_.plan.partial_size(), spec_.head_dim_v};
    }

    // The pages of `half` that chunk `index` of a unit sees.
    BlocksAhead blocks(const KvHalf& half, const Unit& unit, int32_t index) const;
    // All chunks of a unit, with the partials 2 part and 2 part + 1.
    void compute(const Unit& unit, int32_t part) const;
    // `ahead` is what the thread reads next.
    void compute_chunk(const Unit& unit, int32_t index, const Partial& partial,
                       const BlocksAhead& ahead) const;
    void merge(const Unit& unit, const Partial& into, const Partial& next) const;
    void finish(const Unit& unit, const Partial& partial) const;

  private:
    const AttentionInput& in_;
    const puna_model_spec& spec_;
    AttentionFn scores_;
    AttentionFn values_;
};

BlocksAhead BatchAttention::blocks(const KvHalf& half, const Unit& unit, int32_t index) const {
    const puna_batch_row& row = in_.batch.rows[unit.row];
    const Range cells = visible(unit, index);
    const int64_t first = cells.begin / PUNA_KV_PAGE;
    BlocksAhead blocks;
    blocks.blocks = half.head(in_.layer, unit.kv_head);
    blocks.page_bytes = half.page_bytes;
    blocks.block_bytes = half.head_bytes;
    blocks.pages = in_.batch.views[row.view].pages + first;
    blocks.n_pages = static_cast<int32_t>((cells.end - 1) / PUNA_KV_PAGE - first + 1);
    return blocks;
}

// Chunk `index` of those that the unit's row sees.
void BatchAttention::compute_chunk(const Unit& unit, int32_t index, const Partial& partial,
                                   const BlocksAhead& ahead) const {
    const puna_batch_row& row = in_.batch.rows[unit.row];
    const int32_t start = (first_chunk(unit) + index) * kAttentionChunk;
    const Range cells = visible(unit, index);
    alignas(64) float scores[kAttentionQueries * kAttentionChunk];
    AttentionChunk chunk;
    chunk.q = in_.q.row(unit.row) + int64_t{unit.first_query} * spec_.head_dim_k;
    chunk.keys = in_.cache.keys().head(in_.layer, unit.kv_head);
    chunk.values = in_.cache.values().head(in_.layer, unit.kv_head);
    chunk.key_page_bytes = in_.cache.keys().page_bytes;
    chunk.value_page_bytes = in_.cache.values().page_bytes;
    chunk.pages = in_.batch.views[row.view].pages;
    chunk.begin = static_cast<int32_t>(cells.begin);
    chunk.end = static_cast<int32_t>(cells.end);
    chunk.n_queries = unit.n_queries;
    chunk.head_dim_k = spec_.head_dim_k;
    chunk.head_dim_v = spec_.head_dim_v;
    chunk.scores = scores;
    chunk.out = partial.values;

    chunk.ahead = blocks(in_.cache.values(), unit, index);
    scores_(chunk);
    const int32_t n = chunk.end - chunk.begin;
    for (int32_t h = 0; h < unit.n_queries; ++h) {
        float* visible = scores + h * kAttentionChunk + (chunk.begin - start);
        if (const float cap = spec_.attention_softcap; cap != 0.0f) {
            for (int32_t i = 0; i < n; ++i) visible[i] = cap * std::tanh(visible[i] / cap);
        }
        partial.sum[h] = in_.layers.kernels->softmax.run(visible, n, &partial.largest[h]);
    }
    chunk.ahead = ahead;
    values_(chunk);
}

void BatchAttention::compute(const Unit& unit, int32_t part) const {
    const Partial whole = partial(2 * int64_t{part});
    const Partial next = partial(2 * int64_t{part} + 1);
    const int32_t n = n_chunks(unit);
    const auto keys_of = [&](int32_t chunk) {
        return chunk < n ? blocks(in_.cache.keys(), unit, chunk) : BlocksAhead();
    };
    compute_chunk(unit, 0, whole, keys_of(1));
    for (int32_t chunk = 1; chunk < n; ++chunk) {
        compute_chunk(unit, chunk, next, keys_of(chunk + 1));
        merge(unit, whole, next);
    }
    finish(unit, whole);
}

void BatchAttention::merge(const Unit& unit, const Partial& into, const Partial& next) const {
    for (int32_t h = 0; h < unit.n_queries; ++h) {
        const float largest = std::max(into.largest[h], next.largest[h]);
        const float keep = std::exp(into.largest[h] - largest);
        const float add = std::exp(next.largest[h] - largest);
        into.largest[h] = largest;
        into.sum[h] = into.sum[h] * keep + next.sum[h] * add;
        float* a = into.values + int64_t{h} * into.dim;
        const float* b = next.values + int64_t{h} * into.dim;
        for (int32_t d = 0; d < into.dim; ++d) a[d] = a[d] * keep + b[d] * add;
    }
}

void BatchAttention::finish(const Unit& unit, const Partial& partial) const {
    for (int32_t h = 0; h < unit.n_queries; ++h) {
        const float scale = 1.0f / partial.sum[h];
        const float* values = partial.values + int64_t{h} * partial.dim;
        float* out = in_.out.row(unit.row) + int64_t{unit.first_query + h} * partial.dim;
        for (int32_t d = 0; d < partial.dim; ++d) out[d] = values[d] * scale;
    }
}

// Many units: each part takes every n-th one, as later rows see more.
void attend_by_units(const AttentionInput& input, const BatchAttention& attention) {
    const int64_t n_units = attention.n_units();
    const int32_t n_parts = input.workers.parts_for(n_units);
    input.workers.run(n_parts, [&](int32_t part) {
        for (int64_t i = part; i < n_units; i += n_parts)
            attention.compute(attention.unit(i), part);
    });
}

// Rows of a batch that follow each other and see one sequence.
struct Run {
    int32_t first;
    int32_t n;
};

Run run_from(const puna_batch& batch, int32_t first, int32_t end) {
    int32_t next = first + 1;
    while (next < end && batch.rows[next].view == batch.rows[first].view) ++next;
    return {first, next - first};
}

// Some rows of a batch, with the queries of one unit, through the kernel for many rows as far as there
// are runs of them.
class BlockAttention {
  public:
    BlockAttention(const AttentionInput& input, const BatchAttention& one_by_one)
        : in_(input), one_by_one_(one_by_one) {}

    int64_t n_blocks() const { return (in_.batch.n_rows + kAttentionRows - 1) / kAttentionRows; }

    // Unit `index` of the blocks; partials 2 part and 2 part + 1 are free for it.
    void compute(int64_t index, int32_t part) const {
        const auto first = static_cast<int32_t>(index % n_blocks()) * kAttentionRows;
        const int32_t end = std::min(first + kAttentionRows, in_.batch.n_rows);
        const int64_t unit = index / n_blocks() * in_.batch.n_rows;  // of row 0
        for (int32_t row = first; row < end;) {
            const Run run = run_from(in_.batch, row, end);
            if (is_worth_it(run)) {
                compute_run(one_by_one_.unit(unit + row), run, part);
            } else {
                for (int32_t i = 0; i < run.n; ++i) {
                    one_by_one_.compute(one_by_one_.unit(unit + row + i), part);
                }
            }
            row += run.n;
        }
    }

    // With fewer queries than a tile of the kernel has, most of its work would be for nothing.
    bool is_worth_it(const Run& run) const {
        const puna_model_spec& spec = in_.layers.spec;
        constexpr int32_t kFewestQueries = 16;
        return run.n * std::min<int32_t>(kAttentionQueries, spec.n_head / spec.n_head_kv) >=
               kFewestQueries;
    }

  private:
    void compute_run(const Unit& unit, const Run& run, int32_t part) const;

    const AttentionInput& in_;
    const BatchAttention& one_by_one_;
};

void BlockAttention::compute_run(const Unit& unit, const Run& run, int32_t part) const {
    const puna_model_spec& spec = in_.layers.spec;
    int32_t begin[kAttentionRows];
    int32_t end[kAttentionRows];
    for (int32_t r = 0; r < run.n; ++r) {
        begin[r] = in_.batch.rows[run.first + r].first;
        end[r] = in_.batch.rows[run.first + r].position + 1;
    }
    AttentionRows rows;
    rows.q = in_.q.row(run.first) + int64_t{unit.first_query} * spec.head_dim_k;
    rows.q_stride = in_.q.stride;
    rows.out = in_.out.row(run.first) + int64_t{unit.first_query} * spec.head_dim_v;
    rows.out_stride = in_.out.stride;
    rows.keys = in_.cache.keys().head(in_.layer, unit.kv_head);
    rows.values = in_.cache.values().head(in_.layer, unit.kv_head);
    rows.key_page_bytes = in_.cache.keys().page_bytes;
    rows.value_page_bytes = in_.cache.values().page_bytes;
    rows.pages = in_.batch.views[in_.batch.rows[run.first].view].pages;
    rows.begin = begin;
    rows.end = end;
    rows.n_rows = run.n;
    rows.n_queries = unit.n_queries;
    rows.head_dim_k = spec.head_dim_k;
    rows.head_dim_v = spec.head_dim_v;
    rows.softcap = spec.attention_softcap;
    rows.memory = in_.rows_memory + part * in_.plan.rows_memory();
    in_.plan.rows_kernel()(rows);
}

// Blocks are not cut by chunks: with fewer of them, all heads counted, cores would have nothing to do. A
// number of its own, because results must not depend on the threads.
constexpr int64_t kFewestBlocks = 8;

// Whether a batch has rows for the kernel for many rows.
bool has_runs(const AttentionInput& input, const BlockAttention& blocks) {
    if (blocks.n_blocks() * input.plan.units_per_row() < kFewestBlocks) return false;
    for (int32_t row = 0; row < input.batch.n_rows; row += kAttentionRows) {
        const int32_t end = std::min(row + kAttentionRows, input.batch.n_rows);
        for (int32_t first = row; first < end;) {
            const Run run = run_from(input.batch, first, end);
            if (blocks.is_worth_it(run)) return true;
            first += run.n;
        }
    }
    return false;
}

void attend_by_blocks(const AttentionInput& input, const BlockAttention& blocks) {
    const int64_t n_units = blocks.n_blocks() * input.plan.units_per_row();
    const int32_t n_parts = input.workers.parts_for(n_units);
    input.workers.run(n_parts, [&](int32_t part) {
        for (int64_t i = part; i < n_units; i += n_parts) blocks.compute(i, part);
    });
}

// Few units: a part is one chunk of one unit, and whoever finishes a unit's last chunk merges them.
void attend_by_chunks(const AttentionInput& input, const BatchAttention& attention) {
    const int64_t n_units = attention.n_units();
    int32_t most_chunks = 1;
    for (int64_t i = 0; i < n_units; ++i) {
        const int32_t n_chunks = attention.n_chunks(attention.unit(i));
        input.counters[i].store(n_chunks, std::memory_order_relaxed);
        most_chunks = std::max(most_chunks, n_chunks);
    }
    const int64_t max_chunks = input.plan.max_chunks();
    const auto n_parts = static_cast<int32_t>(n_units * most_chunks);
    // Of the part that the thread probably takes next: parts take equally long.
    const auto keys_after = [&](int32_t part) {
        const int64_t next = int64_t{part} + input.workers.n_threads();
        if (next >= n_parts) return BlocksAhead();
        const Unit unit = attention.unit(next % n_units);
        const auto chunk = static_cast<int32_t>(next / n_units);
        if (chunk >= attention.n_chunks(unit)) return BlocksAhead();
        return attention.blocks(input.cache.keys(), unit, chunk);
    };
    input.workers.run(n_parts, [&](int32_t part) {
        const int64_t index = part % n_units;
        const auto chunk = static_cast<int32_t>(part / n_units);
        const Unit unit = attention.unit(index);
        const int32_t n_chunks = attention.n_chunks(unit);
        if (chunk >= n_chunks) return;
        attention.compute_chunk(unit, chunk, attention.partial(index * max_chunks + chunk),
                                keys_after(part));
        if (input.counters[index].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        const Partial whole = attention.partial(index * max_chunks);
        for (int32_t next = 1; next < n_chunks; ++next) {
            attention.merge(unit, whole, attention.partial(index * max_chunks + next));
        }
        attention.finish(unit, whole);
    });
}

}  // namespace

AttentionPlan::AttentionPlan(const LayerSet& layers, const puna_executor_options& options,
                             const Workers& workers) {
    const puna_model_spec& spec = layers.spec;
    const int64_t group = spec.n_head / spec.n_head_kv;
    units_per_row_ = spec.n_head_kv * ((group + kAttentionQueries - 1) / kAttentionQueries);
    // More units than this keep the threads busy by themselves.
    split_units_ = std::min<int64_t>(workers.max_parts(), options.max_rows * units_per_row_);
    max_chunks_ = options.n_ctx / kAttentionChunk + 2;
    partial_size_ = kAttentionQueries * (2 + int64_t{spec.head_dim_v});
    // Two per part, or one per chunk of each split unit; max_chunks_ is at least 2.
    n_partials_ = std::max(split_units_ * max_chunks_, int64_t{workers.max_parts()} * 2);
    const RowsAttentionEntry* rows = layers.kernels->attention_rows_of(options.kv_type_k);
    if (!rows || options.kv_type_v != options.kv_type_k || options.deterministic) return;
    rows_kernel_ = rows->run;
    rows_memory_ = rows->memory(spec.head_dim_k, spec.head_dim_v);
    const int64_t n_blocks = (int64_t{options.max_rows} + kAttentionRows - 1) / kAttentionRows;
    n_rows_memories_ = std::min<int64_t>(workers.max_parts(), n_blocks * units_per_row_);
}

void attend(const AttentionInput& input) {
    const BatchAttention attention(input);
    const BlockAttention blocks(input, attention);
    if (input.plan.rows_kernel() && has_runs(input, blocks)) {
        attend_by_blocks(input, blocks);
    } else if (input.plan.splits_chunks(input.batch.n_rows)) {
        attend_by_chunks(input, attention);
    } else {
        attend_by_units(input, attention);
    }
}

}  // namespace puna::core
