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
    int32_t n_chunks(const Unit& unit) const {
        return in_.batch.rows[unit.row].position / kAttentionChunk - first_chunk(unit) + 1;
    }
    Partial partial(int64_t index) const {
        return {in_.partials + index * in_.plan.partial_size(), spec_.head_dim_v};
    }

    void compute_chunk(const Unit& unit, int32_t index, const Partial& partial) const;
    void merge(const Unit& unit, const Partial& into, const Partial& next) const;
    void finish(const Unit& unit, const Partial& partial) const;

  private:
    const AttentionInput& in_;
    const puna_model_spec& spec_;
    AttentionFn scores_;
    AttentionFn values_;
};

// Chunk `index` of those that the unit's row sees.
void BatchAttention::compute_chunk(const Unit& unit, int32_t index, const Partial& partial) const {
    const puna_batch_row& row = in_.batch.rows[unit.row];
    const int32_t start = (first_chunk(unit) + index) * kAttentionChunk;
    alignas(64) float scores[kAttentionQueries * kAttentionChunk];
    AttentionChunk chunk;
    chunk.q = in_.q.row(unit.row) + int64_t{unit.first_query} * spec_.head_dim_k;
    chunk.keys = in_.cache.keys().head(in_.layer, unit.kv_head);
    chunk.values = in_.cache.values().head(in_.layer, unit.kv_head);
    chunk.key_page_bytes = in_.cache.keys().page_bytes;
    chunk.value_page_bytes = in_.cache.values().page_bytes;
    chunk.pages = in_.batch.views[row.view].pages;
    chunk.begin = std::max(row.first, start);
    chunk.end =
        static_cast<int32_t>(std::min(int64_t{row.position} + 1, int64_t{start} + kAttentionChunk));
    chunk.n_queries = unit.n_queries;
    chunk.head_dim_k = spec_.head_dim_k;
    chunk.head_dim_v = spec_.head_dim_v;
    chunk.scores = scores;
    chunk.out = partial.values;

    scores_(chunk);
    const int32_t n = chunk.end - chunk.begin;
    for (int32_t h = 0; h < unit.n_queries; ++h) {
        float* visible = scores + h * kAttentionChunk + (chunk.begin - start);
        if (const float cap = spec_.attention_softcap; cap != 0.0f) {
            for (int32_t i = 0; i < n; ++i) visible[i] = cap * std::tanh(visible[i] / cap);
        }
        partial.sum[h] = in_.layers.kernels->softmax.run(visible, n, &partial.largest[h]);
    }
    values_(chunk);
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

// Many units: each part takes every n-th one, as later rows see more, and needs two partials.
void attend_by_units(const AttentionInput& input, const BatchAttention& attention) {
    const int64_t n_units = attention.n_units();
    const int32_t n_parts = input.workers.parts_for(n_units);
    input.workers.run(n_parts, [&](int32_t part) {
        const Partial whole = attention.partial(2 * int64_t{part});
        const Partial next = attention.partial(2 * int64_t{part} + 1);
        for (int64_t i = part; i < n_units; i += n_parts) {
            const Unit unit = attention.unit(i);
            attention.compute_chunk(unit, 0, whole);
            for (int32_t chunk = 1; chunk < attention.n_chunks(unit); ++chunk) {
                attention.compute_chunk(unit, chunk, next);
                attention.merge(unit, whole, next);
            }
            attention.finish(unit, whole);
        }
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
    input.workers.run(static_cast<int32_t>(n_units * most_chunks), [&](int32_t part) {
        const int64_t index = part % n_units;
        const auto chunk = static_cast<int32_t>(part / n_units);
        const Unit unit = attention.unit(index);
        const int32_t n_chunks = attention.n_chunks(unit);
        if (chunk >= n_chunks) return;
        attention.compute_chunk(unit, chunk, attention.partial(index * max_chunks + chunk));
        if (input.counters[index].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        const Partial whole = attention.partial(index * max_chunks);
        for (int32_t next = 1; next < n_chunks; ++next) {
            attention.merge(unit, whole, attention.partial(index * max_chunks + next));
        }
        attention.finish(unit, whole);
    });
}

}  // namespace

AttentionPlan::AttentionPlan(const puna_model_spec& spec, const puna_executor_options& options,
                             const Workers& workers) {
    const int64_t group = spec.n_head / spec.n_head_kv;
    units_per_row_ = spec.n_head_kv * ((group + kAttentionQueries - 1) / kAttentionQueries);
    // More units than this keep the threads busy by themselves.
    split_units_ = std::min<int64_t>(workers.max_parts(), options.max_rows * units_per_row_);
    max_chunks_ = options.n_ctx / kAttentionChunk + 2;
    partial_size_ = kAttentionQueries * (2 + int64_t{spec.head_dim_v});
    // Two per part, or one per chunk of each split unit; max_chunks_ is at least 2.
    n_partials_ = std::max(split_units_ * max_chunks_, int64_t{workers.max_parts()} * 2);
}

void attend(const AttentionInput& input) {
    const BatchAttention attention(input);
    if (input.plan.splits_chunks(input.batch.n_rows)) {
        attend_by_chunks(input, attention);
    } else {
        attend_by_units(input, attention);
    }
}

}  // namespace puna::core
