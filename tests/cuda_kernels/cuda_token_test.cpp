// A pass as one kernel gives the bits of a pass as many.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "cuda_kernels/device_model.h"
#include "cuda_kernels/linear_operands.h"
#include "support/spec_variants.h"

namespace puna::cuda {
namespace {

using core::BlockFormat;
using test::DeviceArray;
using test::DeviceExecutor;
using test::DeviceModel;
using test::SpecModel;
using test::SpecModelShape;
using test::SpecVariant;
using test::TestMatrix;

// Two executors of one model: one runs passes layer by layer, the other as one kernel.
class TokenPasses {
  public:
    TokenPasses(const Weights& weights, int32_t n_cells, int32_t kv_type)
        : apart_(weights, test::device_options(n_cells, kPromptRows, kv_type)),
          together_(weights, test::device_options(n_cells, kPromptRows, kv_type)) {
        together_.forward.n_processors = 2;
    }

    // That much shared memory for each multiprocessor: rings are small.
    void set_shared_bytes(int32_t n_bytes) {
        together_.forward.traits.processor_shared_bytes = n_bytes;
    }
    // The same for both.
    void read_prompt(std::span<const int32_t> tokens) {
        const auto n = static_cast<int32_t>(tokens.size());
        for (int32_t begin = 0; begin < n; begin += kPromptRows) {
            const auto count = static_cast<size_t>(std::min(kPromptRows, n - begin));
            for (DeviceExecutor* executor : {&apart_, &together_}) {
                executor->set_batch(tokens.subspan(static_cast<size_t>(begin), count), begin);
                executor->run_layers();
            }
        }
    }
    void expect_equal(int32_t token, int32_t position, int32_t first = 0) {
        puna_batch_row row = {};
        row.token = token;
        row.position = position;
        row.first = first;
        apart_.set_rows({row});
        apart_.run_layers();
        together_.set_rows({row});
        together_.run_together(true);
        EXPECT_EQ(together_.run_head(PUNA_ROW_OUTPUT_HIDDEN),
                  apart_.run_head(PUNA_ROW_OUTPUT_HIDDEN))
            << position;
        EXPECT_EQ(together_.scratch_logits(1), apart_.run_head(PUNA_ROW_OUTPUT_LOGITS)) << position;
    }

  private:
    static constexpr int32_t kPromptRows = 40;

    DeviceExecutor apart_;
    DeviceExecutor together_;
};

void expect_equal_passes(const Weights& weights, int32_t kv_type) {
    TokenPasses passes(weights, 32, kv_type);
    const auto tokens = test::random_tokens(weights.spec, 4);
    for (size_t i = 0; i < tokens.size(); ++i) {
        passes.expect_equal(tokens[i], static_cast<int32_t>(i));
    }
}

class CudaTokenPass : public testing::TestWithParam<SpecVariant> {};

TEST_P(CudaTokenPass, GivesTheBitsOfManyKernels) {
    SpecModelShape shape = GetParam().shape();
    shape.spec.head_dim_k = 24;
    shape.spec.head_dim_v = 16;
    const SpecModel model(shape);
    const DeviceModel device(model);
    for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_Q8_0}) {
        expect_equal_passes(device.weights, kv_type);
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaTokenPass, testing::ValuesIn(test::spec_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

// Chunks of positions of one block each, and windows that begin within one.
TEST(CudaTokenPass, AttendsToManyPositions) {
    SpecModelShape shape = test::small_shape();
    shape.spec.head_dim_k = shape.spec.head_dim_v = 16;
    for (const int32_t n_head : {3, 1, 11}) {
        shape.spec.n_head = n_head;
        const SpecModel model(shape);
        const DeviceModel device(model);
        const auto tokens = test::random_tokens(model.spec(), 400);
        for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_Q8_0}) {
            TokenPasses passes(device.weights, 416, kv_type);
            passes.read_prompt(tokens);
            passes.expect_equal(tokens[0], 400);
            passes.expect_equal(tokens[1], 401, 130);
        }
    }
}

// One layer of random matrices, whose rows come in several chunks and are no multiples of 16 bytes in some
// formats. `others`: of V and of the output, as in files of mixed formats.
class RandomWeights {
  public:
    RandomWeights(BlockFormat format, BlockFormat others) {
        weights.spec = test::small_spec();
        weights.spec.n_layer = 1;
        weights.spec.n_embd = kEmbd;
        weights.spec.n_ff = kFf;
        weights.spec.n_head = 16;
        weights.spec.n_head_kv = 2;
        weights.spec.head_dim_k = weights.spec.head_dim_v = 16;
        weights.spec.n_vocab = 301;
        weights.spec.rope = PUNA_ROPE_NONE;
        weights.has_embedding = weights.has_head = true;
        weights.token_embd = add(BlockFormat::kF16, weights.spec.n_vocab, kEmbd);
        weights.output = add(others, weights.spec.n_vocab, kEmbd);
        weights.output_norm = norm_.get();
        LayerWeights layer;
        layer.attn_norm = layer.ffn_norm = norm_.get();
        layer.q = add(format, kEmbd, kEmbd);
        layer.k = add(format, 32, kEmbd);
        layer.v = add(others, 32, kEmbd);
        layer.attn_output = add(format, kEmbd, kEmbd);
        layer.gate = add(format, kFf, kEmbd);
        layer.up = add(format, kFf, kEmbd);
        layer.down = add(others, kEmbd, kFf);
        weights.layers.push_back(layer);
    }

    Weights weights;

  private:
    static constexpr int32_t kEmbd = 256;
    static constexpr int32_t kFf = 2304;

    Matrix add(BlockFormat format, int64_t rows, int64_t columns) {
        matrices_.emplace_back(format, rows, columns, 17 + matrices_.size());
        return matrices_.back().matrix;
    }

    std::deque<TestMatrix> matrices_;
    DeviceArray<float> norm_{std::vector<float>(kEmbd, 0.5f)};
};

// What a kernel may ask for is one for all contexts of a device.
TEST(CudaTokenPass, ContextsOfOtherShapesStayPossible) {
    const RandomWeights wide(BlockFormat::kQ8_0, BlockFormat::kQ6_K);
    TokenPasses first(wide.weights, 32, PUNA_KV_F16);
    first.expect_equal(1, 0);
    expect_equal_passes(RandomWeights(BlockFormat::kF16, BlockFormat::kF16).weights, PUNA_KV_F16);
    first.expect_equal(2, 1);
}

TEST(CudaTokenPass, HasFormats) {
    for (const BlockFormat format : test::all_formats()) {
        const RandomWeights random(format, BlockFormat::kQ6_K);
        KvCache cache;
        cache.keys.type = cache.values.type = PUNA_KV_F16;
        if (!has_token_pass(random.weights, cache)) continue;
        SCOPED_TRACE(static_cast<int>(format));
        expect_equal_passes(random.weights, PUNA_KV_F16);
    }
}

// Rings that hold one or two entries, and rows that come in several: after some tasks entries begin anywhere.
TEST(CudaTokenPass, HasSmallRings) {
    for (const BlockFormat format : {BlockFormat::kQ8_0, BlockFormat::kQ4_K, BlockFormat::kQ3_K,
                                     BlockFormat::kF16, BlockFormat::kF32}) {
        const RandomWeights random(format, format);
        for (const int32_t n_bytes : {130 << 10, 140 << 10, 156 << 10}) {
            SCOPED_TRACE(testing::Message() << static_cast<int>(format) << " " << n_bytes);
            TokenPasses passes(random.weights, 32, PUNA_KV_F16);
            passes.set_shared_bytes(n_bytes);
            passes.expect_equal(1, 0);
        }
    }
}

}  // namespace
}  // namespace puna::cuda
