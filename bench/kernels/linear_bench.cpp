// How fast weights stream through the linear kernels: checked against double, then timed.
//
// Every format of every kernel set that this machine runs, on 1 and 2 threads, each with a matrix of its
// own: kernels for few rows with 1, 4, 8, 16 and 32 activation rows, panel kernels with 8, 16, 32 and 512,
// which are packed in the time that is measured, also where a batch of so few would not be. For one row
// the matrices of all threads take 256 MB, more than any cache holds; for more rows less, as memory is
// not what they wait for. bytes_per_second is the rate at which weights are read, of_bandwidth its share
// of what plain reads reach on as many threads in the same run, and flops counts multiplications and
// additions.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "cpu/kernel_table.h"
#include "cpu/linear.h"
#include "format/block_format.h"
#include "format/random_blocks.h"
#include "plain_reads.h"
#include "support/kernel_tables.h"
#include "support/model_file.h"
#include "support/random_numbers.h"

namespace {

using namespace puna;

constexpr int64_t kColumns = 2048;
constexpr int64_t kTotalBytes = int64_t{256} << 20;
constexpr int64_t kPatternRows = 16;  // that differ; the others repeat them

// ---- The kernels --------------------------------------------------------------------------------

struct Kernel {
    core::LinearFn linear = nullptr;
    core::PanelEntry panel;  // either

    bool is_for_small_batches() const { return panel.run && panel.packing->is_for_small_batches(); }
};

// Each thread of the benchmark works for itself.
const puna_host_services kAlone = {};

struct Problem {
    Problem(const core::BlockFormatInfo& info, int32_t n_rows, int n_threads) {
        row_bytes = kColumns / info.block_length * info.block_bytes;
        n_out = kTotalBytes / n_rows / n_threads / row_bytes;
        std::vector<uint8_t> pattern(static_cast<size_t>(kPatternRows * row_bytes));
        core::RandomBits bits(1);
        core::random_blocks(info.format, bits, 1.0f, pattern.data(), kPatternRows * kColumns);
        decoded.resize(static_cast<size_t>(kPatternRows * kColumns));
        info.dequantize(pattern.data(), decoded.data(), kPatternRows * kColumns);
        weights.resize(static_cast<size_t>(n_out * row_bytes));
        for (int64_t i = 0; i < n_out; ++i) {
            std::memcpy(weights.data() + i * row_bytes,
                        pattern.data() + i % kPatternRows * row_bytes,
                        static_cast<size_t>(row_bytes));
        }
        test::RandomNumbers random(2);
        x.resize(static_cast<size_t>(n_rows * kColumns));
        for (float& value : x) value = static_cast<float>(random.normal());
        y.resize(static_cast<size_t>(n_rows * n_out));
        rows = n_rows;
    }

    void multiply(const Kernel& kernel) {
        core::Matrix matrix;
        matrix.data = weights.data();
        matrix.rows = n_out;
        matrix.columns = kColumns;
        matrix.row_bytes = row_bytes;
        matrix.multiply = kernel.linear;
        core::PanelEntry panel = kernel.panel;
        core::RowPacking packing;
        if (panel.run) {
            packing = *panel.packing;
            packing.fewest_rows = 1;
            panel.packing = &packing;
            matrix.panel = &panel;
        }
        const core::Workers alone(kAlone, 1);
        const core::Matrices matrices = {&matrix};
        const core::PanelScratch scratch = panel_scratch(matrices);
        const core::Input from =
            core::make_input(alone, {x.data(), kColumns, rows}, matrices, scratch);
        core::multiply(matrix, {0, n_out}, from, {y.data(), n_out, rows});
    }

    core::PanelScratch panel_scratch(core::Matrices matrices) {
        core::PanelScratch scratch;
        const int64_t bytes = kColumns / 32 * core::packed_column_bytes(matrices, rows);
        if (bytes == 0) return scratch;
        packed.resize(static_cast<size_t>(bytes));
        scratch.packed = packed.data();
        scratch.memory_bytes = core::panel_memory_bytes(matrices, rows);
        memory.resize(static_cast<size_t>(scratch.memory_bytes));
        scratch.memories = memory.data();
        scratch.taken = &memory_is_taken;
        scratch.n_memories = 1;
        return scratch;
    }

    // The different weight rows, against the first and the last row of x, whose products have a
    // deviation of about 45.
    bool is_right(double bound) const {
        for (const int64_t r : {int64_t{0}, int64_t{rows} - 1}) {
            for (int64_t i = 0; i < kPatternRows; ++i) {
                double expected = 0.0;
                for (int64_t j = 0; j < kColumns; ++j) {
                    expected +=
                        static_cast<double>(decoded[static_cast<size_t>(i * kColumns + j)]) *
                        x[static_cast<size_t>(r * kColumns + j)];
                }
                const float result = y[static_cast<size_t>(r * n_out + i)];
                if (!(std::fabs(result - expected) < bound)) return false;
            }
        }
        return true;
    }

    int64_t row_bytes;
    int64_t n_out;
    int32_t rows;
    std::vector<float> decoded;
    std::vector<uint8_t> weights;
    std::vector<float, test::CacheLineAllocator<float>> x;  // aligned like scratch
    std::vector<uint8_t, test::CacheLineAllocator<uint8_t>> packed;
    std::vector<uint8_t, test::CacheLineAllocator<uint8_t>> memory;
    std::atomic<int32_t> memory_is_taken = 0;
    std::vector<float> y;
};

void linear(benchmark::State& state, const Kernel& kernel, const core::BlockFormatInfo& info,
            int32_t n_rows) {
    const double bandwidth = bench::read_bandwidth(state.threads());
    Problem problem(info, n_rows, state.threads());
    problem.multiply(kernel);
    const bool rounds = kernel.panel.run && !kernel.is_for_small_batches();
    if (!problem.is_right(rounds ? 1.0 : 5e-3)) {
        state.SkipWithError("wrong result");
        return;
    }
    for (auto _ : state) {
        problem.multiply(kernel);
        benchmark::ClobberMemory();
    }
    const auto n_bytes =
        static_cast<double>(state.iterations() * problem.n_out * problem.row_bytes);
    const auto n_products =
        static_cast<double>(state.iterations() * problem.n_out * kColumns * n_rows);
    state.SetBytesProcessed(static_cast<int64_t>(n_bytes));
    state.counters["of_bandwidth"] =
        benchmark::Counter(n_bytes / bandwidth, benchmark::Counter::kIsRate);
    state.counters["flops"] = benchmark::Counter(2.0 * n_products, benchmark::Counter::kIsRate);
    if (state.thread_index() == 0) {
        char label[96];
        std::snprintf(label, sizeof label, "memory gives %.1f GB/s, %s", bandwidth / 1e9,
                      core::cpu_brand().c_str());
        state.SetLabel(label);
    }
}

void register_kernel(const char* set, const Kernel& kernel, const core::BlockFormatInfo& info,
                     std::initializer_list<int32_t> rows) {
    for (const int32_t n_rows : rows) {
        const char* kind = kernel.is_for_small_batches() ? "small_panel/"
                           : kernel.panel.run            ? "panel/"
                                                         : "linear/";
        const std::string name =
            std::string(kind) + set + "/" + info.name + "/rows:" + std::to_string(n_rows);
        benchmark::RegisterBenchmark(name.c_str(), linear, kernel, info, n_rows)
            ->Threads(1)
            ->Threads(2)
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
    }
}

// What a set inherits is measured with the set that brings it.
const bool kRegistered = [] {
    for (const core::KernelTable& table : test::runnable_kernel_tables()) {
        for (const core::BlockFormatInfo& info : core::block_formats()) {
            const auto* panel = table.panel_of(static_cast<int32_t>(info.format));
            const auto* small_panel = table.small_panel_of(static_cast<int32_t>(info.format));
            const auto* few = table.linear_of(static_cast<int32_t>(info.format));
            if (panel && std::strcmp(panel->set, table.name) == 0) {
                register_kernel(table.name, {few->run, *panel}, info, {8, 16, 32, 512});
            }
            if (small_panel && std::strcmp(small_panel->set, table.name) == 0) {
                register_kernel(table.name, {few->run, *small_panel}, info, {5, 8});
            }
            if (few && std::strcmp(few->set, table.name) == 0) {
                register_kernel(table.name, {few->run, {}}, info, {1, 4, 8, 16, 32});
            }
        }
    }
    return true;
}();

}  // namespace
