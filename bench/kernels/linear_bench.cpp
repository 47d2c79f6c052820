// How fast weights stream through the linear kernels: checked against double, then timed.
//
// Reads 256 MB of weights, more than any cache holds, in matrices of 2048 columns. The label names
// kernel set, format and processor; bytes_per_second is the rate at which weights are read, items
// are multiply-adds.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "cpu/kernel_table.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"
#include "support/tensor_encoding.h"

namespace {

using namespace puna;

constexpr int64_t kColumns = 2048;
constexpr int64_t kTotalBytes = int64_t{256} << 20;

struct Problem {
    Problem(test::Encoding encoding, int32_t n_rows) {
        row_bytes = static_cast<int64_t>(test::encoded_size(encoding, kColumns));
        n_out = kTotalBytes / row_bytes;
        test::RandomNumbers random(1);
        std::vector<float> pattern(16 * kColumns);
        for (float& value : pattern) value = static_cast<float>(random.normal());
        const auto bytes = test::encode(encoding, pattern);
        decoded = test::decode(encoding, bytes);
        weights.resize(static_cast<size_t>(n_out * row_bytes));
        for (size_t i = 0; i < weights.size(); ++i) weights[i] = bytes[i % bytes.size()];
        x.resize(static_cast<size_t>(n_rows * kColumns));
        for (float& value : x) value = static_cast<float>(random.normal());
        y.resize(static_cast<size_t>(n_rows * n_out));
    }

    // The 16 different weight rows against the first row of x.
    bool is_right() const {
        for (int64_t i = 0; i < 16; ++i) {
            double expected = 0.0;
            for (int64_t j = 0; j < kColumns; ++j) {
                expected += static_cast<double>(decoded[static_cast<size_t>(i * kColumns + j)]) *
                            x[static_cast<size_t>(j)];
            }
            if (!(std::fabs(y[static_cast<size_t>(i)] - expected) < 1e-3)) return false;
        }
        return true;
    }

    int64_t row_bytes;
    int64_t n_out;
    std::vector<float> decoded;
    std::vector<uint8_t> weights;
    std::vector<float> x;
    std::vector<float> y;
};

void linear(benchmark::State& state, const core::KernelTable& table, test::Encoding encoding,
            int32_t n_rows) {
    Problem problem(encoding, n_rows);
    core::LinearBlock block;
    block.weights = problem.weights.data();
    block.row_bytes = problem.row_bytes;
    block.n_in = kColumns;
    block.n_out = problem.n_out;
    block.n_rows = n_rows;
    block.x = problem.x.data();
    block.x_stride = kColumns;
    block.y = problem.y.data();
    block.y_stride = problem.n_out;
    const core::KernelEntry<core::LinearFn>& kernel = table.linear[static_cast<int32_t>(encoding)];
    kernel.run(block);
    if (!problem.is_right()) {
        state.SkipWithError("wrong result");
        return;
    }
    for (auto _ : state) {
        kernel.run(block);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * problem.n_out * problem.row_bytes);
    state.SetItemsProcessed(state.iterations() * problem.n_out * kColumns * n_rows);
    state.SetLabel(std::string(kernel.set) + ", 1 thread, " + core::cpu_brand());
}

const struct {
    const char* name;
    test::Encoding encoding;
} kFormats[] = {
    {"f32", test::Encoding::kF32}, {"f16", test::Encoding::kF16}, {"q8_0", test::Encoding::kQ8_0}};

const bool kRegistered = [] {
    for (const core::KernelTable& table : test::runnable_kernel_tables()) {
        for (const auto& format : kFormats) {
            for (const int32_t n_rows : {1, 4}) {
                const std::string name = std::string("linear/") + table.name + "/" + format.name +
                                         "/rows:" + std::to_string(n_rows);
                benchmark::RegisterBenchmark(name.c_str(),
                                             [table, format, n_rows](benchmark::State& state) {
                                                 linear(state, table, format.encoding, n_rows);
                                             });
            }
        }
    }
    return true;
}();

}  // namespace
