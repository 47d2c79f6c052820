// What every backend plugin does alike, through the public API: whole models and halves of them, what it
// tells, and what it refuses. The plugins: backend_plugin_test.cpp, cuda_plugin_test.cpp.
#include <chrono>
#include <map>

#include "support/gpu_under_test.h"

namespace puna::test {
namespace {

using std::chrono::microseconds;

// ---- What is computed --------------------------------------------------------------------------

TEST_P(AnyGpuShapes, EverySplitComputesTheSame) {
    const auto& [gpu, split_case] = GetParam();
    const std::vector<Token> prompt = prompt_of(gpu.is_slow ? 34 : 70);
    const int32_t n_tokens = gpu.is_slow ? 4 : 24;
    const double bound = gpu.bound(split_case.shape);
    const ReferenceModel reference = SplitModelOn(gpu.plugin, 0, split_case.shape).reference();
    const std::vector<double> logits = reference_logits(reference, prompt);
    const GreedyRun greedy_run = reference_greedy(reference, prompt, n_tokens);
    // Else two logits that are both off by the bound could change places.
    ASSERT_GT(greedy_run.smallest_gap, 3 * bound) << "choose another prompt";
    for (const int32_t n_gpu_layers : kSplits) {
        if (gpu.is_slow && n_gpu_layers != clamped(n_gpu_layers)) continue;
        SCOPED_TRACE(n_gpu_layers);
        const SplitModelOn split(gpu.plugin, n_gpu_layers, split_case.shape);
        EXPECT_EQ(split.model.info().n_gpu_layers, clamped(n_gpu_layers));
        for (const int32_t n_batch : {7, 512}) {
            if (gpu.is_slow && n_batch != (n_gpu_layers % 2 == 0 ? 7 : 512)) continue;
            Context context(split.model, context_options(0, n_batch));
            Sequence whole = context.sequence();
            expect_close(logits, logits_of(whole, prompt, kVocab), bound);
            Sequence sequence = context.sequence();
            const auto tokens = generate(sequence, prompt, greedy(n_tokens)).tokens;
            EXPECT_EQ(tokens, greedy_run.tokens);
        }
    }
}

// The same numbers are rounded as on the CPU, but for those on the edge between two.
TEST_P(AnyGpu, EveryTypeOfTheCacheAgreesWithTheCpu) {
    const std::vector<Token> prompt = prompt_of(GetParam().is_slow ? 40 : 64);
    for (const CacheTypes& types : GetParam().caches) {
        SCOPED_TRACE(testing::Message() << types.keys << " " << types.values);
        ContextOptions options = context_options();
        options.kv_type_k = types.keys;
        options.kv_type_v = types.values;
        std::vector<double> cpu;
        for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
            const SplitModelOn split = split_model(n_gpu_layers);
            Context context(split.model, options);
            Sequence sequence = context.sequence();
            const auto logits = logits_of(sequence, prompt, kVocab);
            if (cpu.empty()) cpu.assign(logits.begin(), logits.end());
            expect_close(cpu, logits, types.bound);
        }
    }
}

TEST_P(AnyGpu, ContextsOfOneModelShareItsWeights) {
    PUNA_SKIP_UNLESS_BYTES_COUNT();
    const SplitModelOn split = split_model(2);
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

TEST_P(AnyGpu, ShiftsTheContextOnEveryPart) {
    constexpr size_t kContext = 64;
    const int32_t n_tokens = GetParam().is_slow ? 50 : 80;
    const std::vector<Token> prompt = prompt_of(40);
    for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
        SCOPED_TRACE(n_gpu_layers);
        const SplitModelOn split = split_model(n_gpu_layers);
        const GreedyRun expected =
            reference_greedy_with_shift(split.reference(), prompt, n_tokens, kContext, 3);
        ASSERT_GT(expected.smallest_gap, 1e-3) << "choose another prompt";
        Context context(split.model, context_options(kContext));
        Sequence sequence = context.sequence();
        GenerationOptions options = greedy(n_tokens);
        options.when_full = PUNA_FULL_SHIFT;
        options.n_keep = 3;
        EXPECT_EQ(generate(sequence, prompt, options).tokens, expected.tokens);
    }
}

TEST_P(AnyGpu, SavedSequencesMoveBetweenDevices) {
    const std::vector<Token> prompt = prompt_of(50);
    const std::vector<Token> more = random_tokens(kVocab, 5, 9);
    for (const int32_t kv_type : GetParam().saved_types) {
        ContextOptions options = context_options();
        options.kv_type_k = options.kv_type_v = kv_type;
        const double bound = kv_type == PUNA_KV_F32 ? 1e-5 : 1e-2;
        std::map<int32_t, std::vector<std::byte>> states;
        std::vector<double> expected;
        for (const int32_t n_gpu_layers : {0, 1, 3, kLayers}) {
            const SplitModelOn split = split_model(n_gpu_layers);
            Context context(split.model, options);
            Sequence sequence = context.sequence();
            sequence.evaluate(prompt);
            states[n_gpu_layers] = sequence.save();
            const std::vector<float> logits = last_logits(sequence, more);
            if (expected.empty()) expected.assign(logits.begin(), logits.end());
        }
        for (const int32_t n_gpu_layers : {0, 2, kLayers}) {
            const SplitModelOn split = split_model(n_gpu_layers);
            Context context(split.model, options);
            for (const auto& [from, state] : states) {
                SCOPED_TRACE(testing::Message() << from << " to " << n_gpu_layers);
                Sequence sequence = context.sequence();
                sequence.restore(state);
                EXPECT_EQ(sequence.tokens(), prompt);
                EXPECT_EQ(sequence.save(), state);
                const uint64_t n_before = context.info().n_rows_run;
                expect_close(expected, last_logits(sequence, more), bound);
                EXPECT_EQ(context.info().n_rows_run - n_before, 5u);
            }
        }
    }
}

// ---- What is told ------------------------------------------------------------------------------

TEST_P(AnyGpu, DevicesAreListed) {
    PUNA_SKIP_UNLESS_BYTES_COUNT();
    const Setting bytes(GetParam().bytes_variable, 12345678);
    const Runtime runtime = make_runtime();
    const std::vector<puna_device_info> devices = runtime.devices();
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_EQ(devices[0].is_gpu, 0);
    EXPECT_EQ(devices[1].is_gpu, 1);
    EXPECT_STREQ(devices[1].backend, GetParam().name);
    EXPECT_EQ(devices[1].total_bytes, 12345678u);
    EXPECT_EQ(devices[1].free_bytes, 12345678u);
    const std::string report = runtime.report();
    EXPECT_NE(report.find("cpu: "), std::string::npos) << report;
    const std::string line = std::string("\n") + GetParam().name + ": " + devices[1].name;
    EXPECT_NE(report.find(line), std::string::npos) << report;
}

TEST_P(AnyGpu, TheEstimateIsWhatIsTaken) {
    PUNA_SKIP_UNLESS_BYTES_COUNT();
    for (const bool tied : {false, true}) {
        ModelShape shape = four_layers();
        shape.tied_output = tied;
        for (const int32_t n_gpu_layers : kSplits) {
            SCOPED_TRACE(testing::Message() << n_gpu_layers << (tied ? " tied" : ""));
            const SplitModelOn split = split_model(0, shape);
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

TEST_P(AnyGpu, UploadsReportProgressAndStop) {
    const SplitModelOn split = split_model(0, four_layers());
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

TEST_P(AnyGpu, AStepWhoseDeadlineHasPassedRunsOneLayer) {
    const std::vector<Token> prompt = prompt_of(9);
    for (const int32_t n_gpu_layers : {2, kLayers}) {
        const SplitModelOn split = split_model(n_gpu_layers);
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

// ---- What fails --------------------------------------------------------------------------------

// The weights, the cache and the scratch are what there is to take.
TEST_P(AnyGpu, MemoryThatDoesNotSufficeIsAStatus) {
    PUNA_SKIP_UNLESS_BYTES_COUNT();
    const SplitModelOn roomy = split_model(0);
    const ContextOptions wanted = context_options(64, 8);
    const puna_memory_estimate estimate =
        Model::estimate(roomy.runtime, roomy.source(), on_gpu(kLayers), wanted);
    const uint64_t weights = estimate.device_weight_bytes;
    const uint64_t all = weights + estimate.device_kv_bytes + estimate.device_scratch_bytes;
    {
        const Setting bytes(GetParam().bytes_variable, weights - 1);
        const Runtime runtime = make_runtime();
        const auto refused = Model::try_load(runtime, roomy.source(), on_gpu(kLayers));
        ASSERT_EQ(status_of(refused), PUNA_ERROR_DEVICE_MEMORY);
        const std::string& message = refused.failure().message;
        EXPECT_NE(message.find(std::to_string(weights)), std::string::npos) << message;
        EXPECT_NE(message.find(std::to_string(weights - 1) + " are free"), std::string::npos)
            << message;
        EXPECT_TRUE(Model::try_load(runtime, roomy.source(), on_gpu(1)).ok());
        EXPECT_EQ(runtime.devices()[1].free_bytes, weights - 1);
    }
    for (const uint64_t less : {weights + estimate.device_kv_bytes - 1, all - 1}) {
        const Setting bytes(GetParam().bytes_variable, less);
        const Runtime runtime = make_runtime();
        const Model model(runtime, roomy.source(), on_gpu(kLayers));
        EXPECT_EQ(status_of(Context::try_create(model, wanted)), PUNA_ERROR_DEVICE_MEMORY);
        EXPECT_EQ(runtime.devices()[1].free_bytes, less - weights);
    }
    const Setting exact(GetParam().bytes_variable, all);
    const Runtime runtime = make_runtime();
    const Model model(runtime, roomy.source(), on_gpu(kLayers));
    EXPECT_EQ(status_of(Context::try_create(model, context_options(128, 8))),
              PUNA_ERROR_DEVICE_MEMORY);
    Context context(model, wanted);
    EXPECT_EQ(runtime.devices()[1].free_bytes, 0u);
    EXPECT_EQ(status_of(Context::try_create(model, wanted)), PUNA_ERROR_DEVICE_MEMORY);
    Sequence sequence = context.sequence();
    const std::vector<Token> prompt = prompt_of(30);
    EXPECT_EQ(generate(sequence, prompt, greedy(8)).tokens,
              reference_greedy(roomy.reference(), prompt, 8).tokens);
}

TEST_P(AnyGpu, DevicesMustExist) {
    const SplitModelOn split = split_model(0);
    ModelOptions options = on_gpu(2);
    options.gpu_device = 1;
    EXPECT_TRUE(Model::try_load(split.runtime, split.source(), options).ok());
    options.gpu_device = 2;
    EXPECT_EQ(status_of(Model::try_load(split.runtime, split.source(), options)),
              PUNA_ERROR_NOT_FOUND);
}

}  // namespace
}  // namespace puna::test
