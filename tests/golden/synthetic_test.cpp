// puna_synthetic_model_write: from options to a model that runs.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "puna/puna.hpp"
#include "support/temp_folder.h"

namespace puna {
namespace {

using core::test::TempFolder;

SyntheticModelOptions small_options(const char* type) {
    SyntheticModelOptions options;
    options.n_embd = 64;
    options.n_layer = 2;
    options.n_head = 4;
    options.n_ff = 96;
    options.n_vocab = 280;
    options.seed = 3;
    options.type = type;
    return options;
}

size_t n_files(const TempFolder& folder) {
    const auto path = std::filesystem::path(folder.path());
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
}

// The callables of sources belong to the caller again when a load has failed.
TEST(SourcesApi, NoneIsKeptByALoadThatFails) {
    const Runtime runtime;
    for (const size_t n : {size_t{1}, size_t{PUNA_MAX_SOURCES}, size_t{PUNA_MAX_SOURCES} + 1}) {
        const auto token = std::make_shared<int>();
        const auto read = [token](std::uint64_t, std::span<std::byte>) { return false; };
        {
            const std::vector<Source> sources(n, Source(1000, read));
            const auto model = Model::try_load(runtime, sources);
            ASSERT_FALSE(model.ok());
            EXPECT_EQ(model.failure().status,
                      n > PUNA_MAX_SOURCES ? PUNA_ERROR_ARGUMENT : PUNA_ERROR_CALLBACK_STOPPED);
        }
        EXPECT_EQ(token.use_count(), 2) << n;  // this one and that in `read`
    }
}

TEST(SyntheticModelApi, DefaultsAndText) {
    const TempFolder folder;
    const std::string path = folder.path("m.gguf");
    EXPECT_EQ(write_synthetic_model(small_options("q4_0"), path), 1);
    const Model model{Source(path)};
    const puna_model_info info = model.info();
    EXPECT_EQ(info.n_head_kv, 4);
    EXPECT_EQ(info.head_dim_k, 16);
    EXPECT_EQ(info.n_ctx_train, 2048);
    EXPECT_EQ(info.n_vocab, 280);
    Context context(model, {});
    Sequence sequence = context.sequence();
    std::vector<float> logits(280);
    sequence.evaluate(model.tokenize("a story"), logits, PUNA_OUTPUT_LOGITS_LAST);
    // As a trained model's: neither all the same nor far apart.
    double mean = 0, squares = 0;
    for (const float logit : logits) mean += logit / 280.0;
    for (const float logit : logits) squares += (logit - mean) * (logit - mean) / 280.0;
    EXPECT_GT(squares, 0.25);
    EXPECT_LT(squares, 4.0);
}

TEST(SyntheticModelApi, RefusesByName) {
    const TempFolder folder;
    const std::string path = folder.path("m.gguf");
    const auto message = [&](const SyntheticModelOptions& options) {
        const auto result = try_write_synthetic_model(options, path);
        EXPECT_FALSE(result.ok());
        return result.ok() ? std::string() : std::string(result.failure().message);
    };
    auto options = small_options(nullptr);
    EXPECT_NE(message(options).find("type"), std::string::npos);
    options = small_options("q4_0");
    options.n_head_kv = -1;
    EXPECT_NE(message(options).find("n_head_kv"), std::string::npos);
    options = small_options("q4_0");
    options.reserved = &options;
    EXPECT_NE(message(options).find("reserved"), std::string::npos);
    EXPECT_EQ(puna_synthetic_model_write(nullptr, "x", 1, nullptr, nullptr), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(puna_synthetic_model_write(&options, nullptr, 1, nullptr, nullptr),
              PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(n_files(folder), 0u);
}

TEST(SyntheticModelApi, CancelAndCallbackStopIt) {
    const TempFolder folder;
    auto options = small_options("f32");
    const Cancel cancel;
    options.cancel = cancel.handle();
    options.on_progress = [&](float fraction) {
        if (fraction > 0.3f) cancel.trigger();
        return true;
    };
    auto result = try_write_synthetic_model(options, folder.path("m.gguf"));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().status, PUNA_ERROR_CANCELLED);
    cancel.reset();
    options.on_progress = [](float fraction) { return fraction < 0.3f; };
    result = try_write_synthetic_model(options, folder.path("m.gguf"));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().status, PUNA_ERROR_CALLBACK_STOPPED);
    EXPECT_EQ(n_files(folder), 0u);
}

TEST(SyntheticModelApi, SeedZeroIsRandom) {
    const TempFolder folder;
    auto options = small_options("q8_0");
    options.seed = 0;
    write_synthetic_model(options, folder.path("a.gguf"));
    write_synthetic_model(options, folder.path("b.gguf"));
    const auto logits_of = [&](const char* name) {
        const Model model{Source(folder.path(name))};
        Context context(model, {});
        Sequence sequence = context.sequence();
        std::vector<float> logits(280);
        sequence.evaluate(std::vector<Token>{1, 5}, logits, PUNA_OUTPUT_LOGITS_LAST);
        return logits;
    };
    EXPECT_NE(logits_of("a.gguf"), logits_of("b.gguf"));
}

}  // namespace
}  // namespace puna
