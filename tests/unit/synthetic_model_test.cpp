#include "model/synthetic_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "model/model_loader.h"
#include "support/temp_folder.h"

namespace puna::core {
namespace {

using test::TempFolder;

SyntheticModel small_model(const std::string& type) {
    SyntheticModel model;
    model.n_embd = 256;
    model.n_layer = 3;
    model.n_head = 8;
    model.n_head_kv = 2;
    model.head_dim = 32;
    model.n_ff = 512;
    model.n_vocab = 300;
    model.n_ctx_train = 128;
    model.type = type;
    model.seed = 5;
    return model;
}

class SyntheticModelTest : public testing::Test {
  protected:
    Result<uint32_t> write(const SyntheticModel& model, const std::string& name) {
        LoadProgress progress;
        return write_synthetic_model(model, folder_.path(name), progress);
    }
    std::unique_ptr<LoadedModel> load(const std::string& name, const LoadOptions& options = {}) {
        const std::string path = folder_.path(name);
        puna_source source = PUNA_SOURCE_INIT;
        source.path = path.c_str();
        LoadProgress progress;
        auto model = load_model({&source, 1}, options, allocator_, progress);
        if (model.ok()) return std::move(*model);
        ADD_FAILURE() << model.status().text();
        return nullptr;
    }
    std::string bytes(const std::string& name) const {
        std::ifstream file(folder_.path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    size_t n_files() const {
        return static_cast<size_t>(
            std::distance(std::filesystem::directory_iterator(folder_.path()),
                          std::filesystem::directory_iterator()));
    }

    TempFolder folder_;
    Allocator allocator_;
};

double deviation_of(const puna_tensor& tensor) {
    const auto format = static_cast<BlockFormat>(tensor.format);
    std::vector<float> row(static_cast<size_t>(tensor.columns));
    double squares = 0;
    const auto* bytes = static_cast<const std::byte*>(tensor.data);
    const uint64_t row_bytes = *block_format_bytes(format, row.size());
    for (int64_t i = 0; i < tensor.rows; ++i, bytes += row_bytes) {
        EXPECT_TRUE(dequantize_row(format, bytes, row.data(), tensor.columns).ok());
        for (const float value : row) squares += static_cast<double>(value) * value;
    }
    return std::sqrt(squares / static_cast<double>(tensor.rows * tensor.columns));
}

TEST_F(SyntheticModelTest, EveryTypeLoadsWithActivationsNearOne) {
    for (const char* type : {"f32", "f16", "bf16", "q2_k", "q3_k_m", "q4_0", "q4_k_m", "q5_k_s",
                             "q6_k", "q8_0", "iq4_xs", "mxfp4", "tq2_0", "iq2_s"}) {
        ASSERT_TRUE(write(small_model(type), "m.gguf").ok()) << type;
        const auto model = load("m.gguf");
        ASSERT_NE(model, nullptr) << type;
        EXPECT_EQ(model->hyper.n_head_kv, 2);
        EXPECT_EQ(model->hyper.head_dim_k, 32);
        EXPECT_EQ(model->hyper.n_ctx_train, 128);
        const double layers = std::sqrt(2.0 * 3);
        for (const puna_tensor& tensor : model->tensors) {
            if (tensor.rows == 1) continue;  // norms
            double expected = 1 / std::sqrt(static_cast<double>(tensor.columns));
            if (tensor.role == PUNA_TENSOR_TOKEN_EMBD) expected = 1;
            if (tensor.role == PUNA_TENSOR_ATTN_OUTPUT || tensor.role == PUNA_TENSOR_FFN_DOWN) {
                expected /= layers;
            }
            EXPECT_NEAR(deviation_of(tensor), expected, 0.1 * expected) << type << tensor.name;
        }
    }
}

TEST_F(SyntheticModelTest, TheSeedDecides) {
    ASSERT_TRUE(write(small_model("q4_k_m"), "a.gguf").ok());
    ASSERT_TRUE(write(small_model("q4_k_m"), "b.gguf").ok());
    EXPECT_EQ(bytes("a.gguf"), bytes("b.gguf"));
    SyntheticModel other = small_model("q4_k_m");
    other.seed = 6;
    ASSERT_TRUE(write(other, "b.gguf").ok());
    EXPECT_NE(bytes("a.gguf"), bytes("b.gguf"));
}

TEST_F(SyntheticModelTest, AnyPartFindsTheOthers) {
    ASSERT_TRUE(write(small_model("q8_0"), "whole.gguf").ok());
    SyntheticModel split = small_model("q8_0");
    split.part_bytes = 300000;
    const auto n = write(split, "m.gguf");
    ASSERT_TRUE(n.ok()) << n.status().text();
    ASSERT_GT(*n, 2u);
    const auto whole = load("whole.gguf");
    ASSERT_NE(whole, nullptr);
    for (uint32_t part = 1; part <= *n; ++part) {
        char name[40];
        std::snprintf(name, sizeof name, "m-%05u-of-%05u.gguf", part, static_cast<unsigned>(*n));
        for (const bool disable_mmap : {false, true}) {
            const auto model = load(name, {ModelContents::kWeights, disable_mmap});
            ASSERT_NE(model, nullptr) << name;
            ASSERT_EQ(model->tensors.size(), whole->tensors.size());
            for (size_t i = 0; i < whole->tensors.size(); ++i) {
                const puna_tensor& a = whole->tensors[i];
                const puna_tensor& b = model->tensors[i];
                ASSERT_EQ(a.size_bytes, b.size_bytes);
                ASSERT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.size_bytes)), 0);
            }
        }
        const auto vocabulary = load(name, {ModelContents::kVocabulary, false});
        ASSERT_NE(vocabulary, nullptr);
        EXPECT_TRUE(vocabulary->metadata().has("tokenizer.ggml.tokens")) << name;
    }
}

TEST_F(SyntheticModelTest, AMissingPartIsNamed) {
    SyntheticModel split = small_model("q8_0");
    split.part_bytes = 600000;
    ASSERT_EQ(*write(split, "m.gguf"), 4u);
    std::filesystem::remove(folder_.path("m-00003-of-00004.gguf"));
    const std::string path = folder_.path("m-00001-of-00004.gguf");
    puna_source source = PUNA_SOURCE_INIT;
    source.path = path.c_str();
    LoadProgress progress;
    const auto model = load_model({&source, 1}, {}, allocator_, progress);
    EXPECT_EQ(model.status().code(), PUNA_ERROR_IO);
    EXPECT_NE(std::string(model.status().text()).find("m-00003-of-00004.gguf"), std::string::npos);
}

TEST_F(SyntheticModelTest, CopiesAVocabulary) {
    ASSERT_TRUE(write(small_model("q8_0"), "a.gguf").ok());
    SyntheticModel model = small_model("q4_0");
    model.vocabulary_path = folder_.path("a.gguf");
    model.n_vocab = 0;
    ASSERT_TRUE(write(model, "b.gguf").ok());
    const auto a = load("a.gguf");
    const auto b = load("b.gguf");
    ASSERT_TRUE(a && b);
    EXPECT_EQ(b->hyper.n_vocab, 300);
    for (const GgufEntry& entry : a->metadata().entries()) {
        if (!entry.key.starts_with("tokenizer.")) continue;
        const GgufEntry* copy = b->metadata().find(entry.key);
        ASSERT_NE(copy, nullptr) << entry.key;
        EXPECT_EQ(copy->type, entry.type);
        EXPECT_TRUE(std::equal(copy->bytes.begin(), copy->bytes.end(), entry.bytes.begin(),
                               entry.bytes.end()));
    }
    model.n_vocab = 301;
    const auto other = write(model, "c.gguf");
    EXPECT_EQ(other.status().code(), PUNA_ERROR_ARGUMENT);
    EXPECT_NE(std::string(other.status().text()).find("n_vocab"), std::string::npos);
    model.vocabulary_path = folder_.path("no.gguf");
    EXPECT_EQ(write(model, "c.gguf").status().code(), PUNA_ERROR_IO);
}

TEST_F(SyntheticModelTest, OddShapesLoad) {
    const std::function<void(SyntheticModel&)> changes[] = {
        [](SyntheticModel& m) { m.tied_output = true; },
        [](SyntheticModel& m) { m.n_vocab = 5; },
        [](SyntheticModel& m) { m.n_embd = 100; },
        [](SyntheticModel& m) { m.n_ff = 1; },
        [](SyntheticModel& m) { m.n_head = m.n_head_kv = 1; },
        [](SyntheticModel& m) { m.head_dim = 2; },
        [](SyntheticModel& m) { m.n_embd = 288; },
    };
    for (const char* type : {"q4_k_m", "q2_k", "iq3_xxs", "q8_0"}) {
        for (const auto& change : changes) {
            SyntheticModel model = small_model(type);
            change(model);
            const auto n = write(model, "m.gguf");
            ASSERT_TRUE(n.ok()) << n.status().text();
            const auto loaded = load("m.gguf");
            ASSERT_NE(loaded, nullptr) << type;
            EXPECT_EQ(loaded->tied_output, model.tied_output);
        }
    }
}

TEST_F(SyntheticModelTest, RefusesShapesByName) {
    struct Case {
        const char* name;
        std::function<void(SyntheticModel&)> change;
    };
    const Case cases[] = {
        {"n_embd", [](SyntheticModel& m) { m.n_embd = 0; }},
        {"n_layer", [](SyntheticModel& m) { m.n_layer = 5000; }},
        {"n_head_kv", [](SyntheticModel& m) { m.n_head_kv = 3; }},
        {"head_dim", [](SyntheticModel& m) { m.head_dim = 33; }},
        {"n_vocab", [](SyntheticModel& m) { m.n_vocab = 0; }},
        {"type", [](SyntheticModel& m) { m.type = "q9"; }},
    };
    for (const Case& wrong : cases) {
        SyntheticModel model = small_model("q8_0");
        wrong.change(model);
        const auto n = write(model, "m.gguf");
        EXPECT_EQ(n.status().code(), PUNA_ERROR_ARGUMENT) << wrong.name;
        EXPECT_NE(std::string(n.status().text()).find(wrong.name), std::string::npos)
            << n.status().text();
    }
    EXPECT_EQ(n_files(), 0u);
}

TEST_F(SyntheticModelTest, StoppedWritingLeavesNothing) {
    const auto stop = [](float fraction, void*) -> int32_t { return fraction > 0.5f; };
    LoadProgress progress(stop, nullptr, nullptr, nullptr, "the writing");
    const auto n = write_synthetic_model(small_model("q8_0"), folder_.path("m.gguf"), progress);
    EXPECT_EQ(n.status().code(), PUNA_ERROR_CALLBACK_STOPPED);
    EXPECT_NE(std::string(n.status().text()).find("the writing"), std::string::npos);
    EXPECT_EQ(n_files(), 0u);
}

}  // namespace
}  // namespace puna::core
