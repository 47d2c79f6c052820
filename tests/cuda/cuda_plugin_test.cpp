// The CUDA backend through the public API: what is its own beside any_gpu_test.cpp, and how it fails.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cuda/cuda_plugin_path.h"
#include "support/gpu_under_test.h"
#include "support/shared_files.h"

namespace puna::test {
namespace {

constexpr char kFailCall[] = "PUNA_EMULATED_GPU_FAIL_CALL";
constexpr char kBytes[] = "PUNA_EMULATED_GPU_BYTES";
constexpr char kDevices[] = "PUNA_EMULATED_GPUS";

GpuPlugin cuda_gpu() {
    return {cuda_plugin(), {}};
}

class CudaModel : public SplitModelOn {
  public:
    explicit CudaModel(int32_t n_gpu_layers, const ModelShape& shape = four_layers())
        : SplitModelOn(cuda_gpu(), n_gpu_layers, shape) {}
};

// What a test that is not about sizes takes.
ModelShape tiny() {
    ModelShape shape = four_layers();
    shape.n_embd = 32;
    shape.n_head = 2;
    shape.n_head_kv = 1;
    shape.n_ff = 48;
    return shape;
}

GpuUnderTest cuda() {
    return {.name = "cuda",
            .plugin = cuda_gpu(),
            .bytes_variable = is_emulated() ? kBytes : nullptr,
            .is_slow = true,
            .shape = tiny(),
            // Prompts are multiplied in bfloat16 but for matrices in F32.
            .bound =
                [](const ModelShape& shape) {
                    return shape.matrix_encoding == Encoding::kF32 ? 1e-4 : 2e-2;
                },
            .caches = {{PUNA_KV_F32, PUNA_KV_F32, 1e-5},
                       {PUNA_KV_F16, PUNA_KV_F16, 1e-3},
                       {PUNA_KV_BF16, PUNA_KV_BF16, 1e-2},
                       {PUNA_KV_Q8_0, PUNA_KV_Q8_0, 1e-2},
                       {PUNA_KV_Q8_0, PUNA_KV_F32, 1e-2}},
            .saved_types = {PUNA_KV_F32, PUNA_KV_Q8_0}};
}

PUNA_TEST_GPU(cuda);

// ---- What is computed --------------------------------------------------------------------------

// As logits_test.cpp does for the CPU.
class CudaDemoLogits : public testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(CudaDemoLogits, AreWithinTheBound) {
    const std::string format = GetParam().first;
    std::ifstream list(project_file("tests/golden/data/demo.json"));
    const auto json = nlohmann::json::parse(list);
    const auto tokens = json.at("tokens").get<std::vector<Token>>();
    const auto n_vocab = json.at("vocab").get<size_t>();
    std::vector<float> golden(tokens.size() * n_vocab);
    std::ifstream file(project_file("tests/golden/data/" + format + ".logits.f32"),
                       std::ios::binary);
    file.read(reinterpret_cast<char*>(golden.data()),
              static_cast<std::streamsize>(golden.size() * sizeof(float)));
    ASSERT_TRUE(file.good());

    const Runtime runtime = make_gpu_runtime(cuda_gpu());
    const Model model(runtime, Source(project_file("examples/demo_model/" + format + ".gguf")),
                      on_gpu(PUNA_GPU_LAYERS_ALL));
    Context context(model, context_options(64, 8));
    Sequence sequence = context.sequence();
    const auto logits = logits_of(sequence, tokens, static_cast<int32_t>(n_vocab));
    const std::vector<double> expected(golden.begin(), golden.end());
    EXPECT_LE(kl_divergence(expected, logits, n_vocab).kl_mean, GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(Formats, CudaDemoLogits,
                         testing::Values(std::pair("demo-f16", 1e-5), std::pair("demo", 3e-4)),
                         [](const auto& test) {
                             std::string name = test.param.first;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

// Long enough that passes of one row are replayed as graphs, and with the widths of attention that they
// were captured for.
TEST(CudaPlugin, LongGenerationsOfSeveralSequencesAreThoseOfTheReference) {
    const CudaModel split(kLayers, tiny());
    constexpr int32_t kTokens = 75;
    std::vector<std::vector<Token>> prompts;
    std::vector<GreedyRun> expected;
    for (const uint64_t seed : {3, 4, 5}) {
        prompts.push_back(random_tokens(kVocab, 5 * seed, seed));
        expected.push_back(reference_greedy(split.reference(), prompts.back(), kTokens));
        ASSERT_GT(expected.back().smallest_gap, 1e-4) << "choose another prompt";
    }
    ContextOptions options = context_options(128, 16);
    options.n_cells = 3 * 128;
    Context context(split.model, options);
    std::vector<Sequence> sequences;
    for (size_t i = 0; i < prompts.size(); ++i) sequences.push_back(context.sequence());
    std::vector<Generation> generations;
    for (size_t i = 0; i < prompts.size(); ++i) {
        generations.push_back(sequences[i].generate(prompts[i], greedy(kTokens)));
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(tell_all(generations[i]).tokens, expected[i].tokens) << i;
    }
}

// ---- What is told ------------------------------------------------------------------------------

TEST(CudaPlugin, SeveralDevicesAreListed) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    const Setting devices(kDevices, 2);
    const Setting bytes(kBytes, 12345678);
    const Runtime runtime = make_gpu_runtime(cuda_gpu());
    const std::vector<puna_device_info> found = runtime.devices();
    ASSERT_EQ(found.size(), 3u);
    for (size_t i = 1; i < found.size(); ++i) {
        EXPECT_EQ(found[i].is_gpu, 1);
        EXPECT_STREQ(found[i].backend, "cuda");
        EXPECT_EQ(std::string(found[i].kernels).substr(0, 3), "sm_");
        EXPECT_EQ(found[i].total_bytes, 12345678u);
        EXPECT_EQ(found[i].free_bytes, 12345678u);
    }
    EXPECT_NE(runtime.report().find("\ncuda: "), std::string::npos) << runtime.report();
}

TEST(CudaPlugin, WithoutADeviceItIsRefusedWithTheReason) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    const Setting devices(kDevices, 0);
    Runtime runtime(scalar_options());
    const auto result = runtime.try_load_backend(cuda_plugin());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().status, PUNA_ERROR_NO_DEVICE);
    EXPECT_NE(result.failure().message.find("no CUDA device: "), std::string::npos)
        << result.failure().message;
    EXPECT_EQ(runtime.devices().size(), 1u);
}

TEST(CudaPluginThreads, ACancelLeavesTheSequenceAsItWas) {
    const std::vector<Token> prompt = prompt_of(200);
    const CudaModel split(kLayers);
    Context context(split.model, context_options(0, 20));
    Sequence sequence = context.sequence();
    const Cancel cancel;
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        cancel.trigger();
    });
    const auto result = sequence.try_evaluate(prompt, {}, PUNA_OUTPUT_DEFAULT, &cancel);
    other.join();
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.failure().status, PUNA_ERROR_CANCELLED);
    EXPECT_EQ(sequence.length(), 0);
    cancel.reset();
    const std::vector<double> expected =
        reference_logits(split.reference(), std::span(prompt).first(4));
    expect_close({expected.end() - kVocab, expected.end()},
                 last_logits(sequence, std::span(prompt).first(4)), 1e-4);
}

// ---- What fails --------------------------------------------------------------------------------

// Whatever call of the CUDA runtime fails, from the load to the last token: a status, and from then on
// the device says no while the other one goes on.
TEST(CudaPlugin, AFaultEndsTheUseOfItsDeviceAlone) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    ModelShape shape = tiny();
    shape.n_layer = 1;
    const AlignedBytes bytes = make_random_model(shape).bytes();
    const Source source{std::as_bytes(std::span(bytes))};
    const std::vector<Token> prompt = prompt_of(5);
    const auto expected = reference_greedy(read_reference(bytes), prompt, 2).tokens;
    const Setting devices(kDevices, 2);
    int n_failures = 0;
    bool is_through = false;
    for (int n = 1; !is_through; n += n_failures < 60 ? 1 : 17) {
        SCOPED_TRACE(n);
        const Runtime runtime = make_gpu_runtime(cuda_gpu());
        ModelOptions options = on_gpu(1);
        options.gpu_device = 2;
        const Model other(runtime, source, options);
        const uint64_t other_free = runtime.devices()[2].free_bytes;
        options.gpu_device = 1;
        std::optional<Setting> fault(std::in_place, kFailCall, n);
        const auto attempt = [&]() -> puna_status {
            const auto model = Model::try_load(runtime, source, options);
            if (!model.ok()) return model.failure().status;
            auto context = Context::try_create(*model, context_options(64, 8));
            if (!context.ok()) return context.failure().status;
            Sequence sequence = context->sequence();
            Generation generation = sequence.generate(prompt, greedy(2));
            Told told;
            for (bool done = false; !done;) {
                const auto event = generation.try_next();
                if (!event.ok()) {
                    fault.reset();  // not needed any more
                    EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_BACKEND);
                    return event.failure().status;
                }
                done = tell(*event, told);
            }
            EXPECT_EQ(told.tokens, expected);
            return PUNA_OK;
        };
        const puna_status status = attempt();
        fault.reset();
        is_through = status == PUNA_OK;
        if (!is_through) {
            ++n_failures;
            ASSERT_EQ(status, PUNA_ERROR_BACKEND);
            const auto refused = Model::try_load(runtime, source, options);
            ASSERT_EQ(status_of(refused), PUNA_ERROR_BACKEND);
            EXPECT_NE(refused.failure().message.find("out of use"), std::string::npos);
        }
        Context context(other, context_options(64, 8));
        Sequence sequence = context.sequence();
        EXPECT_EQ(generate(sequence, prompt, greedy(2)).tokens, expected);
        EXPECT_LT(runtime.devices()[2].free_bytes, other_free);
    }
    EXPECT_GT(n_failures, 20);
}

TEST(CudaPlugin, WhatIsDestroyedGivesItsMemoryBack) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    ModelShape shape = tiny();
    shape.n_layer = 1;
    const CudaModel split(1, shape);
    const uint64_t free_bytes = split.free_bytes();
    for (int i = 0; i < 1000; ++i) {
        const Context context(split.model, context_options(64, 8));
        ASSERT_LT(split.free_bytes(), free_bytes);
    }
    for (int i = 0; i < 1000; ++i) {
        const auto model = Model::try_load(split.runtime, split.source(), on_gpu(1));
        ASSERT_TRUE(model.ok());
    }
    EXPECT_EQ(split.free_bytes(), free_bytes);
}

}  // namespace
}  // namespace puna::test
