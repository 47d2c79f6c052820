// Backends as plugins: a GPU that only pretends to be one (tests/fake_backend), with layers as slow and as
// faulty as a test wants them; plugins that do not fit are refused.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "support/gpu_under_test.h"
#include "support/temp_folder.h"

namespace puna::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// See fake_backend.cpp; 0 leaves a default.
struct FakeGpu {
    int64_t layer_us = 0;
    int64_t fail_layer = 0;
};

GpuPlugin plugin_of(const FakeGpu& gpu) {
    const auto text = [](int64_t value) {
        return value == 0 ? std::string() : std::to_string(value);
    };
    return {"puna-fake-gpu",
            {{"PUNA_FAKE_GPU_LAYER_US", text(gpu.layer_us)},
             {"PUNA_FAKE_GPU_FAIL_LAYER", text(gpu.fail_layer)}}};
}

class SplitModel : public SplitModelOn {
  public:
    explicit SplitModel(int32_t n_gpu_layers, const FakeGpu& gpu = {})
        : SplitModelOn(plugin_of(gpu), n_gpu_layers, four_layers()) {}
};

GpuUnderTest fake_gpu() {
    return {.name = "fake",
            .plugin = plugin_of({.layer_us = 5}),
            .bytes_variable = "PUNA_FAKE_GPU_BYTES",
            .is_slow = false,
            .shape = four_layers(),
            .bound = [](const ModelShape&) { return 1e-5; },
            .caches = {{PUNA_KV_F32, PUNA_KV_F32, 1e-5}, {PUNA_KV_F16, PUNA_KV_F16, 1e-3}},
            .saved_types = {PUNA_KV_F32}};
}

PUNA_TEST_GPU(fake_gpu);

// ---- What is told ------------------------------------------------------------------------------

// The layer in a tensor's name, or -1.
int32_t layer_of(const std::string& name) {
    return name.rfind("blk.", 0) == 0 ? std::stoi(name.substr(4)) : -1;
}

TEST(BackendPlugin, TensorsAndFormatsNameTheirDevice) {
    for (const int32_t n_gpu_layers : kSplits) {
        SCOPED_TRACE(n_gpu_layers);
        const SplitModel split(n_gpu_layers);
        const int32_t n_gpu = clamped(n_gpu_layers);
        for (int32_t i = 0; i < split.model.n_tensors(); ++i) {
            const puna_tensor_info tensor = split.model.tensor(i);
            const std::string name = tensor.name;
            bool gpu = layer_of(name) >= kLayers - n_gpu;
            if (layer_of(name) < 0)
                gpu = name == "token_embd.weight" ? n_gpu == kLayers : n_gpu > 0;
            EXPECT_EQ(tensor.device, gpu ? 1 : 0) << name;
        }
        std::map<int32_t, int32_t> n_matrices;  // by device
        for (int32_t i = 0; i < split.model.n_formats(); ++i) {
            const puna_format_info format = split.model.format(i);
            n_matrices[format.device] += format.n_tensors;
            EXPECT_STREQ(format.format, "F32");
            EXPECT_STREQ(format.kernels, format.device == 0 ? "scalar" : "fake f32");
            EXPECT_EQ(format.in_place, format.device == 0 ? 1 : 0);
        }
        const int32_t n_cpu = kLayers - n_gpu;
        EXPECT_EQ(n_matrices[0], 7 * n_cpu + (n_cpu > 0) + (n_gpu == 0));
        EXPECT_EQ(n_matrices[1], 7 * n_gpu + (n_gpu > 0) + (n_cpu == 0));
    }
}

// ---- What fails --------------------------------------------------------------------------------

TEST(BackendPlugin, ADeviceFaultLeavesTheSequenceAsItWas) {
    const std::vector<Token> prompt = prompt_of(40);
    const std::vector<Token> more = random_tokens(kVocab, 30, 11);
    for (const int32_t n_gpu_layers : {2, kLayers}) {
        const SplitModel split(n_gpu_layers, {.fail_layer = 3});
        Context context(split.model, context_options(0, 20));  // two batches for each evaluation
        Sequence sequence = context.sequence();
        sequence.evaluate(prompt);
        std::vector<float> logits(kVocab);
        const auto failed = sequence.try_evaluate(more, logits, PUNA_OUTPUT_LOGITS_LAST);
        ASSERT_FALSE(failed.ok());
        EXPECT_EQ(failed.failure().status, PUNA_ERROR_BACKEND);
        EXPECT_NE(failed.failure().message.find("fake gpu"), std::string::npos);
        EXPECT_EQ(sequence.tokens(), prompt);

        std::vector<Token> all = prompt;
        all.insert(all.end(), more.begin(), more.end());
        const auto expected = reference_logits(split.reference(), all);
        expect_close({expected.end() - kVocab, expected.end()}, last_logits(sequence, more));
    }
}

TEST(BackendPlugin, ADeviceFaultInAGenerationCanBeTriedAgain) {
    const std::vector<Token> prompt = prompt_of(10);
    const SplitModel split(2, {.fail_layer = 6});
    Context context(split.model, context_options());
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt, greedy(16));
    Told told;
    int n_failures = 0;
    for (bool done = false; !done;) {
        const auto event = generation.try_next();
        if (event.ok()) {
            done = tell(*event, told);
        } else {
            ASSERT_EQ(event.failure().status, PUNA_ERROR_BACKEND);
            ++n_failures;
        }
    }
    EXPECT_EQ(n_failures, 1);
    EXPECT_EQ(told.tokens, reference_greedy(split.reference(), prompt, 16).tokens);
}

// ---- Budgets -----------------------------------------------------------------------------------

TEST(BackendPlugin, StepsEndAtMostOneLayerBehindTheirBudget) {
    constexpr int64_t kLayerUs = 700;
    constexpr int64_t kBudgetUs = 2000;
    const std::vector<Token> prompt = prompt_of(60);
    const SplitModel split(kLayers, {.layer_us = kLayerUs});
    Context context(split.model, context_options());
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt, greedy(6));
    Told told;
    uint64_t most = 0;
    while (!tell_queued(generation, told)) {
        const uint64_t before = context.info().n_layers_run;
        context.step(microseconds(kBudgetUs));
        most = std::max(most, context.info().n_layers_run - before);
    }
    // A layer takes its time at least, so this many begin before the deadline and no more.
    EXPECT_LE(most, static_cast<uint64_t>(kBudgetUs / kLayerUs + 1));
    EXPECT_GT(most, 0u);
    EXPECT_EQ(told.tokens, reference_greedy(split.reference(), prompt, 6).tokens);
}

TEST(BackendPlugin, BatchesShrinkToOneRowWhenLayersAreSlow) {
    const SplitModel split(kLayers, {.layer_us = 600});
    Context context(split.model, context_options());
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_of(80), greedy(1));
    std::vector<uint64_t> batches;
    Told told;
    while (!tell_queued(generation, told)) {
        const uint64_t before = context.info().n_rows_run;
        context.step(microseconds(300));
        const uint64_t n_rows = context.info().n_rows_run - before;
        if (n_rows > 0) batches.push_back(n_rows);
    }
    ASSERT_GE(batches.size(), 2u);
    EXPECT_GT(batches.front(), 1u);
    EXPECT_EQ(batches.back(), 1u);
    EXPECT_TRUE(std::is_sorted(batches.rbegin(), batches.rend()));
}

TEST(BackendPluginThreads, ACancelIsServedWithinOneLayer) {
    constexpr int64_t kLayerUs = 5000;
    const std::vector<Token> prompt = prompt_of(200);
    for (const int32_t n_gpu_layers : {1, kLayers}) {
        const SplitModel split(n_gpu_layers, {.layer_us = kLayerUs});
        Context context(split.model, context_options(0, 4));  // 50 batches
        Sequence sequence = context.sequence();
        const Cancel cancel;
        Clock::time_point triggered;
        const Clock::time_point begin = Clock::now();
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(12));
            cancel.trigger();
            triggered = Clock::now();
        });
        const auto result = sequence.try_evaluate(prompt, {}, PUNA_OUTPUT_DEFAULT, &cancel);
        other.join();
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.failure().status, PUNA_ERROR_CANCELLED);
        EXPECT_EQ(sequence.length(), 0);
        if (n_gpu_layers == kLayers) {
            // So many layers can have ended before the trigger; one was under way.
            const auto before = std::chrono::duration_cast<microseconds>(triggered - begin).count();
            EXPECT_LE(context.info().n_layers_run, static_cast<uint64_t>(before / kLayerUs + 1));
        }
        cancel.reset();
        sequence.evaluate(std::span(prompt).first(4));
        EXPECT_EQ(sequence.length(), 4);
    }
}

// ---- What is refused ---------------------------------------------------------------------------

TEST(BackendPluginRefusal, NamesTheFileAndTheReason) {
    const core::test::TempFolder folder;
    const std::string text_file = folder.write("text.plugin", "this is no library");
    const struct {
        std::string path;
        puna_status status;
        const char* reason;
    } cases[] = {
        {folder.path("missing.plugin"), PUNA_ERROR_IO, "cannot load"},
        {text_file, PUNA_ERROR_IO, "cannot load"},
        {plugin_path("no_entry"), PUNA_ERROR_BACKEND_VERSION, "puna_backend_entry"},
        {plugin_path("null_table"), PUNA_ERROR_BACKEND_VERSION, "does not serve"},
        {plugin_path("wrong_version"), PUNA_ERROR_BACKEND_VERSION, "built for backend interface"},
        {plugin_path("short_table"), PUNA_ERROR_BACKEND_VERSION, "lacks functions"},
        {plugin_path("incomplete_table"), PUNA_ERROR_BACKEND_VERSION, "lacks functions"},
    };
    Runtime runtime(scalar_options());
    const std::string report = runtime.report();
    for (const auto& test : cases) {
        const auto result = runtime.try_load_backend(test.path);
        ASSERT_FALSE(result.ok()) << test.path;
        const std::string& message = result.failure().message;
        EXPECT_EQ(result.failure().status, test.status) << message;
        EXPECT_NE(message.find(test.path), std::string::npos) << message;
        EXPECT_NE(message.find(test.reason), std::string::npos) << message;
    }
    EXPECT_EQ(runtime.devices().size(), 1u);
    EXPECT_EQ(runtime.report(), report);
    EXPECT_TRUE(runtime.try_load_backend(plugin_path("puna-fake-gpu")).ok());
}

TEST(BackendPluginRefusal, LayersOnAGpuNeedAGpu) {
    const SplitModel split(0);
    for (const bool search : {false, true}) {
        const Runtime runtime(scalar_options(search));
        const auto result = Model::try_load(runtime, split.source(), on_gpu(1));
        EXPECT_EQ(status_of(result), PUNA_ERROR_NO_DEVICE);
        const char* reason = search ? "cuda: " : "no plugin is loaded";
        EXPECT_NE(result.failure().message.find(reason), std::string::npos)
            << result.failure().message;
        EXPECT_EQ(runtime.report().find("\ncuda: ") != std::string::npos, search);
        EXPECT_EQ(status_of(Model::try_estimate(runtime, split.source(), on_gpu(-1))),
                  PUNA_ERROR_NO_DEVICE);
    }
}

TEST(BackendPluginRefusal, CachesMustFitTheDevice) {
    const SplitModel split(0);
    ContextOptions bf16 = context_options();  // the fake GPU has no such cache
    bf16.kv_type_v = PUNA_KV_BF16;
    for (const int32_t n_gpu_layers : {1, kLayers}) {
        const SplitModel on_device(n_gpu_layers);
        const auto refused = Context::try_create(on_device.model, bf16);
        EXPECT_EQ(status_of(refused), PUNA_ERROR_UNSUPPORTED);
        EXPECT_NE(refused.failure().message.find("kv_type_v"), std::string::npos);
        const auto estimate =
            Model::try_estimate(split.runtime, split.source(), on_gpu(n_gpu_layers), bf16);
        EXPECT_EQ(status_of(estimate), PUNA_ERROR_UNSUPPORTED);
    }
}

}  // namespace
}  // namespace puna::test
