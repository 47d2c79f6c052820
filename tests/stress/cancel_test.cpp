// Cancelling: how soon it works, and that it leaves no trace.
#include <functional>
#include <thread>

#include "stress/stress_fixture.h"

namespace puna::test {
namespace {

constexpr int32_t kSteps = 5;  // the layers of Machine::shape() and the head

// A parallel hook that counts its calls and does something in one of them.
class Phases {
  public:
    puna_runtime_options options() {
        puna_runtime_options options = Machine::plain_options(2);
        options.parallel = run;
        options.parallel_user = this;
        return options;
    }
    void in_call(int index, std::function<void()> action) {
        n_calls = 0;
        at_ = index;
        action_ = std::move(action);
    }

    int n_calls = 0;

  private:
    static void PUNA_CALL run(int32_t n_parts, int32_t, puna_part_fn part, void* argument,
                              void* user) {
        auto& self = *static_cast<Phases*>(user);
        if (self.n_calls++ == self.at_) self.action_();
        for (int32_t i = 0; i < n_parts; ++i) part(i, argument);
    }

    int at_ = -1;
    std::function<void()> action_;
};

class CancelTest : public testing::Test {
  protected:
    // How many phases each layer of a batch of the generation takes, counted by stepping it layer
    // by layer: [i] is the number up to and with layer i.
    std::vector<int> phases_by_layer(const ContextHandle& context) {
        std::vector<int> ends;
        phases_.in_call(-1, {});
        const uint64_t before = info_of(context).n_layers_run;
        while (info_of(context).n_layers_run < before + kSteps) {
            EXPECT_EQ(puna_context_step(context.get(), 1, nullptr, nullptr, nullptr), PUNA_OK);
            ends.push_back(phases_.n_calls);
        }
        EXPECT_EQ(ends.size(), size_t{kSteps});
        return ends;
    }
    // The layer, counted from 1, that the phase lies in.
    static uint64_t layer_of(const std::vector<int>& ends, int phase) {
        uint64_t layer = 1;
        while (phase >= ends[layer - 1]) ++layer;
        return layer;
    }
    void trigger_from_another_thread(int phase) {
        phases_.in_call(
            phase, [this] { std::thread([this] { puna_cancel_trigger(cancel_.get()); }).join(); });
    }

    Phases phases_;
    const Machine machine_{phases_.options()};
    const CancelHandle cancel_ = make_cancel();
    const std::vector<int32_t> kept_ = random_tokens(37, 1);
    const std::vector<int32_t> prompt_ = random_tokens(20, 2);
};

TEST_F(CancelTest, InPrefillNoFurtherLayerBeginsAndNoTraceIsLeft) {
    std::vector<int> ends;
    {
        const ContextHandle context = machine_.context();
        const SequenceHandle sequence = make_sequence(context);
        logits_behind(sequence, kept_);
        const GenerationHandle generation = start(sequence, prompt_, greedy(1));
        ends = phases_by_layer(context);
    }
    const ContextHandle fresh = machine_.context();
    const SequenceHandle other = make_sequence(fresh);
    logits_behind(other, kept_);
    const Told expected = tell_all(start(other, prompt_, greedy(6)).get());

    const ContextHandle context = machine_.context();
    const SequenceHandle sequence = make_sequence(context);
    logits_behind(sequence, kept_);
    const auto cells = info_of(context).n_cells_used;
    for (int phase = 0; phase < ends[kSteps - 2]; ++phase) {  // the head's is the last layer
        const GenerationHandle generation = start(sequence, prompt_, greedy(6, cancel_.get()));
        const uint64_t before = info_of(context).n_layers_run;
        trigger_from_another_thread(phase);
        puna_event event = PUNA_EVENT_INIT;
        EXPECT_EQ(puna_generation_next(generation.get(), 0, &event, nullptr), PUNA_ERROR_CANCELLED);
        EXPECT_EQ(info_of(context).n_layers_run - before, layer_of(ends, phase)) << phase;
        ASSERT_EQ(puna_generation_next(generation.get(), 0, &event, nullptr), PUNA_OK);
        EXPECT_EQ(event.kind, PUNA_EVENT_DONE);
        EXPECT_EQ(event.finish, PUNA_FINISH_CANCELLED);
        EXPECT_EQ(tokens_of(sequence), kept_);
        EXPECT_EQ(info_of(context).n_cells_used, cells);
        puna_cancel_reset(cancel_.get());
    }
    EXPECT_EQ(tell_all(start(sequence, prompt_, greedy(6)).get()), expected);
}

TEST_F(CancelTest, InDecodeNoFurtherLayerBeginsAndTheNextGenerationIsUntouched) {
    std::vector<int> ends;
    const Told expected = told_alone(machine_, prompt_, 12);
    {
        const ContextHandle context = machine_.context();
        const SequenceHandle sequence = make_sequence(context);
        const GenerationHandle generation = start(sequence, prompt_, greedy(4));
        phases_by_layer(context);
        ends = phases_by_layer(context);
    }
    for (int phase = 0; phase < ends[kSteps - 2]; ++phase) {
        const ContextHandle context = machine_.context();
        const SequenceHandle sequence = make_sequence(context);
        const GenerationHandle generation = start(sequence, prompt_, greedy(12, cancel_.get()));
        puna_event event = PUNA_EVENT_INIT;
        std::vector<int32_t> tokens;
        for (int i = 0; i < 3; ++i) {
            ASSERT_EQ(puna_generation_next(generation.get(), 0, &event, nullptr), PUNA_OK);
            tokens.push_back(event.token);
        }
        const std::vector<int32_t> held = tokens_of(sequence);
        const uint64_t before = info_of(context).n_layers_run;
        trigger_from_another_thread(phase);
        EXPECT_EQ(puna_generation_next(generation.get(), 0, &event, nullptr), PUNA_ERROR_CANCELLED);
        EXPECT_EQ(info_of(context).n_layers_run - before, layer_of(ends, phase)) << phase;
        EXPECT_EQ(tokens_of(sequence), held);
        puna_cancel_reset(cancel_.get());
        // What was cut off goes on as if it had never stopped.
        const Told rest = tell_all(start(sequence, {}, greedy(9)).get());
        tokens.insert(tokens.end(), rest.tokens.begin(), rest.tokens.end());
        EXPECT_EQ(tokens, expected.tokens) << phase;
    }
}

TEST_F(CancelTest, AnEvaluationThatIsCutOffChangesNothing) {
    const ContextHandle context = machine_.context(256, 0, 8);
    const SequenceHandle sequence = make_sequence(context);
    logits_behind(sequence, kept_);
    const SequenceHandle fork = [&] {
        puna_sequence* out = nullptr;
        EXPECT_EQ(puna_sequence_fork(sequence.get(), &out, nullptr), PUNA_OK);
        return SequenceHandle(out);
    }();
    const std::vector<float> expected = logits_behind(fork, prompt_);
    puna_sequence_truncate(fork.get(), 0, nullptr);

    phases_.in_call(-1, {});
    puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
    options.output = PUNA_OUTPUT_HIDDEN_MEAN;
    options.cancel = cancel_.get();
    std::vector<float> mean(64);
    const auto evaluate = [&] {
        return puna_sequence_evaluate(sequence.get(), prompt_.data(),
                                      static_cast<int32_t>(prompt_.size()), &options, mean.data(),
                                      mean.size() * sizeof(float), nullptr);
    };
    ASSERT_EQ(evaluate(), PUNA_OK);
    const int n_phases = phases_.n_calls;
    puna_sequence_truncate(sequence.get(), static_cast<int32_t>(kept_.size()), nullptr);
    for (int phase = 0; phase < n_phases - 8; phase += 3) {
        trigger_from_another_thread(phase);
        EXPECT_EQ(evaluate(), PUNA_ERROR_CANCELLED) << phase;
        EXPECT_EQ(tokens_of(sequence), kept_);
        puna_cancel_reset(cancel_.get());
    }
    EXPECT_EQ(logits_behind(sequence, prompt_), expected);
}

TEST_F(CancelTest, TheOthersOfTheBatchDoNotNotice) {
    constexpr int kUsers = 3;
    std::vector<Told> expected;
    std::vector<std::vector<int32_t>> prompts;
    for (int i = 0; i < kUsers; ++i) {
        prompts.push_back(random_tokens(25 + 11 * static_cast<size_t>(i), 10 + i));
        expected.push_back(told_alone(machine_, prompts.back(), 10));
    }
    const ContextHandle context = machine_.context(256, 1024);
    for (int phase = 0; phase < 300; phase += 7) {
        std::vector<SequenceHandle> sequences;
        std::vector<GenerationHandle> generations;
        for (int i = 0; i < kUsers; ++i) {
            sequences.push_back(make_sequence(context));
            generations.push_back(
                start(sequences.back(), prompts[i], greedy(10, i == 1 ? cancel_.get() : nullptr)));
        }
        trigger_from_another_thread(phase);
        EXPECT_EQ(tell_all(generations[0].get()), expected[0]) << phase;
        EXPECT_EQ(tell_all(generations[2].get()), expected[2]) << phase;
        const Told cut = tell_all(generations[1].get());
        ASSERT_LE(cut.tokens.size(), expected[1].tokens.size());
        EXPECT_TRUE(std::equal(cut.tokens.begin(), cut.tokens.end(), expected[1].tokens.begin()));
        if (puna_cancel_is_triggered(cancel_.get()) && cut.status != PUNA_OK) {
            EXPECT_EQ(cut.finish, PUNA_FINISH_CANCELLED);
        }
        puna_cancel_reset(cancel_.get());
    }
}

TEST_F(CancelTest, IsStickyUntilItIsReset) {
    const ContextHandle context = machine_.context();
    const SequenceHandle sequence = make_sequence(context);
    const Told expected = told_alone(machine_, prompt_, 4);
    puna_cancel_trigger(cancel_.get());
    for (int round = 0; round < 2; ++round) {
        const GenerationHandle generation = start(sequence, prompt_, greedy(4, cancel_.get()));
        const uint64_t before = info_of(context).n_layers_run;
        EXPECT_EQ(tell_all(generation.get()).status, PUNA_ERROR_CANCELLED);
        EXPECT_LE(info_of(context).n_layers_run - before, 1u);
        EXPECT_EQ(tokens_of(sequence).size(), 0u);
    }
    puna_cancel_reset(cancel_.get());
    EXPECT_EQ(tell_all(start(sequence, prompt_, greedy(4, cancel_.get())).get()), expected);
}

TEST_F(CancelTest, TheObjectMayGoWhileTheWorkHoldsIt) {
    const ContextHandle context = machine_.context();
    const SequenceHandle sequence = make_sequence(context);
    CancelHandle cancel = make_cancel();
    const GenerationHandle generation = start(sequence, prompt_, greedy(4, cancel.get()));
    puna_cancel_trigger(cancel.get());
    cancel.reset();
    EXPECT_EQ(tell_all(generation.get()).finish, PUNA_FINISH_CANCELLED);
}

TEST_F(CancelTest, EndsALoadFromAnotherThread) {
    struct Stop {
        puna_cancel* cancel;
        float last = 0;
    } stop = {cancel_.get()};
    int n_released = 0;
    puna_source source = machine_.source();
    source.user = &n_released;
    source.release = [](void* user) { ++*static_cast<int*>(user); };
    puna_model_options options = PUNA_MODEL_OPTIONS_INIT;
    options.cancel = cancel_.get();
    options.progress_user = &stop;
    options.progress = [](float fraction, void* user) -> int32_t {
        auto& it = *static_cast<Stop*>(user);
        it.last = fraction;
        if (fraction >= 0.25f) std::thread([&] { puna_cancel_trigger(it.cancel); }).join();
        return 0;
    };
    puna_model* model = nullptr;
    puna_error error = PUNA_ERROR_INIT;
    EXPECT_EQ(puna_model_load(machine_.runtime.get(), &source, 1, &options, &model, &error),
              PUNA_ERROR_CANCELLED)
        << error.message;
    EXPECT_EQ(model, nullptr);
    EXPECT_LT(stop.last, 1.0f);
    EXPECT_EQ(n_released, 1);
}

TEST_F(CancelTest, SourcesAreReleasedUnlessTheirNumberIsWrong) {
    for (const int32_t n : {1, PUNA_MAX_SOURCES, PUNA_MAX_SOURCES + 1, INT32_MAX, 0, -1}) {
        int32_t n_released = 0;
        puna_source source = PUNA_SOURCE_INIT;
        source.path = "missing.gguf";
        source.user = &n_released;
        source.release = [](void* user) { ++*static_cast<int32_t*>(user); };
        const bool is_read = n >= 1 && n <= PUNA_MAX_SOURCES;
        const std::vector<puna_source> sources(is_read ? static_cast<size_t>(n) : 1, source);
        puna_model* model = nullptr;
        const puna_status status =
            puna_model_load(machine_.runtime.get(), sources.data(), n, nullptr, &model, nullptr);
        EXPECT_EQ(status, is_read ? PUNA_ERROR_IO : PUNA_ERROR_ARGUMENT) << n;
        EXPECT_EQ(n_released, is_read ? n : 0) << n;
    }
}

TEST(CancelStormTest, TwoThousandRandomCancelsLeakNothing) {
    Hooks hooks;
    {
        const Machine machine(hooks.options(1));
        const std::vector<int32_t> prompt = random_tokens(48, 7);
        const Told expected = told_alone(machine, prompt, 6);
        const ContextHandle context = machine.context(128, 256, 16);
        const SequenceHandle kept = make_sequence(context);
        const std::vector<int32_t> tokens = random_tokens(33, 8);
        logits_behind(kept, tokens);
        const int32_t cells = info_of(context).n_cells_used;
        const int64_t blocks = hooks.n_live_blocks;
        const CancelHandle cancel = make_cancel();
        std::atomic<int> pause{0};
        std::atomic<bool> is_over{false};
        std::thread trigger([&] {
            while (!is_over) {
                for (volatile int spin = pause; spin > 0;) spin = spin - 1;
                puna_cancel_trigger(cancel.get());
                std::this_thread::yield();
            }
        });
        RandomNumbers random(9);
        int n_cancelled = 0;
        for (int round = 0; round < 2000; ++round) {
            pause = static_cast<int>(random.below(20000));
            const SequenceHandle own = round % 3 == 0 ? nullptr : make_sequence(context);
            const SequenceHandle& sequence = round % 3 == 0 ? kept : own;
            puna_cancel_reset(cancel.get());
            const GenerationHandle generation = start(sequence, prompt, greedy(6, cancel.get()));
            const Told told = tell_all(generation.get());
            if (told.status == PUNA_ERROR_CANCELLED) ++n_cancelled;
            if (own && told.finish == PUNA_FINISH_LENGTH) {
                EXPECT_EQ(told.tokens, expected.tokens);
            }
            puna_sequence_truncate(kept.get(), static_cast<int32_t>(tokens.size()), nullptr);
        }
        is_over = true;
        trigger.join();
        EXPECT_GT(n_cancelled, 0);
        EXPECT_EQ(tokens_of(kept), tokens);
        const puna_context_info info = info_of(context);
        EXPECT_EQ(info.n_cells_used, cells);
        EXPECT_EQ(info.n_sequences, 1);
        EXPECT_EQ(info.n_generations, 0);
        EXPECT_EQ(hooks.n_live_blocks, blocks);
        const SequenceHandle last = make_sequence(context);
        EXPECT_EQ(tell_all(start(last, prompt, greedy(6)).get()).tokens, expected.tokens);
    }
    EXPECT_EQ(hooks.n_live_bytes, 0);
}

}  // namespace
}  // namespace puna::test
