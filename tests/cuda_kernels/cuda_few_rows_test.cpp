// Passes of few rows: products that norm and round by themselves, attention that finishes heads and merges
// chunks. They give the bits of passes of many rows, and graphs of them can be run again.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/launch.h"
#include "cuda/linear.h"
#include "cuda/scratch.h"
#include "cuda/vector_ops.h"
#include "cuda_kernels/device_model.h"
#include "format/block_format.h"
#include "format/random_blocks.h"
#include "support/random_numbers.h"

namespace puna::cuda {
namespace {

using test::DeviceArray;
using test::DeviceExecutor;
using test::DeviceModel;
using test::Encoding;
using test::small_shape;
using test::SpecModel;

// ---- Products ------------------------------------------------------------------------------------

struct ProductShape {
    core::BlockFormat format;
    int64_t columns;
};

class CudaFewRows : public testing::TestWithParam<ProductShape> {
  protected:
    static constexpr int64_t kOutputs =
        37;  // more than one turn of the blocks of one multiprocessor
    CudaFewRows() {
        const auto [format, columns] = GetParam();
        const auto row_bytes = *core::block_format_bytes(format, static_cast<uint64_t>(columns));
        std::vector<uint8_t> bytes(row_bytes * kOutputs);
        core::RandomBits bits(3);
        core::random_blocks(format, bits, 0.7f, bytes.data(), kOutputs * columns);
        weights_ = DeviceArray<uint8_t>(bytes);
        matrix_ = {weights_.get(), kOutputs, columns, static_cast<int64_t>(row_bytes),
                   static_cast<int32_t>(format)};
        x_ = DeviceArray<float>(test::random_floats(kRows * columns, 4));
        gain_ = DeviceArray<float>(test::random_floats(columns, 5));
    }

    Input input(int32_t n_rows) const {
        Input input;
        input.x = x_.get();
        input.n_rows = n_rows;
        input.columns = GetParam().columns;
        return input;
    }
    std::vector<float> product(const Input& input, Epilogue epilogue = Epilogue::kStore) const {
        const auto n = static_cast<size_t>(input.n_rows * kOutputs);
        DeviceArray<float> y(std::vector<float>(n, 0.5f));
        const Product products[] = {{matrix_, nullptr, y.get()}, {matrix_, nullptr, nullptr}};
        LinearOptions options;
        options.epilogue = epilogue;
        options.activation = PUNA_ACTIVATION_SILU;
        options.y_stride = kOutputs;
        options.same_for_all_rows = true;
        const int32_t n_products = epilogue == Epilogue::kGateUp ? 2 : 1;
        EXPECT_EQ(multiply(input, products, n_products, options, {}, nullptr, nullptr),
                  cudaSuccess);
        return y.read();
    }

    static constexpr int32_t kRows = 9;
    DeviceArray<uint8_t> weights_;
    DeviceArray<float> x_, gain_;
    Matrix matrix_;
};

TEST_P(CudaFewRows, NormAsTheKernelOfManyRows) {
    for (const int32_t kind : {PUNA_NORM_RMS, PUNA_NORM_LAYER}) {
        for (int32_t n_rows = 1; n_rows <= kRows; ++n_rows) {
            Input together = input(n_rows);
            together.norm = {gain_.get(), kind, 1e-5f};
            DeviceArray<float> normed(static_cast<size_t>(n_rows * together.columns));
            ASSERT_EQ(norm_rows({together, normed.get(), nullptr}, nullptr), cudaSuccess);
            Input apart = input(n_rows);
            apart.x = normed.get();
            for (const auto epilogue : {Epilogue::kStore, Epilogue::kResidual, Epilogue::kGateUp}) {
                if (together.columns > 4096 && epilogue != Epilogue::kResidual) continue;
                EXPECT_EQ(product(together, epilogue), product(apart, epilogue))
                    << n_rows << " rows, norm " << kind;
            }
        }
    }
}

TEST_P(CudaFewRows, TakeTheRowsTheyAreTold) {
    const std::vector<int32_t> wanted = {8, 0, 5, 5, 2};
    const DeviceArray<int32_t> rows(wanted);
    Input all = input(kRows);
    all.norm = {gain_.get(), PUNA_NORM_RMS, 1e-5f};
    Input some = all;
    some.rows = rows.get();
    some.n_rows = static_cast<int32_t>(wanted.size());
    const auto of_all = product(all);
    const auto of_some = product(some);
    for (size_t i = 0; i < of_some.size(); ++i) {
        const auto row = static_cast<size_t>(wanted[i / kOutputs]);
        ASSERT_EQ(of_some[i], of_all[row * kOutputs + i % kOutputs]) << i;
    }
}

// Rows of more than one panel, for 8 rows and for one; and those that end within a step.
INSTANTIATE_TEST_SUITE_P(Shapes, CudaFewRows,
                         testing::Values(ProductShape{core::BlockFormat::kQ8_0, 32},
                                         ProductShape{core::BlockFormat::kQ8_0, 2080},
                                         ProductShape{core::BlockFormat::kQ4_0, 17 * 1024},
                                         ProductShape{core::BlockFormat::kQ6_K, 2304},
                                         ProductShape{core::BlockFormat::kF32, 1},
                                         ProductShape{core::BlockFormat::kF32, 39},
                                         ProductShape{core::BlockFormat::kF16, 1288},
                                         ProductShape{core::BlockFormat::kBF16, 11000}),
                         [](const auto& shape) {
                             return std::string(core::block_format_name(shape.param.format)) + "_" +
                                    std::to_string(shape.param.columns);
                         });

// ---- Attention -----------------------------------------------------------------------------------

constexpr int32_t kContext = 320;

// A sequence so long that three chunks of attention are to be merged.
class CudaFewRowsPass {
  public:
    explicit CudaFewRowsPass(const puna_executor_options& options,
                             const test::SpecModelShape& shape = small_shape())
        : model_(shape), device_(model_), executor_(device_.weights, options) {
        tokens_ = test::random_tokens(model_.spec(), 271);
    }

    std::vector<float> logits(int32_t begin, int32_t n) {
        executor_.set_batch(
            std::span(tokens_).subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), begin);
        executor_.run_layers();
        return executor_.run_head(PUNA_ROW_OUTPUT_LOGITS);
    }
    void expect_no_arrivals() const {
        const Forward& f = executor_.forward;
        const Scratch s = make_scratch(f.weights->spec, f.weights->has_head, f.options, f.scratch);
        for (int32_t i = 0; i < f.batch.n_rows * f.weights->spec.n_head; ++i) {
            EXPECT_EQ(s.arrivals[i], 0u) << i;
        }
    }

    SpecModel model_;
    DeviceModel device_;
    DeviceExecutor executor_;
    std::vector<int32_t> tokens_;
};

struct CacheTypes {
    int32_t keys, values;
};

class CudaFewRowsCache : public testing::TestWithParam<CacheTypes> {};

TEST_P(CudaFewRowsCache, GivesTheBitsOfManyRows) {
    auto options = test::device_options(kContext, kContext);
    options.kv_type_k = GetParam().keys;
    options.kv_type_v = GetParam().values;
    options.deterministic = 1;
    CudaFewRowsPass pass(options);
    const auto expected = pass.logits(0, 271);
    const auto width = static_cast<size_t>(pass.model_.spec().n_vocab);
    for (int32_t n_rows = 1; n_rows <= 9; ++n_rows) {
        for (int32_t begin = 262; begin + n_rows <= 271; begin += n_rows) {
            const auto actual = pass.logits(begin, n_rows);
            pass.expect_no_arrivals();
            for (size_t i = 0; i < actual.size(); ++i) {
                ASSERT_EQ(actual[i], expected[static_cast<size_t>(begin) * width + i])
                    << n_rows << " rows from " << begin << " on";
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    All, CudaFewRowsCache,
    testing::Values(CacheTypes{PUNA_KV_F32, PUNA_KV_F32}, CacheTypes{PUNA_KV_F16, PUNA_KV_F16},
                    CacheTypes{PUNA_KV_BF16, PUNA_KV_BF16}, CacheTypes{PUNA_KV_Q8_0, PUNA_KV_Q8_0},
                    CacheTypes{PUNA_KV_F32, PUNA_KV_F16}, CacheTypes{PUNA_KV_BF16, PUNA_KV_Q8_0},
                    CacheTypes{PUNA_KV_Q8_0, PUNA_KV_F32}),
    [](const auto& types) {
        return "K" + std::to_string(types.param.keys) + "V" + std::to_string(types.param.values);
    });

// ---- Graphs --------------------------------------------------------------------------------------

class CudaFewRowsGraph : public testing::Test {
  protected:
    CudaFewRowsGraph() { EXPECT_EQ(cudaStreamCreate(&stream_), cudaSuccess); }
    ~CudaFewRowsGraph() override { cudaStreamDestroy(stream_); }

    template <class Enqueue>
    cudaGraph_t capture(Forward& forward, const Enqueue& enqueue) {
        forward.stream = stream_;
        EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), cudaSuccess);
        enqueue();
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
        return graph;
    }

    cudaStream_t stream_ = nullptr;
};

TEST_F(CudaFewRowsGraph, ALayerIsFiveLaunches) {
    const std::pair<Encoding, size_t> cases[] = {{Encoding::kQ8_0, 5}, {Encoding::kF16, 5}};
    for (const auto& [encoding, n_expected] : cases) {
        auto shape = small_shape();
        shape.encoding = encoding;
        CudaFewRowsPass pass(test::device_options(kContext, kContext), shape);
        for (const int32_t begin : {40, 262}) {
            pass.executor_.set_batch(std::span(pass.tokens_).subspan(size_t(begin), 1), begin);
            Forward& forward = pass.executor_.forward;
            cudaGraph_t graph =
                capture(forward, [&] { EXPECT_EQ(run_layer(forward, 0), cudaSuccess); });
            size_t n_nodes = 0;
            ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &n_nodes), cudaSuccess);
            EXPECT_EQ(n_nodes, 1 + n_expected) << "with what the layers share";
            cudaGraphDestroy(graph);
        }
    }
}

TEST_F(CudaFewRowsGraph, RunsAgainAndAgain) {
    CudaFewRowsPass pass(test::device_options(kContext, kContext, PUNA_KV_F16));
    pass.logits(0, 265);
    Forward& forward = pass.executor_.forward;
    for (const int32_t n_rows : {1, 4}) {
        const auto expected = pass.logits(265, n_rows);
        cudaGraph_t graph = capture(forward, [&] { pass.executor_.run_layers(); });
        cudaGraphExec_t exec = nullptr;
        ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
        for (int32_t i = 0; i < 3; ++i) {
            ASSERT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
            pass.expect_no_arrivals();
            EXPECT_EQ(pass.executor_.run_head(PUNA_ROW_OUTPUT_LOGITS), expected) << i;
        }
        cudaGraphExecDestroy(exec);
        cudaGraphDestroy(graph);
    }
}

// ---- Kernels that begin early --------------------------------------------------------------------

__global__ void hasty_kernel(int32_t n_waiting) {
    if (static_cast<int32_t>(threadIdx.x) < n_waiting) wait_for_last_kernel();
}

TEST(CudaNextKernel, EveryThreadMustWait) {
    const auto run = [](bool overlaps, int32_t n_waiting) {
        return launch_next(overlaps, hasty_kernel, dim3(2), dim3(40), 0, nullptr, n_waiting);
    };
    EXPECT_EQ(run(true, 40), cudaSuccess);
    EXPECT_EQ(run(false, 0), cudaSuccess);
    EXPECT_EQ(run(true, 39), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
    EXPECT_EQ(run(true, 40), cudaSuccess);
}

}  // namespace
}  // namespace puna::cuda
