// How fast the cache streams through attention, for each type of it and each kernel set: checked
// against double, then timed.
//
//   chunk  the two kernels on 256 positions of one KV head that stay in the processor's caches:
//          8 query heads (1 in `alone`), heads of 64. What arithmetic allows.
//   row    the attention of one decoded token behind 1,800 others, softmax and merging included, in
//          22 layers of 4 KV heads: 40 MB with F16. Each thread works for itself.
//   store  what a prompt of 512 rows writes in one layer of that shape: keys and values of 4 heads.
//
// bytes_per_second counts the cache that is read (or written), of_bandwidth is its share of what plain
// reads reach on as many threads in the same run, and macs counts multiplications.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "cpu/attention.h"
#include "cpu/kernel_table.h"
#include "format/kv_format.h"
#include "plain_reads.h"
#include "support/backend_host.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace {

using namespace puna;

constexpr int32_t kHeadDim = 64;
constexpr int32_t kHeadsKv = 4;
constexpr int32_t kDepth = 1801;  // positions, the last row's own included
constexpr int32_t kPromptRows = 512;
constexpr size_t kPattern = 61;  // heads that differ; the others repeat them

std::vector<float> random_floats(size_t n, double scale) {
    test::RandomNumbers random(2);
    std::vector<float> x(n);
    for (float& v : x) v = static_cast<float>(scale * random.normal());
    return x;
}

// A filled cache and the queries of one row.
struct Problem {
    Problem(const core::KernelTable& kernels, int32_t type, int32_t n_layers, int32_t n_queries)
        : table(kernels) {
        layers.services = &host.services();
        layers.kernels = &table;
        layers.spec.n_head = kHeadsKv * n_queries;
        layers.spec.n_head_kv = kHeadsKv;
        layers.spec.head_dim_k = layers.spec.head_dim_v = kHeadDim;
        layers.layers.resize(static_cast<size_t>(n_layers));
        options.n_cells = options.n_ctx = (kDepth / core::kKvPage + 1) * core::kKvPage;
        options.max_rows = 1;
        options.kv_type_k = options.kv_type_v = type;
        options.deterministic = 1;  // rows one by one, whatever the kernel set
        cache = std::move(*core::KvCache::plan(layers, options));
        is_ready = cache.allocate(host.services()).ok();
        for (int32_t i = options.n_cells / core::kKvPage; i > 0; --i) pages.push_back(i - 1);
        q = random_floats(static_cast<size_t>(layers.spec.n_head * kHeadDim), 0.5);
        out.resize(q.size());
        if (is_ready) fill();
    }

    void fill() {
        const auto pattern = random_floats(kPattern * kHeadDim, 1.0);
        size_t next = 0;
        for (int32_t layer = 0; layer < layers.n_layers(); ++layer) {
            for (int32_t head = 0; head < kHeadsKv; ++head) {
                for (int32_t p = 0; p < kDepth; ++p) {
                    for (const core::KvHalf* half : {&cache.keys(), &cache.values()}) {
                        half->store(layer, head, cell(p),
                                    pattern.data() + next++ % kPattern * kHeadDim);
                    }
                }
            }
        }
    }

    int32_t cell(int32_t p) const {
        return pages[static_cast<size_t>(p / core::kKvPage)] * core::kKvPage + p % core::kKvPage;
    }
    int64_t position_bytes() const { return cache.keys().line_bytes + cache.values().line_bytes; }

    // The attention of the last position to those from `first` on, in a layer.
    void attend(int32_t layer) {
        const core::Workers alone(host.services(), 1);
        const core::AttentionPlan plan(layers, options, alone);
        partials.resize(static_cast<size_t>(plan.n_partials() * plan.partial_size()));
        counters = std::vector<std::atomic<int32_t>>(static_cast<size_t>(plan.n_counters()));
        puna_batch_row row = {};
        row.position = kDepth - 1;
        const puna_batch_view view = {pages.data(), static_cast<int32_t>(pages.size()), 0};
        puna_batch batch = {};
        batch.n_rows = 1;
        batch.rows = &row;
        batch.views = &view;
        const auto columns = static_cast<int64_t>(q.size());
        core::attend({layers, cache, alone, plan, partials.data(), counters.data(), nullptr, batch,
                      layer, core::Rows{q.data(), columns, 1}, core::Rows{out.data(), columns, 1}});
    }

    // What attend() gives for a query head, in double.
    std::vector<double> expected(int32_t layer, int32_t query_head) const {
        const int32_t kv_head = query_head / (layers.spec.n_head / kHeadsKv);
        std::vector<double> result(kHeadDim, 0.0);
        double sum = 0.0;
        std::vector<float> line(kHeadDim);
        for (int32_t p = 0; p < kDepth; ++p) {
            cache.keys().load(layer, kv_head, cell(p), line.data());
            double score = 0.0;
            for (size_t d = 0; d < kHeadDim; ++d) {
                score += static_cast<double>(q[static_cast<size_t>(query_head) * kHeadDim + d]) *
                         line[d];
            }
            const double weight = std::exp(score);
            sum += weight;
            cache.values().load(layer, kv_head, cell(p), line.data());
            for (size_t d = 0; d < kHeadDim; ++d) result[d] += weight * line[d];
        }
        for (double& v : result) v /= sum;
        return result;
    }

    bool is_right(int32_t layer) {
        attend(layer);
        for (int32_t head = 0; head < layers.spec.n_head; head += 3) {
            const auto right = expected(layer, head);
            for (size_t d = 0; d < kHeadDim; ++d) {
                const float found = out[static_cast<size_t>(head) * kHeadDim + d];
                if (!(std::fabs(found - right[d]) < 2e-4)) return false;
            }
        }
        return true;
    }

    core::KernelTable table;
    test::BackendHost host;
    core::LayerSet layers;
    puna_executor_options options = {};
    core::KvCache cache;
    std::vector<int32_t> pages;
    std::vector<float> q;
    std::vector<float> out;
    std::vector<float> partials;
    std::vector<std::atomic<int32_t>> counters;
    bool is_ready = false;
};

void report(benchmark::State& state, int64_t n_bytes, int64_t n_macs) {
    const double bandwidth = bench::read_bandwidth(state.threads());
    const auto n = static_cast<double>(state.iterations());
    state.SetBytesProcessed(state.iterations() * n_bytes);
    state.counters["of_bandwidth"] = benchmark::Counter(
        n * static_cast<double>(n_bytes) / bandwidth, benchmark::Counter::kIsRate);
    if (n_macs > 0) {
        state.counters["macs"] =
            benchmark::Counter(n * static_cast<double>(n_macs), benchmark::Counter::kIsRate);
    }
    if (state.thread_index() == 0) {
        char label[96];
        std::snprintf(label, sizeof label, "memory gives %.1f GB/s, %s", bandwidth / 1e9,
                      core::cpu_brand().c_str());
        state.SetLabel(label);
    }
}

// Checked by way of attend(), which calls nothing else.
void chunk(benchmark::State& state, const core::KernelTable& table, int32_t type,
           int32_t n_queries) {
    Problem problem(table, type, 1, n_queries);
    if (!problem.is_ready || !problem.is_right(0)) return state.SkipWithError("wrong result");
    std::vector<float> scores(core::kAttentionQueries * core::kAttentionChunk, 0.01f);
    core::AttentionChunk chunk = {};
    chunk.q = problem.q.data();
    chunk.keys = problem.cache.keys().head(0, 0);
    chunk.values = problem.cache.values().head(0, 0);
    chunk.key_page_bytes = problem.cache.keys().page_bytes;
    chunk.value_page_bytes = problem.cache.values().page_bytes;
    chunk.pages = problem.pages.data();
    chunk.end = core::kAttentionChunk;
    chunk.n_queries = n_queries;
    chunk.head_dim_k = chunk.head_dim_v = kHeadDim;
    chunk.scores = scores.data();
    chunk.out = problem.out.data();
    for (auto _ : state) {
        table.attention_scores[type].run(chunk);
        table.attention_values[type].run(chunk);
        benchmark::ClobberMemory();
    }
    report(state, core::kAttentionChunk * problem.position_bytes(),
           int64_t{2} * core::kAttentionChunk * kHeadDim * n_queries);
}

void row(benchmark::State& state, const core::KernelTable& table, int32_t type) {
    constexpr int32_t kLayers = 22;
    constexpr int32_t kQueries = 8;
    Problem problem(table, type, kLayers, kQueries);
    if (!problem.is_ready || !problem.is_right(0) || !problem.is_right(kLayers - 1)) {
        return state.SkipWithError("wrong result");
    }
    for (auto _ : state) {
        for (int32_t layer = 0; layer < kLayers; ++layer) problem.attend(layer);
        benchmark::ClobberMemory();
    }
    constexpr int64_t kPositions = int64_t{kLayers} * kHeadsKv * kDepth;
    report(state, kPositions * problem.position_bytes(), kPositions * kQueries * kHeadDim * 2);
}

void store(benchmark::State& state, const core::KernelTable& table, int32_t type) {
    Problem problem(table, type, 1, 1);
    if (!problem.is_ready || !problem.is_right(0)) return state.SkipWithError("wrong result");
    const auto x = random_floats(size_t{kPromptRows} * kHeadsKv * kHeadDim, 1.0);
    for (auto _ : state) {
        for (const core::KvHalf* half : {&problem.cache.keys(), &problem.cache.values()}) {
            for (int32_t head = 0; head < kHeadsKv; ++head) {
                for (int32_t r = 0; r < kPromptRows; ++r) {
                    half->store(0, head, r, x.data() + (r * kHeadsKv + head) * kHeadDim);
                }
            }
        }
        benchmark::ClobberMemory();
    }
    report(state, kPromptRows * kHeadsKv * problem.position_bytes(), 0);
}

template <class... Arguments>
void add(const std::string& name, int max_threads, void (*run)(benchmark::State&, Arguments...),
         Arguments... arguments) {
    benchmark::RegisterBenchmark(name.c_str(), run, arguments...)
        ->ThreadRange(1, max_threads)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
}

const bool kRegistered = [] {
    static const std::vector<core::KernelTable> tables = test::runnable_kernel_tables();
    for (const core::KernelTable& table : tables) {
        for (int32_t type = PUNA_KV_F16; type <= PUNA_KV_Q8_0; ++type) {
            const std::string name = std::string(table.name) + "/" + core::kv_type_name(type);
            add<const core::KernelTable&, int32_t, int32_t>("chunk/" + name, 1, chunk, table, type,
                                                            8);
            add<const core::KernelTable&, int32_t, int32_t>("alone/" + name, 1, chunk, table, type,
                                                            1);
            add<const core::KernelTable&, int32_t>("row/" + name, 2, row, table, type);
            add<const core::KernelTable&, int32_t>("store/" + name, 1, store, table, type);
        }
    }
    return true;
}();

}  // namespace
