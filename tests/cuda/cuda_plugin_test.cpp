// The CUDA backend through the public API: whole models and halves of them, what it takes, what it refuses,
// and how it fails.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "cuda/cuda_plugin_path.h"
#include "support/shared_files.h"
#include "support/split_model.h"

namespace puna::test {
namespace {

using std::chrono::microseconds;

constexpr char kFailCall[] = "PUNA_EMULATED_GPU_FAIL_CALL";
constexpr char kBytes[] = "PUNA_EMULATED_GPU_BYTES";
constexpr char kDevices[] = "PUNA_EMULATED_GPUS";

GpuPlugin cuda_gpu() {
    return {cuda_plugin(), {}};
}

// A variable of the emulator for as long as this lives. It looks at each call.
class Setting {
  public:
    Setting(const char* name, uint64_t value) : name_(name) {
        set_environment(name, std::to_string(value));
    }
    ~Setting() { set_environment(name_, ""); }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

  private:
    const char* name_;
};

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

void expect_close(const std::vector<double>& expected, const std::vector<float>& found,
                  double bound = 1e-5) {
    EXPECT_LE(kl_divergence(expected, found, kVocab).relative_error, bound);
}

// ---- What is computed --------------------------------------------------------------------------

// Activations that meet quantised weights are rounded to 8 bits.
double bound_of(const ModelShape& shape) {
    return shape.matrix_encoding == Encoding::kQ8_0 ? 2e-2 : 1e-4;
}

class CudaPluginShapes : public testing::TestWithParam<SplitCase> {};

TEST_P(CudaPluginShapes, EverySplitComputesTheSame) {
    const ModelShape& shape = GetParam().shape;
    const std::vector<Token> prompt = prompt_of(34);
    const ReferenceModel reference = CudaModel(0, shape).reference();
    const std::vector<double> logits = reference_logits(reference, prompt);
    const GreedyRun greedy_run = reference_greedy(reference, prompt, 4);
    const bool is_clear = greedy_run.smallest_gap > 3 * bound_of(shape);
    for (int32_t n_gpu_layers = 0; n_gpu_layers <= kLayers; ++n_gpu_layers) {
        SCOPED_TRACE(n_gpu_layers);
        const CudaModel split(n_gpu_layers, shape);
        EXPECT_EQ(split.model.info().n_gpu_layers, n_gpu_layers);
        Context context(split.model, context_options(0, n_gpu_layers % 2 == 0 ? 7 : 512));
        Sequence sequence = context.sequence();
        expect_close(logits, logits_of(sequence, prompt, kVocab), bound_of(shape));
        Sequence other = context.sequence();
        const auto tokens = generate(other, prompt, greedy(4)).tokens;
        if (is_clear) {
            EXPECT_EQ(tokens, greedy_run.tokens);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, CudaPluginShapes, testing::ValuesIn(split_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

// The same numbers are rounded as on the CPU, but for those on the edge between two.
TEST(CudaPlugin, EveryTypeOfTheCacheAgreesWithTheCpu) {
    const std::vector<Token> prompt = prompt_of(40);
    const CudaModel gpu(kLayers, tiny());
    const CudaModel cpu(0, tiny());
    const struct {
        int32_t keys, values;
        double bound;
    } cases[] = {{PUNA_KV_F32, PUNA_KV_F32, 1e-5},
                 {PUNA_KV_F16, PUNA_KV_F16, 1e-3},
                 {PUNA_KV_BF16, PUNA_KV_BF16, 1e-2},
                 {PUNA_KV_Q8_0, PUNA_KV_Q8_0, 1e-2},
                 {PUNA_KV_Q8_0, PUNA_KV_F32, 1e-2}};
    for (const auto& types : cases) {
        SCOPED_TRACE(testing::Message() << types.keys << " " << types.values);
        ContextOptions options = context_options();
        options.kv_type_k = types.keys;
        options.kv_type_v = types.values;
        Context expected(cpu.model, options);
        Sequence on_cpu = expected.sequence();
        const auto logits = logits_of(on_cpu, prompt, kVocab);
        Context found(gpu.model, options);
        Sequence on_device = found.sequence();
        expect_close({logits.begin(), logits.end()}, logits_of(on_device, prompt, kVocab),
                     types.bound);
    }
}

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

TEST(CudaPlugin, ContextsOfOneModelShareItsWeights) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    const CudaModel split(2, tiny());
    const std::vector<Token> prompt = prompt_of(20);
    const GreedyRun expected = reference_greedy(split.reference(), prompt, 8);
    const uint64_t free_bytes = split.free_bytes();
    Context first(split.model, context_options());
    const uint64_t taken = free_bytes - split.free_bytes();
    Context second(split.model, context_options());
    EXPECT_EQ(free_bytes - split.free_bytes(), 2 * taken);
    Sequence a = first.sequence();
    Sequence b = second.sequence();
    Generation one = a.generate(prompt, greedy(8));
    Generation two = b.generate(prompt, greedy(8));
    Told told_one;
    Told told_two;
    for (bool done = false; !done;) {  // in turns
        done = tell(one.next(), told_one);
        EXPECT_EQ(tell(two.next(), told_two), done);
    }
    EXPECT_EQ(told_one.tokens, expected.tokens);
    EXPECT_EQ(told_two.tokens, expected.tokens);
}

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

TEST(CudaPlugin, ShiftsTheContextOnEveryPart) {
    constexpr size_t kContext = 64;
    const std::vector<Token> prompt = prompt_of(40);
    for (const int32_t n_gpu_layers : {2, kLayers}) {
        SCOPED_TRACE(n_gpu_layers);
        const CudaModel split(n_gpu_layers, tiny());
        const GreedyRun expected =
            reference_greedy_with_shift(split.reference(), prompt, 50, kContext, 3);
        ASSERT_GT(expected.smallest_gap, 1e-3) << "choose another prompt";
        Context context(split.model, context_options(kContext));
        Sequence sequence = context.sequence();
        GenerationOptions options = greedy(50);
        options.when_full = PUNA_FULL_SHIFT;
        options.n_keep = 3;
        EXPECT_EQ(generate(sequence, prompt, options).tokens, expected.tokens);
    }
}

TEST(CudaPlugin, SavedSequencesMoveBetweenDevices) {
    const std::vector<Token> prompt = prompt_of(50);
    const std::vector<Token> more = random_tokens(kVocab, 5, 9);
    for (const int32_t kv_type : {PUNA_KV_F32, PUNA_KV_Q8_0}) {
        ContextOptions options = context_options();
        options.kv_type_k = options.kv_type_v = kv_type;
        const double bound = kv_type == PUNA_KV_F32 ? 1e-5 : 1e-2;
        std::map<int32_t, std::vector<std::byte>> states;
        std::vector<double> expected;
        for (const int32_t n_gpu_layers : {0, 1, kLayers}) {
            const CudaModel split(n_gpu_layers, tiny());
            Context context(split.model, options);
            Sequence sequence = context.sequence();
            sequence.evaluate(prompt);
            states[n_gpu_layers] = sequence.save();
            const std::vector<float> logits = last_logits(sequence, more);
            if (expected.empty()) expected.assign(logits.begin(), logits.end());
        }
        for (const int32_t n_gpu_layers : {0, kLayers}) {
            const CudaModel split(n_gpu_layers, tiny());
            Context context(split.model, options);
            for (const auto& [from, state] : states) {
                SCOPED_TRACE(testing::Message() << from << " to " << n_gpu_layers);
                Sequence sequence = context.sequence();
                sequence.restore(state);
                EXPECT_EQ(sequence.tokens(), prompt);
                EXPECT_EQ(sequence.save(), state);
                expect_close(expected, last_logits(sequence, more), bound);
            }
        }
    }
}

// ---- What is told ------------------------------------------------------------------------------

TEST(CudaPlugin, DevicesAreListed) {
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

TEST(CudaPlugin, TheEstimateIsWhatIsTaken) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    for (const bool tied : {false, true}) {
        ModelShape shape = four_layers();
        shape.tied_output = tied;
        for (const int32_t n_gpu_layers : kSplits) {
            SCOPED_TRACE(testing::Message() << n_gpu_layers << (tied ? " tied" : ""));
            const CudaModel split(0, shape);
            const ContextOptions wanted = context_options(100, 40);
            const puna_memory_estimate estimate =
                Model::estimate(split.runtime, split.source(), on_gpu(n_gpu_layers), wanted);
            EXPECT_EQ(estimate.n_gpu_layers, clamped(n_gpu_layers));
            const uint64_t empty = split.free_bytes();
            const uint64_t host = split.runtime.memory().allocated_bytes;
            const Model model(split.runtime, split.source(), on_gpu(n_gpu_layers));
            const uint64_t loaded = split.free_bytes();
            EXPECT_EQ(empty - loaded, estimate.device_weight_bytes);
            const uint64_t host_loaded = split.runtime.memory().allocated_bytes;
            EXPECT_EQ(host_loaded - host, estimate.host_weight_bytes);
            const Context context(model, wanted);
            EXPECT_EQ(loaded - split.free_bytes(),
                      estimate.device_kv_bytes + estimate.device_scratch_bytes);
            EXPECT_EQ(split.runtime.memory().allocated_bytes - host_loaded,
                      estimate.host_kv_bytes + estimate.host_scratch_bytes);
            EXPECT_EQ(context.info().kv_bytes, estimate.host_kv_bytes + estimate.device_kv_bytes);
        }
    }
}

TEST(CudaPlugin, UploadsReportProgressAndStop) {
    const CudaModel split(0);
    ModelOptions options = on_gpu(kLayers);
    std::vector<float> heard;
    options.on_progress = [&](float fraction) {
        heard.push_back(fraction);
        return true;
    };
    ASSERT_TRUE(Model::try_load(split.runtime, split.source(), options).ok());
    EXPECT_GE(heard.size(), 20u);
    EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
    EXPECT_EQ(heard.back(), 1.0f);

    const uint64_t free_bytes = split.free_bytes();
    options.on_progress = [](float fraction) { return fraction < 0.9f; };
    const auto stopped = Model::try_load(split.runtime, split.source(), options);
    EXPECT_EQ(status_of(stopped), PUNA_ERROR_CALLBACK_STOPPED);
    const Cancel cancel;
    options.cancel = cancel.handle();
    options.on_progress = [&](float fraction) {
        if (fraction >= 0.9f) cancel.trigger();
        return true;
    };
    const auto cancelled = Model::try_load(split.runtime, split.source(), options);
    EXPECT_EQ(status_of(cancelled), PUNA_ERROR_CANCELLED) << cancelled.failure().message;
    EXPECT_EQ(split.free_bytes(), free_bytes);
}

// ---- Budgets -----------------------------------------------------------------------------------

TEST(CudaPlugin, AStepWhoseDeadlineHasPassedRunsOneLayer) {
    const std::vector<Token> prompt = prompt_of(9);
    for (const int32_t n_gpu_layers : {2, kLayers}) {
        const CudaModel split(n_gpu_layers, tiny());
        Context context(split.model, context_options());
        Sequence sequence = context.sequence();
        Generation generation = sequence.generate(prompt, greedy(4));
        Told told;
        uint64_t n_steps = 0;
        while (!tell_queued(generation, told)) {
            const uint64_t before = context.info().n_layers_run;
            context.step(microseconds(1));
            ASSERT_EQ(context.info().n_layers_run - before, 1u);
            ++n_steps;
        }
        EXPECT_EQ(n_steps % (kLayers + 1), 0u);  // the head counts as one
        EXPECT_EQ(told.tokens, reference_greedy(split.reference(), prompt, 4).tokens);
    }
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

// The weights, the cache and the scratch are what there is to take.
TEST(CudaPlugin, MemoryThatDoesNotSufficeIsAStatus) {
    PUNA_SKIP_WITHOUT_EMULATOR();
    const CudaModel roomy(0, tiny());
    const ContextOptions wanted = context_options(64, 8);
    const puna_memory_estimate estimate =
        Model::estimate(roomy.runtime, roomy.source(), on_gpu(kLayers), wanted);
    const uint64_t weights = estimate.device_weight_bytes;
    const std::vector<Token> prompt = prompt_of(30);
    const auto expected = reference_greedy(roomy.reference(), prompt, 4).tokens;

    const Runtime runtime = make_gpu_runtime(cuda_gpu());
    {
        const Setting bytes(kBytes, weights - 1);
        const auto refused = Model::try_load(runtime, roomy.source(), on_gpu(kLayers));
        ASSERT_EQ(status_of(refused), PUNA_ERROR_DEVICE_MEMORY);
        EXPECT_NE(refused.failure().message.find(std::to_string(weights)), std::string::npos);
        EXPECT_NE(refused.failure().message.find(std::to_string(weights - 1) + " are free"),
                  std::string::npos)
            << refused.failure().message;
        EXPECT_TRUE(Model::try_load(runtime, roomy.source(), on_gpu(1)).ok());
        EXPECT_EQ(runtime.devices()[1].free_bytes, weights - 1);
    }
    const uint64_t context_bytes = estimate.device_kv_bytes + estimate.device_scratch_bytes;
    const Setting exact(kBytes, weights + context_bytes);
    const Model model(runtime, roomy.source(), on_gpu(kLayers));
    for (const uint64_t bytes :
         {weights + estimate.device_kv_bytes - 1, weights + context_bytes - 1}) {
        const Setting less(kBytes, bytes);
        EXPECT_EQ(status_of(Context::try_create(model, wanted)), PUNA_ERROR_DEVICE_MEMORY);
        EXPECT_EQ(runtime.devices()[1].free_bytes, bytes - weights);
    }
    const Setting again(kBytes, weights + context_bytes);
    EXPECT_EQ(status_of(Context::try_create(model, context_options(128, 8))),
              PUNA_ERROR_DEVICE_MEMORY);
    Context context(model, wanted);
    EXPECT_EQ(runtime.devices()[1].free_bytes, 0u);
    EXPECT_EQ(status_of(Context::try_create(model, wanted)), PUNA_ERROR_DEVICE_MEMORY);
    Sequence sequence = context.sequence();
    EXPECT_EQ(generate(sequence, prompt, greedy(4)).tokens, expected);
}

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

TEST(CudaPlugin, DevicesMustExist) {
    const CudaModel split(0, tiny());
    ModelOptions options = on_gpu(2);
    options.gpu_device = 1;
    EXPECT_TRUE(Model::try_load(split.runtime, split.source(), options).ok());
    options.gpu_device = 2;
    EXPECT_EQ(status_of(Model::try_load(split.runtime, split.source(), options)),
              PUNA_ERROR_NOT_FOUND);
}

}  // namespace
}  // namespace puna::test
