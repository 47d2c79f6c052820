// The forward pass of many kinds of models, against double.
#include <gtest/gtest.h>

#include <string>

#include "cuda_kernels/device_model.h"
#include "support/relative_error.h"
#include "support/spec_variants.h"

namespace puna::cuda {
namespace {

using test::DeviceExecutor;
using test::DeviceModel;
using test::Encoding;
using test::relative_error;
using test::small_shape;
using test::SpecModel;
using test::SpecModelShape;
using test::SpecVariant;

struct Results {
    std::vector<float> hidden;
    std::vector<float> logits;
};

// All tokens of one sequence, in batches of n_batch rows. `with_floats16`: as on a GPU that has such kernels.
Results run(const SpecModel& model, puna_executor_options options, std::span<const int32_t> tokens,
            int32_t n_batch, std::span<const int32_t> first = {}, bool with_floats16 = true) {
    const DeviceModel device(model);
    options.max_rows = options.max_outputs = n_batch;
    DeviceExecutor executor(device.weights, options);
    executor.forward.traits.has_floats16 = with_floats16;
    Results results;
    const auto n = static_cast<int32_t>(tokens.size());
    for (int32_t begin = 0; begin < n; begin += n_batch) {
        const auto count = static_cast<size_t>(std::min(n_batch, n - begin));
        executor.set_batch(tokens.subspan(static_cast<size_t>(begin), count), begin, first);
        executor.run_layers();
        const auto hidden = executor.run_head(PUNA_ROW_OUTPUT_HIDDEN);
        const auto logits = executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
        results.hidden.insert(results.hidden.end(), hidden.begin(), hidden.end());
        results.logits.insert(results.logits.end(), logits.begin(), logits.end());
    }
    return results;
}

constexpr SpecVariant kWideHeads = {"WideHeads", [](auto& m) {
                                        m.spec.head_dim_k = 136;
                                        m.spec.attention_scale = 0.1f;
                                        m.spec.head_dim_v = 72;
                                    }};

void make_quantised(SpecModelShape& m, Encoding encoding) {
    m.encoding = encoding;
    m.spec.n_embd = 96;
    m.spec.n_ff = 160;
    m.spec.head_dim_v = 16;
}

// What kernels have ways of their own for.
std::vector<SpecVariant> forward_variants() {
    std::vector<SpecVariant> variants = test::spec_variants();
    variants.insert(variants.end(),
                    {{"BF16", [](auto& m) { m.encoding = Encoding::kBF16; }},
                     {"EveryMatrixQ8_0", [](auto& m) { make_quantised(m, Encoding::kQ8_0); }},
                     {"EveryMatrixQ4_0", [](auto& m) { make_quantised(m, Encoding::kQ4_0); }},
                     // Some matrices cannot be quantised then: rows are read as floats and rounded.
                     {"Q8_0AndF16",
                      [](auto& m) {
                          m.encoding = Encoding::kQ8_0;
                          m.spec.n_embd = 96;
                      }},
                     {"LayerNormOfHeads",
                      [](auto& m) {
                          m.spec.norm = PUNA_NORM_LAYER;
                          m.spec.qk_norm = 1;
                          m.spec.head_dim_k = 70;
                          m.spec.attention_scale = 0.1f;
                      }},
                     kWideHeads,
                     // Too wide to be finished within attention, and to be kept in shared memory.
                     {"WiderHeads",
                      [](auto& m) {
                          m.spec.n_head = 2;
                          m.spec.n_head_kv = 1;
                          m.spec.head_dim_k = 700;
                          m.spec.attention_scale = 0.04f;
                      }},
                     {"WidestHeads", [](auto& m) {
                          m.spec.n_head = 2;
                          m.spec.n_head_kv = 1;
                          m.spec.n_layer = 1;
                          m.spec.n_embd = 8;
                          m.spec.head_dim_k = 3504;
                          m.spec.attention_scale = 0.02f;
                      }}});
    return variants;
}

class CudaForward : public testing::TestWithParam<SpecVariant> {
  protected:
    CudaForward() {
        shape_.spec.n_layer = std::min(shape_.spec.n_layer, 2);
        if (shape_.encoding == Encoding::kQ8_0 || shape_.encoding == Encoding::kQ4_0) {
            bound_ = 2e-4;
        }
        if (shape_.encoding != Encoding::kF32) bound_of_floats16_ = 2e-2;
    }
    SpecModelShape shape_ = GetParam().shape();
    double bound_ = 3e-6;
    double bound_of_floats16_ = 3e-6;
};

TEST_P(CudaForward, AgreesWithDouble) {
    const SpecModel model(shape_);
    const auto tokens = test::random_tokens(model.spec(), 35);
    const auto expected = model.reference(tokens);
    const auto expect_close = [&](int32_t n_batch, bool with_floats16, double bound) {
        const auto options = test::device_options(64, 1);
        const auto actual = run(model, options, tokens, n_batch, {}, with_floats16);
        EXPECT_LT(relative_error(expected.hidden, actual.hidden), bound) << n_batch;
        EXPECT_LT(relative_error(expected.logits, actual.logits), bound) << n_batch;
    };
    expect_close(20, false, bound_);
    expect_close(3, true, bound_);
    expect_close(20, true, bound_of_floats16_);
}

class CudaRoundedCache : public CudaForward {};

TEST_P(CudaRoundedCache, IsCloseToDouble) {
    const SpecModel model(shape_);
    const auto tokens = test::random_tokens(model.spec(), 33);
    const auto expected = model.reference(tokens);
    for (const auto& c : test::kRoundedCaches) {
        auto options = test::device_options(64, 1);
        options.kv_type_k = c.keys;
        options.kv_type_v = c.values;
        const auto actual = run(model, options, tokens, 33);
        EXPECT_LT(relative_error(expected.logits, actual.logits), c.bound)
            << "keys " << c.keys << " values " << c.values;
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaForward, testing::ValuesIn(forward_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

std::vector<SpecVariant> cache_variants() {
    std::vector<SpecVariant> variants = test::cache_variants();
    variants.push_back(kWideHeads);
    return variants;
}

INSTANTIATE_TEST_SUITE_P(All, CudaRoundedCache, testing::ValuesIn(cache_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

// Three chunks of attention and more, by every way that they can be cut.
TEST(CudaForwardSplits, DoNotChangeBitsWhenDeterministic) {
    const SpecModel model(small_shape());
    const auto tokens = test::random_tokens(model.spec(), 300);
    auto options = test::device_options(320, 1, PUNA_KV_F16);
    options.deterministic = 1;
    const auto expected = run(model, options, tokens, 300);
    for (const int32_t n_batch : {7, 100}) {
        const auto actual = run(model, options, tokens, n_batch);
        EXPECT_EQ(actual.logits, expected.logits) << n_batch << " rows at a time";
        EXPECT_EQ(actual.hidden, expected.hidden) << n_batch << " rows at a time";
    }
}

TEST(CudaForwardSplits, WindowsHideWhatIsBeforeThem) {
    const SpecModel model(small_shape());
    const auto tokens = test::random_tokens(model.spec(), 300);
    std::vector<int32_t> first;
    for (int32_t i = 0; i < 300; ++i) first.push_back(std::max(0, i - 150 + i % 3));
    const auto expected = model.reference(tokens, first);
    const auto error = [&](int32_t n_batch, bool with_floats16) {
        const auto options = test::device_options(320, 1);
        const auto actual = run(model, options, tokens, n_batch, first, with_floats16);
        return relative_error(expected.logits, actual.logits);
    };
    EXPECT_LT(error(4, true), 2e-4);
    EXPECT_LT(error(300, false), 2e-4);
    EXPECT_LT(error(300, true), 2e-2);  // in bfloat16
}

// At a late position the angles have as many digits as at an early one.
TEST(CudaForwardSplits, LatePositionsAreExact) {
    SpecModelShape shape = small_shape();
    shape.encoding = Encoding::kF32;
    const SpecModel model(shape);
    const DeviceModel device(model);
    // Attention depends on the distance of positions alone.
    const auto tokens = test::random_tokens(model.spec(), 8);
    std::vector<float> logits[2];
    for (const int32_t begin : {0, 100000}) {
        auto options = test::device_options(100032, 8);
        options.n_ctx = 64;
        DeviceExecutor executor(device.weights, options);
        const std::vector<int32_t> first(100032, begin);
        executor.set_batch(tokens, begin, first);
        executor.run_layers();
        logits[begin != 0] = executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
    }
    for (size_t i = 0; i < logits[0].size(); ++i) ASSERT_NEAR(logits[0][i], logits[1][i], 3e-6);
}

// Rows without an output end with the last layer's keys and values: others, and later batches, are the same.
void expect_outputs_of_all(Encoding encoding, bool with_floats16) {
    constexpr int32_t kRows = 70;
    SpecModelShape shape = small_shape();
    make_quantised(shape, encoding);
    shape.spec.head_dim_v = 32;  // the output matrix is quantised too
    const SpecModel model(shape);
    const DeviceModel device(model);
    const auto tokens = test::random_tokens(model.spec(), kRows + 1);
    const std::vector<int32_t> all(tokens.begin(), tokens.end() - 1);
    const auto width = static_cast<ptrdiff_t>(model.spec().n_vocab);
    DeviceExecutor whole(device.weights, test::device_options(96, kRows));
    DeviceExecutor some(device.weights, test::device_options(96, kRows));
    whole.forward.traits.has_floats16 = some.forward.traits.has_floats16 = with_floats16;
    const auto next = [&](DeviceExecutor& executor) {
        executor.set_batch({&tokens.back(), 1}, kRows);
        executor.forward.batch.has_all_outputs = false;
        executor.run_layers();
        return executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
    };
    whole.set_batch(all, 0);
    whole.run_layers();
    const auto expected = whole.run_head(PUNA_ROW_OUTPUT_LOGITS);
    const auto expected_next = next(whole);
    std::vector<int32_t> most;
    for (int32_t i = 0; i < 32; ++i) most.push_back((i * 17 + 3) % kRows);
    for (const auto& rows : {std::vector<int32_t>{kRows - 1}, {}, {7, 0, 39, 12}, most}) {
        some.set_batch(all, 0);
        some.want(rows);
        some.run_layers();
        const auto logits = some.run_head(PUNA_ROW_OUTPUT_LOGITS);
        ASSERT_EQ(logits.size(), rows.size() * static_cast<size_t>(width));
        for (size_t i = 0; i < rows.size(); ++i) {
            const auto from = expected.begin() + rows[i] * width;
            const auto to = logits.begin() + static_cast<ptrdiff_t>(i) * width;
            const double error = relative_error(std::vector<double>(from, from + width),
                                                std::vector<float>(to, to + width));
            EXPECT_LT(error, with_floats16 ? 2e-2 : 2e-4)
                << "row " << rows[i] << " of " << rows.size();
        }
        EXPECT_EQ(next(some), expected_next);
    }
}

TEST(CudaForwardOutputs, OfSomeRowsAreThoseOfAll) {
    for (const bool with_floats16 : {true, false}) {
        expect_outputs_of_all(Encoding::kQ8_0, with_floats16);
        expect_outputs_of_all(Encoding::kF32, with_floats16);
    }
}

// A head of so many columns that multiprocessors would share them: what they count themselves with is set to
// 0 by the first layer.
TEST(CudaForwardHead, NeedsNoLayersBeforeIt) {
    constexpr int32_t kRows = 12;
    SpecModelShape shape = small_shape();
    shape.encoding = Encoding::kF16;
    shape.spec.n_embd = 1152;
    shape.spec.n_vocab = 60;
    const SpecModel model(shape);
    const DeviceModel device(model);
    const auto options = test::device_options(32, kRows);
    const auto tokens = test::random_tokens(model.spec(), kRows);
    DeviceExecutor whole(device.weights, options);
    whole.set_batch(tokens, 0);
    whole.run_layers();
    Weights head = device.weights;
    head.layers.clear();
    DeviceExecutor alone(head, options);
    alone.set_batch(tokens, 0);
    ASSERT_EQ(cudaMemcpy(hidden_rows(alone.forward), hidden_rows(whole.forward),
                         size_t{kRows} * 1152 * sizeof(float), cudaMemcpyDeviceToDevice),
              cudaSuccess);
    whole.forward.n_processors = alone.forward.n_processors = 16;
    const auto logits = whole.run_head(PUNA_ROW_OUTPUT_LOGITS);
    EXPECT_LT(relative_error(std::vector<double>(logits.begin(), logits.end()),
                             alone.run_head(PUNA_ROW_OUTPUT_LOGITS)),
              1e-6);
    // Nor does it take rows from where the last layer would leave some of them.
    alone.want({kRows - 1});
    EXPECT_LT(relative_error(std::vector<double>(logits.end() - 60, logits.end()),
                             alone.run_head(PUNA_ROW_OUTPUT_LOGITS)),
              2e-2);
}

}  // namespace
}  // namespace puna::cuda
