#include "model/memory_estimate.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/model_source.h"
#include "support/random_model.h"

namespace puna::core {
namespace {

using test::MemorySource;
using test::ModelFile;
using test::ModelShape;

class MemoryEstimateTest : public testing::Test {
  protected:
    std::unique_ptr<LoadedModel> load(const puna_source& source, ModelContents contents,
                                      bool disable_mmap = false) {
        LoadProgress progress;
        LoadOptions options;
        options.contents = contents;
        options.disable_mmap = disable_mmap;
        auto model = load_model({&source, 1}, options, allocator_, progress);
        EXPECT_TRUE(model.ok()) << model.status().text();
        return model.ok() ? std::move(*model) : nullptr;
    }

    Allocator allocator_;
};

ModelFile sample(bool tied) {
    ModelShape shape;  // 64 wide, 2 layers, 4 heads, 2 KV heads, n_ff 160, 320 tokens
    shape.n_layer = 3;
    shape.tied_output = tied;
    shape.matrix_encoding = test::Encoding::kQ8_0;
    return make_random_model(shape);
}

TEST_F(MemoryEstimateTest, CountsWeightsByLayer) {
    MemorySource memory(sample(false));
    const auto model = load(memory.in_place(), ModelContents::kHeaders);
    const WeightMemory weights = weight_memory(*model);
    const uint64_t q8_row = 64 / 32 * 34;
    const uint64_t layer = q8_row * (64 + 32 + 32 + 64 + 160 + 160) +  // q k v output gate up
                           160 / 32 * 34 * 64 +                        // down
                           2 * 64 * 4;                                 // norms
    EXPECT_EQ(weights.layer_bytes, (std::vector<uint64_t>{layer, layer, layer}));
    EXPECT_EQ(weights.embedding_bytes, 320u * 64 * 4);
    EXPECT_EQ(weights.head_bytes, 320u * 64 * 4 + 64 * 4);
    EXPECT_EQ(weights.total_bytes, weights.embedding_bytes + weights.head_bytes + 3 * layer);
    EXPECT_EQ(weights.borrowed_bytes, weights.total_bytes);
    EXPECT_EQ(weights.borrowed_bytes, model->size_bytes);
    EXPECT_EQ(weights.mapped_bytes + weights.allocated_bytes, 0u);
}

TEST_F(MemoryEstimateTest, TiedOutputCountsOnce) {
    MemorySource memory(sample(true));
    const auto model = load(memory.in_place(), ModelContents::kHeaders);
    const WeightMemory weights = weight_memory(*model);
    EXPECT_EQ(weights.head_bytes, 64u * 4);
    EXPECT_EQ(weights.total_bytes, model->size_bytes);
}

// From the header alone, and equal to what a load then takes.
TEST_F(MemoryEstimateTest, EqualsWhatALoadTakes) {
    ModelFile file = sample(false);
    file.add_tensor("output_norm.weight", {64}, std::vector<float>(64, 1), test::Encoding::kF16);
    MemorySource memory(file);
    const auto headers = load(memory.by_callback(), ModelContents::kHeaders);
    EXPECT_EQ(allocator_.peak_bytes(), 0u);
    EXPECT_EQ(headers->tensors.front().data, nullptr);
    const WeightMemory estimate = weight_memory(*headers);
    EXPECT_EQ(estimate.mapped_bytes + estimate.borrowed_bytes, 0u);
    const auto model = load(memory.by_callback(), ModelContents::kWeights);
    EXPECT_EQ(allocator_.live_bytes(), estimate.allocated_bytes);
    EXPECT_EQ(allocator_.peak_bytes(), estimate.allocated_bytes);
}

TEST_F(MemoryEstimateTest, FilesAreMappedOrRead) {
    MemorySource memory(sample(false));
    const test::TemporaryFile file(testing::TempDir() + "puna_estimate.gguf", memory.bytes());
    puna_source source = PUNA_SOURCE_INIT;
    source.path = file.path().c_str();
    const WeightMemory mapped = weight_memory(*load(source, ModelContents::kHeaders));
    EXPECT_EQ(mapped.mapped_bytes, mapped.total_bytes);
    EXPECT_EQ(mapped.allocated_bytes, 0u);
    const WeightMemory read = weight_memory(*load(source, ModelContents::kHeaders, true));
    EXPECT_EQ(read.mapped_bytes, 0u);
    EXPECT_GE(read.allocated_bytes, read.total_bytes);
    EXPECT_LE(read.allocated_bytes, read.total_bytes + 64 * 34);  // padding between tensors
}

// A large model is read only as far as its header goes.
TEST_F(MemoryEstimateTest, ReadsTheHeaderAlone) {
    ModelShape shape;
    shape.n_ff = 30000;
    shape.with_tokenizer = false;
    MemorySource memory(make_random_model(shape));
    load(memory.by_callback(), ModelContents::kHeaders);
    EXPECT_LE(memory.n_bytes_read(), 65536u);
    EXPECT_GT(memory.bytes().size(), 40u << 20);
}

TEST(KvMemory, CountsPagesOfHeads) {
    puna_model_spec spec = {};
    spec.n_head_kv = 4;
    spec.head_dim_k = 64;
    spec.head_dim_v = 32;
    EXPECT_EQ(*kv_memory(spec, 22, 2048, PUNA_KV_DEFAULT, PUNA_KV_F16),
              22u * 2048 * 4 * (64 + 32) * 2);
    EXPECT_EQ(*kv_memory(spec, 1, 1, PUNA_KV_F32, PUNA_KV_BF16), 32u * 4 * (64 * 4 + 32 * 2));
    EXPECT_EQ(*kv_memory(spec, 1, 33, PUNA_KV_Q8_0, PUNA_KV_F16), 64u * 4 * (68 + 64));
    EXPECT_EQ(*kv_memory(spec, 0, 100, PUNA_KV_F16, PUNA_KV_F16), 0u);
    spec.head_dim_k = 65;  // a last block of one element
    spec.head_dim_v = 48;
    EXPECT_EQ(*kv_memory(spec, 1, 32, PUNA_KV_Q8_0, PUNA_KV_Q8_0),
              32u * 4 * ((65 + 3 * 2) + (48 + 2 * 2)));
}

TEST(KvMemory, RefusesWhatCannotBe) {
    puna_model_spec spec = {};
    spec.n_head_kv = 4;
    spec.head_dim_k = 64;
    spec.head_dim_v = 64;
    EXPECT_EQ(kv_memory(spec, 1, 32, 99, 0).status().code(), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(kv_memory(spec, 1, -1, 0, 0).status().code(), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(kv_memory(spec, 1, std::numeric_limits<int64_t>::max(), 0, 0).status().code(),
              PUNA_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace puna::core
