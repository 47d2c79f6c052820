// Backends as plugins: a GPU that only pretends to be one (tests/fake_backend) runs whole models
// and halves of them; plugins that do not fit are refused.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "support/split_model.h"
#include "support/temp_folder.h"

namespace puna::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// See fake_backend.cpp; 0 leaves a default.
struct FakeGpu {
    int64_t bytes = 0;
    int64_t layer_us = 0;
    int64_t fail_layer = 0;
};

GpuPlugin plugin_of(const FakeGpu& gpu) {
    const auto text = [](int64_t value) {
        return value == 0 ? std::string() : std::to_string(value);
    };
    return {"puna-fake-gpu",
            {{"PUNA_FAKE_GPU_BYTES", text(gpu.bytes)},
             {"PUNA_FAKE_GPU_LAYER_US", text(gpu.layer_us)},
             {"PUNA_FAKE_GPU_FAIL_LAYER", text(gpu.fail_layer)}}};
}

Runtime make_fake_runtime(const FakeGpu& gpu = {}) {
    return make_gpu_runtime(plugin_of(gpu));
}

class SplitModel : public SplitModelOn {
  public:
    explicit SplitModel(int32_t n_gpu_layers, const FakeGpu& gpu = {},
                        const ModelShape& shape = four_layers())
        : SplitModelOn(plugin_of(gpu), n_gpu_layers, shape) {}
};

void expect_close(const std::vector<double>& expected, const std::vector<float>& found) {
    EXPECT_LE(kl_divergence(expected, found, kVocab).relative_error, 1e-5);
}

// ---- What is computed --------------------------------------------------------------------------

class BackendPluginShapes : public testing::TestWithParam<SplitCase> {};

TEST_P(BackendPluginShapes, EverySplitComputesTheSame) {
    const std::vector<Token> prompt = prompt_of(70);
    const ReferenceModel reference = SplitModel(0, {}, GetParam().shape).reference();
    const std::vector<double> logits = reference_logits(reference, prompt);
    const GreedyRun greedy_run = reference_greedy(reference, prompt, 24);
    ASSERT_GT(greedy_run.smallest_gap, 1e-3) << "choose another prompt";
    for (const int32_t n_gpu_layers : kSplits) {
        SCOPED_TRACE(n_gpu_layers);
        const SplitModel split(n_gpu_layers, {}, GetParam().shape);
        EXPECT_EQ(split.model.info().n_gpu_layers, clamped(n_gpu_layers));
        for (const int32_t n_batch : {7, 512}) {
            Context context(split.model, context_options(0, n_batch));
            Sequence whole = context.sequence();
            expect_close(logits, logits_of(whole, prompt, kVocab));
            Sequence sequence = context.sequence();
            EXPECT_EQ(generate(sequence, prompt, greedy(24)).tokens, greedy_run.tokens);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, BackendPluginShapes, testing::ValuesIn(split_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(BackendPlugin, HalfPrecisionCachesAgreeAcrossDevices) {
    std::vector<std::vector<float>> logits;
    for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
        const SplitModel split(n_gpu_layers);
        Context context(split.model);  // F16
        Sequence sequence = context.sequence();
        logits.push_back(logits_of(sequence, prompt_of(64), kVocab));
    }
    const std::vector<double> cpu(logits[0].begin(), logits[0].end());
    for (const auto& found : logits) {
        EXPECT_LE(kl_divergence(cpu, found, kVocab).relative_error, 1e-3);
    }
}

TEST(BackendPlugin, ContextsOfOneModelShareItsWeights) {
    const SplitModel split(2);
    const std::vector<Token> prompt = prompt_of(20);
    const GreedyRun expected = reference_greedy(split.reference(), prompt, 16);
    const uint64_t free_bytes = split.free_bytes();
    Context first(split.model, context_options());
    const uint64_t taken = free_bytes - split.free_bytes();
    Context second(split.model, context_options());
    EXPECT_EQ(free_bytes - split.free_bytes(), 2 * taken);
    Sequence a = first.sequence();
    Sequence b = second.sequence();
    Generation one = a.generate(prompt, greedy(16));
    Generation two = b.generate(prompt, greedy(16));
    Told told_one;
    Told told_two;
    for (bool done = false; !done;) {  // in turns
        done = tell(one.next(), told_one);
        EXPECT_EQ(tell(two.next(), told_two), done);
    }
    EXPECT_EQ(told_one.tokens, expected.tokens);
    EXPECT_EQ(told_two.tokens, expected.tokens);
}

TEST(BackendPlugin, ShiftsTheContextOnEveryPart) {
    constexpr size_t kContext = 64;
    const std::vector<Token> prompt = prompt_of(40);
    for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
        SCOPED_TRACE(n_gpu_layers);
        const SplitModel split(n_gpu_layers);
        const GreedyRun expected =
            reference_greedy_with_shift(split.reference(), prompt, 80, kContext, 3);
        ASSERT_GT(expected.smallest_gap, 1e-3) << "choose another prompt";
        Context context(split.model, context_options(kContext));
        Sequence sequence = context.sequence();
        GenerationOptions options = greedy(80);
        options.when_full = PUNA_FULL_SHIFT;
        options.n_keep = 3;
        EXPECT_EQ(generate(sequence, prompt, options).tokens, expected.tokens);
    }
}

TEST(BackendPlugin, SavedSequencesMoveBetweenDevices) {
    const std::vector<Token> prompt = prompt_of(50);
    const std::vector<Token> more = random_tokens(kVocab, 5, 9);
    std::map<int32_t, std::vector<std::byte>> states;
    std::vector<double> expected;
    for (const int32_t n_gpu_layers : {0, 1, 3, kLayers}) {
        const SplitModel split(n_gpu_layers);
        Context context(split.model, context_options());
        Sequence sequence = context.sequence();
        sequence.evaluate(prompt);
        states[n_gpu_layers] = sequence.save();
        const std::vector<float> logits = last_logits(sequence, more);
        if (expected.empty()) expected.assign(logits.begin(), logits.end());
    }
    for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
        const SplitModel split(n_gpu_layers);
        Context context(split.model, context_options());
        for (const auto& [from, state] : states) {
            SCOPED_TRACE(testing::Message() << from << " to " << n_gpu_layers);
            Sequence sequence = context.sequence();
            sequence.restore(state);
            EXPECT_EQ(sequence.tokens(), prompt);
            EXPECT_EQ(sequence.save(), state);
            const int64_t n_before = static_cast<int64_t>(context.info().n_rows_run);
            expect_close(expected, last_logits(sequence, more));
            EXPECT_EQ(static_cast<int64_t>(context.info().n_rows_run) - n_before, 5);
        }
    }
}

// ---- What is told ------------------------------------------------------------------------------

TEST(BackendPlugin, DevicesAreListed) {
    const Runtime runtime = make_fake_runtime({.bytes = 12345678});
    const std::vector<puna_device_info> devices = runtime.devices();
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_EQ(devices[0].is_gpu, 0);
    EXPECT_EQ(devices[1].is_gpu, 1);
    EXPECT_STREQ(devices[1].backend, "fake");
    EXPECT_STREQ(devices[1].name, "fake gpu");
    EXPECT_EQ(devices[1].total_bytes, 12345678u);
    EXPECT_EQ(devices[1].free_bytes, 12345678u);
    const std::string report = runtime.report();
    EXPECT_NE(report.find("cpu: "), std::string::npos) << report;
    EXPECT_NE(report.find("\nfake: fake gpu"), std::string::npos) << report;
}

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

TEST(BackendPlugin, TheEstimateIsWhatIsTaken) {
    for (const bool tied : {false, true}) {
        ModelShape shape = four_layers();
        shape.tied_output = tied;
        for (const int32_t n_gpu_layers : kSplits) {
            SCOPED_TRACE(testing::Message() << n_gpu_layers << (tied ? " tied" : ""));
            const SplitModel split(0, {}, shape);
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

TEST(BackendPlugin, UploadsReportProgressAndStop) {
    const SplitModel split(0);
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

// ---- What fails --------------------------------------------------------------------------------

TEST(BackendPlugin, MemoryThatDoesNotSufficeIsAStatus) {
    const SplitModel roomy(0);
    const puna_memory_estimate estimate =
        Model::estimate(roomy.runtime, roomy.source(), on_gpu(kLayers), context_options(64, 32));
    const uint64_t context_bytes = estimate.device_kv_bytes + estimate.device_scratch_bytes;

    const Runtime small =
        make_fake_runtime({.bytes = static_cast<int64_t>(estimate.device_weight_bytes) - 1});
    const auto refused = Model::try_load(small, roomy.source(), on_gpu(kLayers));
    EXPECT_EQ(status_of(refused), PUNA_ERROR_DEVICE_MEMORY);
    EXPECT_TRUE(Model::try_load(small, roomy.source(), on_gpu(1)).ok());
    EXPECT_EQ(small.devices()[1].free_bytes, estimate.device_weight_bytes - 1);

    const Runtime exact = make_fake_runtime(
        {.bytes = static_cast<int64_t>(estimate.device_weight_bytes + context_bytes)});
    const Model model(exact, roomy.source(), on_gpu(kLayers));
    const auto large = Context::try_create(model, context_options(128, 32));
    EXPECT_EQ(status_of(large), PUNA_ERROR_DEVICE_MEMORY);
    Context context(model, context_options(64, 32));
    EXPECT_EQ(exact.devices()[1].free_bytes, 0u);
    EXPECT_EQ(status_of(Context::try_create(model, context_options(64, 32))),
              PUNA_ERROR_DEVICE_MEMORY);
    Sequence sequence = context.sequence();
    const std::vector<Token> prompt = prompt_of(30);
    EXPECT_EQ(generate(sequence, prompt, greedy(8)).tokens,
              reference_greedy(roomy.reference(), prompt, 8).tokens);
}

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

TEST(BackendPlugin, AStepWhoseDeadlineHasPassedRunsOneLayer) {
    const std::vector<Token> prompt = prompt_of(9);
    for (const int32_t n_gpu_layers : {2, kLayers}) {
        const SplitModel split(n_gpu_layers, {.layer_us = 5});
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

TEST(BackendPluginRefusal, DevicesMustExistAndFit) {
    const SplitModel split(0);
    ModelOptions options = on_gpu(2);
    options.gpu_device = 1;
    EXPECT_TRUE(Model::try_load(split.runtime, split.source(), options).ok());
    options.gpu_device = 2;
    EXPECT_EQ(status_of(Model::try_load(split.runtime, split.source(), options)),
              PUNA_ERROR_NOT_FOUND);
    // The fake GPU has no such cache.
    ContextOptions bf16 = context_options();
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
