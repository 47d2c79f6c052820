// Logits of the golden models against those of the double precision reference, and of the demo
// model against those of the framework that trained it.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/engine_fixture.h"
#include "support/shared_files.h"

namespace puna::test {
namespace {

// Within this of the reference are kernels that multiply in F32.
constexpr double kScalarBound = 1e-6;
// The noise of a mean over 32 rows; see "What is rounded" in docs/kernels.md.
constexpr double kNoise = 1.3;
constexpr double kBf16Noise = 3;
// Of the demo model, whose framework computes in float32, for vector kernels: with F16 weights, with
// those as bf16, and with quantised ones, whose kernels may keep 8 bits of activations.
constexpr double kDemoF16Bound = 1e-5;
constexpr double kDemoBf16Bound = 3e-5;
constexpr double kDemoBound = 3e-4;

// What these types of the KV cache add; kv_types_test.cpp has measured each by itself.
constexpr std::pair<int32_t, double> kRoundedKvTypes[] = {{PUNA_KV_BF16, 8e-6},
                                                          {PUNA_KV_Q8_0, 4e-5}};

struct Golden {
    std::vector<Token> tokens;
    std::vector<double> logits;  // [tokens.size()][n_vocab]
    double bound;                // of the mean KL divergence, for vector kernels
};

struct GoldenFiles {
    std::string model;
    std::string list;
    std::string logits;
};

// All empty: not there. The formats "demo-f16" and "demo" are files of the demo model.
GoldenFiles golden_files(const std::string& format) {
    GoldenFiles files;
    if (format.starts_with("demo")) {
        files = {project_file("examples/demo_model/" + format + ".gguf"),
                 project_file("tests/golden/data/demo.json"),
                 project_file("tests/golden/data/" + format + ".logits.f32")};
    } else {
        files = {shared_file("models/tiny-" + format + ".gguf"), shared_file("golden/tiny.json"),
                 shared_file("golden/tiny-" + format + ".logits.f32")};
    }
    const bool is_there = !files.model.empty() && !files.list.empty() && !files.logits.empty();
    return is_there ? files : GoldenFiles();
}

// Of the mean KL divergence, for vector kernels.
double bound_of(const nlohmann::json& list, const std::string& format, const std::string& kernels) {
    if (format == "demo") return kDemoBound;
    if (format == "demo-f16") return kernels == "amx" ? kDemoBf16Bound : kDemoF16Bound;
    const auto kl_of = [&list](const std::string& name) -> double {
        return list.at("models").at("tiny-" + name + ".gguf").at("llama_cpp").at("kld_mean");
    };
    const bool as_bf16 = kernels == "amx" && (format == "f16" || format == "f32");
    return as_bf16 ? kBf16Noise * kl_of("bf16") : kNoise * kl_of(format);
}

Golden load_golden(const std::string& format, const std::string& kernels) {
    const GoldenFiles files = golden_files(format);
    std::ifstream list(files.list);
    const auto json = nlohmann::json::parse(list);
    Golden golden;
    golden.tokens = json.at("tokens").get<std::vector<Token>>();
    golden.bound = bound_of(json, format, kernels);
    const size_t n_logits = golden.tokens.size() * json.at("vocab").get<size_t>();
    std::vector<float> values(n_logits);
    std::ifstream file(files.logits, std::ios::binary);
    file.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(n_logits * sizeof(float)));
    if (!file) throw std::runtime_error("the golden logits are cut short");
    golden.logits.assign(values.begin(), values.end());
    return golden;
}

class LogitsTest : public testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        const std::string format = GetParam();
        path_ = golden_files(format).model;
        if (path_.empty()) {
            GTEST_SKIP() << "tiny-" << format
                         << ".gguf and its golden logits are not there: set PUNA_SHARED_DIR";
        }
    }
    std::string path_;
};

TEST_P(LogitsTest, AreWithinTheBoundWithEveryKernelSet) {
    for (const std::string& kernels : machine_kernels()) {
        const Engine engine(path_, kernels);
        const Golden golden = load_golden(GetParam(), kernels);
        const auto n_vocab = static_cast<size_t>(engine.n_vocab());
        for (const int32_t n_batch : {1, 5, 32}) {
            for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_F32}) {
                SCOPED_TRACE(testing::Message()
                             << kernels << ", batch " << n_batch << ", kv " << kv_type);
                Context context = engine.context({.n_batch = n_batch, .kv_type = kv_type});
                Sequence sequence = context.sequence();
                const auto logits = logits_of(sequence, golden.tokens, engine.n_vocab());
                const LogitDifference found = kl_divergence(golden.logits, logits, n_vocab);
                EXPECT_LE(found.kl_mean, golden.bound);
                if (kernels == "scalar") {
                    EXPECT_LE(found.kl_mean, kScalarBound);
                }
            }
        }
    }
}

TEST_P(LogitsTest, AreWithinTheBoundWithARoundedCache) {
    for (const std::string& kernels : machine_kernels()) {
        const Engine engine(path_, kernels);
        const Golden golden = load_golden(GetParam(), kernels);
        for (const auto& [kv_type, cost] : kRoundedKvTypes) {
            SCOPED_TRACE(testing::Message() << kernels << ", kv " << kv_type);
            Context context = engine.context({.kv_type = kv_type});
            Sequence sequence = context.sequence();
            const auto logits = logits_of(sequence, golden.tokens, engine.n_vocab());
            const double found =
                kl_divergence(golden.logits, logits, static_cast<size_t>(engine.n_vocab())).kl_mean;
            EXPECT_LE(found, (kernels == "scalar" ? kScalarBound : golden.bound) + cost);
        }
    }
}

TEST_P(LogitsTest, AreTheSameRowByRowThroughAGeneration) {
    const Engine engine(path_);
    const Golden golden = load_golden(GetParam(), "");
    const auto n_vocab = static_cast<size_t>(engine.n_vocab());
    Context whole_context = engine.context({.deterministic = true});
    Sequence whole = whole_context.sequence();
    const auto expected = logits_of(whole, golden.tokens, engine.n_vocab());

    Context context = engine.context({.deterministic = true});
    Sequence sequence = context.sequence();
    GenerationOptions options;
    options.stop_before_sampling = 1;
    options.ignore_end = 1;
    Generation generation = sequence.generate(std::span(golden.tokens).first(1), options);
    std::vector<float> logits;
    for (size_t i = 1; i <= golden.tokens.size(); ++i) {
        const Event event = generation.next();
        ASSERT_EQ(event.kind, PUNA_EVENT_LOGITS);
        ASSERT_EQ(event.logits.size(), n_vocab);
        logits.insert(logits.end(), event.logits.begin(), event.logits.end());
        if (i == golden.tokens.size()) break;
        generation.accept(golden.tokens[i]);
        ASSERT_EQ(generation.next().token, golden.tokens[i]);
    }
    const std::vector<double> reference(expected.begin(), expected.end());
    EXPECT_LT(kl_divergence(reference, logits, n_vocab).relative_error, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Formats, LogitsTest,
                         testing::Values("demo-f16", "demo", "f16", "bf16", "q4_0", "q4_1", "q5_0",
                                         "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
                                         "iq3_s", "iq4_nl", "iq4_xs", "mxfp4", "tq1_0", "tq2_0"),
                         [](const auto& test) {
                             std::string name = test.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

}  // namespace
}  // namespace puna::test
