// Every allocation of a whole story fails once, through the hook and through operator new: a status
// each time, nothing is lost, and what can be done again works then.
#include <cstring>

#include "stress/counted_new.h"
#include "stress/stress_fixture.h"

namespace puna::test {
namespace {

constexpr int32_t kTokens = 6;

// One fixed story through the C API. It notes what it sees and allocates nothing itself, so that the
// failures are the library's alone.
class Story {
  public:
    Story(const AlignedBytes& bytes, Hooks& hooks) : bytes_(bytes), hooks_(hooks) {}
    Story(const Story&) = delete;
    Story& operator=(const Story&) = delete;

    void run() {
        make();
        tell();
        answer();
        use_others();
    }
    void finish() {
        puna_generation_destroy(answered_);
        puna_generation_destroy(generation_);
        puna_sequence_destroy(restored_);
        puna_sequence_destroy(fork_);
        puna_sequence_destroy(second_);
        puna_sequence_destroy(sequence_);
        puna_context_destroy(context_);
        puna_model_destroy(model_);
        puna_runtime_destroy(runtime_);
        puna_cancel_destroy(cancel_);
    }

    int n_failures = 0;           // of memory
    bool has_ended = false;       // a generation, for want of memory
    const char* wrong = nullptr;  // the call that broke the rules
    puna_status wrong_status = PUNA_OK;
    int32_t tokens[kTokens] = {};
    int32_t answers[kTokens] = {};
    float logits[320] = {};

  private:
    // A call that changed nothing when it failed: done again it succeeds.
    template <class Call>
    void must(const char* name, const Call& call) {
        if (wrong != nullptr) return;
        puna_status status = call();
        if (status == PUNA_ERROR_OUT_OF_MEMORY) {
            ++n_failures;
            status = call();
        }
        if (status != PUNA_OK) fail(name, status);
    }
    void fail(const char* name, puna_status status) {
        wrong = name;
        wrong_status = status;
    }

    void make() {
        must("cancel_create", [&] { return puna_cancel_create(&cancel_, nullptr); });
        const puna_runtime_options options = hooks_.options(2);
        must("runtime_create", [&] { return puna_runtime_create(&options, &runtime_, nullptr); });
        puna_source source = PUNA_SOURCE_INIT;
        source.length = bytes_.size();
        source.user = const_cast<AlignedBytes*>(&bytes_);
        source.read = [](uint64_t offset, void* buffer, size_t size, void* user) -> int32_t {
            std::memcpy(buffer, static_cast<const AlignedBytes*>(user)->data() + offset, size);
            return 0;
        };
        puna_memory_estimate estimate = PUNA_MEMORY_ESTIMATE_INIT;
        must("model_estimate", [&] {
            return puna_model_estimate(runtime_, &source, 1, nullptr, nullptr, &estimate, nullptr);
        });
        must("model_load",
             [&] { return puna_model_load(runtime_, &source, 1, nullptr, &model_, nullptr); });
        puna_context_options context_options = PUNA_CONTEXT_OPTIONS_INIT;
        context_options.n_ctx = 128;
        context_options.n_cells = 512;
        context_options.n_batch = 16;
        must("context_create",
             [&] { return puna_context_create(model_, &context_options, &context_, nullptr); });
        must("sequence_create",
             [&] { return puna_sequence_create(context_, &sequence_, nullptr); });
        must("sequence_create", [&] { return puna_sequence_create(context_, &second_, nullptr); });
        must("report", [&] {
            char text[512];
            return puna_runtime_report(runtime_, text, sizeof text, nullptr, nullptr);
        });
    }

    // Events until the end. A generation that an event had no memory for has ended.
    void fetch(puna_generation* generation, int32_t* out, int32_t n_prompt) {
        for (int32_t n = 0; wrong == nullptr;) {
            puna_event event = PUNA_EVENT_INIT;
            const puna_status status = puna_generation_next(generation, 0, &event, nullptr);
            if (status == PUNA_ERROR_OUT_OF_MEMORY) {
                ++n_failures;
                continue;
            }
            if (status != PUNA_OK) return fail("next", status);
            if (event.kind == PUNA_EVENT_TOKEN && n < kTokens) out[n++] = event.token;
            if (event.kind == PUNA_EVENT_LOGITS) {
                const puna_status accepted =
                    puna_generation_accept(generation, (n + n_prompt) % 320, nullptr);
                if (accepted == PUNA_ERROR_OUT_OF_MEMORY)
                    ++n_failures;
                else if (accepted != PUNA_OK)
                    return fail("accept", accepted);
            }
            if (event.kind != PUNA_EVENT_DONE) continue;
            if (event.finish == PUNA_FINISH_ERROR)
                has_ended = true;
            else if (event.finish != PUNA_FINISH_LENGTH)
                fail("done", event.finish);
            return;
        }
    }

    void tell() {
        puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
        const char* const stops[] = {"a stop string that is longer than a small buffer"};
        options.max_tokens = kTokens;
        options.ignore_end = 1;
        options.temperature = 0.5f;
        options.repeat_penalty = 1.1f;
        options.top_k = 40;
        options.top_p = 0.9f;
        options.seed = 1;
        options.n_logprobs = 3;
        options.n_stops = 1;
        options.stops = stops;
        options.cancel = cancel_;
        must("start_text", [&] {
            return puna_generation_start_text(sequence_, "Once upon a time there was", 26, 0,
                                              &options, &generation_, nullptr);
        });
        fetch(generation_, tokens, 0);
    }

    void answer() {
        puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
        options.max_tokens = kTokens;
        options.ignore_end = 1;
        options.stop_before_sampling = 1;
        const int32_t prompt[] = {5, 6, 7, 8};
        must("start", [&] {
            return puna_generation_start(second_, prompt, 4, &options, &answered_, nullptr);
        });
        fetch(answered_, answers, 40);
    }

    void use_others() {
        must("fork", [&] { return puna_sequence_fork(sequence_, &fork_, nullptr); });
        must("drop", [&] { return puna_sequence_drop(fork_, 2, 3, nullptr); });
        puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
        options.output = PUNA_OUTPUT_HIDDEN_MEAN;
        const int32_t more[] = {9, 10, 11};
        must("evaluate", [&] {
            return puna_sequence_evaluate(fork_, more, 3, &options, logits, sizeof logits, nullptr);
        });
        options.output = PUNA_OUTPUT_LOGITS_LAST;
        must("evaluate", [&] {
            return puna_sequence_evaluate(second_, more, 3, &options, logits, sizeof logits,
                                          nullptr);
        });
        must("warm_up", [&] { return puna_context_warm_up(context_, nullptr); });
        save();
    }

    void save() {
        size_t size = 0;
        const puna_status sized = puna_sequence_save(second_, nullptr, 0, &size, nullptr);
        if (sized == PUNA_ERROR_UNSUPPORTED) return;
        static uint8_t state[1 << 20];
        must("save",
             [&] { return puna_sequence_save(second_, state, sizeof state, &size, nullptr); });
        must("sequence_create",
             [&] { return puna_sequence_create(context_, &restored_, nullptr); });
        must("restore", [&] { return puna_sequence_restore(restored_, state, size, nullptr); });
    }

    const AlignedBytes& bytes_;
    Hooks& hooks_;
    puna_runtime* runtime_ = nullptr;
    puna_model* model_ = nullptr;
    puna_context* context_ = nullptr;
    puna_sequence* sequence_ = nullptr;
    puna_sequence* second_ = nullptr;
    puna_sequence* fork_ = nullptr;
    puna_sequence* restored_ = nullptr;
    puna_generation* generation_ = nullptr;
    puna_generation* answered_ = nullptr;
    puna_cancel* cancel_ = nullptr;
};

class OutOfMemoryTest : public testing::Test {
  protected:
    // Runs the story once and compares with the undisturbed one; true when an allocation failed.
    template <class Arm, class Disarm>
    bool story_survives(const Arm& arm, const Disarm& disarm) {
        Hooks hooks;
        const int64_t blocks = live_new_blocks();
        Story story(bytes_, hooks);
        arm(hooks);
        story.run();
        const bool failed = disarm(hooks);
        story.finish();
        EXPECT_EQ(live_new_blocks(), blocks);
        EXPECT_EQ(hooks.n_live_bytes, 0);
        EXPECT_EQ(hooks.n_live_blocks, 0);
        EXPECT_EQ(story.wrong, nullptr) << story.wrong << ": " << story.wrong_status;
        EXPECT_LE(story.n_failures, 1);
        if (!story.has_ended) {
            EXPECT_EQ(0, std::memcmp(story.tokens, expected_.tokens, sizeof expected_.tokens));
            EXPECT_EQ(0, std::memcmp(story.answers, expected_.answers, sizeof expected_.answers));
            EXPECT_EQ(0, std::memcmp(story.logits, expected_.logits, sizeof expected_.logits));
        }
        return failed;
    }

    const AlignedBytes bytes_ = make_random_model({}).bytes();
    Hooks expected_hooks_;
    Story expected_{bytes_, expected_hooks_};

    void SetUp() override {
        expected_.run();
        expected_.finish();  // a thread that starts late gives memory back late
        ASSERT_EQ(expected_.wrong, nullptr) << expected_.wrong << ": " << expected_.wrong_status;
        ASSERT_EQ(expected_.n_failures, 0);
        ASSERT_NE(expected_.tokens[kTokens - 1], 0);
    }
};

TEST_F(OutOfMemoryTest, EveryAllocationOfTheHookFailsOnce) {
    int n = 0;
    while (story_survives([&](Hooks& hooks) { hooks.fail_at = n; },
                          [&](Hooks& hooks) { return hooks.n_allocations > n; })) {
        ASSERT_FALSE(HasFailure()) << "allocation " << n;
        ++n;
    }
    EXPECT_GE(n, 3);  // weights, cache, scratch
}

TEST_F(OutOfMemoryTest, EveryOperatorNewFailsOnce) {
    int n = 0;
    while (story_survives([&](Hooks&) { fail_new_at(n); },
                          [&](Hooks&) { return stop_failing_new(); })) {
        ASSERT_FALSE(HasFailure()) << "allocation " << n;
        ++n;
    }
    EXPECT_GE(n, 100);
}

// While one sequence is evaluated, a generation of another is cancelled too, and there is no memory
// for the event with the text that it held back. The evaluation fails; no batch of it may go on.
TEST(OutOfMemoryCancelTest, InAnEvaluationLeavesNoBatchBehind) {
    struct State {
        puna_cancel* cancel = nullptr;
        bool strikes = false;
    } state;
    puna_runtime_options options = Machine::plain_options(2);
    options.parallel_user = &state;
    options.parallel = [](int32_t n_parts, int32_t, puna_part_fn part, void* argument, void* user) {
        auto& it = *static_cast<State*>(user);
        for (int32_t i = 0; i < n_parts; ++i) part(i, argument);
        if (!it.strikes) return;
        it.strikes = false;
        puna_cancel_trigger(it.cancel);
        fail_new_at(0);
    };
    const Machine machine(options);
    const std::vector<int32_t> prompt = random_tokens(30, 1);
    const Told free = told_alone(machine, prompt, 24);
    ASSERT_GT(free.text.size(), 20u);

    const CancelHandle cancel = make_cancel();
    state.cancel = cancel.get();
    const ContextHandle context = machine.context();
    const SequenceHandle sequence = make_sequence(context);
    const SequenceHandle other = make_sequence(context);
    puna_generation_options holding = greedy(60, cancel.get());
    const std::string stop = free.text + "\x01";  // all of it is held back
    const char* const stops[] = {stop.c_str()};
    holding.stops = stops;
    holding.n_stops = 1;
    const GenerationHandle generation = start(sequence, prompt, holding);
    puna_event event = PUNA_EVENT_INIT;
    for (int i = 0; i < 24; ++i) {
        ASSERT_EQ(puna_generation_next(generation.get(), 0, &event, nullptr), PUNA_OK);
        ASSERT_EQ(event.text_size, 0u);
    }
    const std::vector<int32_t> more = random_tokens(9, 2);
    std::vector<float> out(9 * 320);
    puna_evaluate_options evaluation = PUNA_EVALUATE_OPTIONS_INIT;
    evaluation.output = PUNA_OUTPUT_LOGITS_ALL;
    evaluation.cancel = cancel.get();
    state.strikes = true;
    const puna_status status = puna_sequence_evaluate(
        other.get(), more.data(), 9, &evaluation, out.data(), out.size() * sizeof(float), nullptr);
    EXPECT_TRUE(stop_failing_new());
    EXPECT_EQ(status, PUNA_ERROR_OUT_OF_MEMORY);
    out = std::vector<float>();
    EXPECT_EQ(tokens_of(other).size(), 0u);

    const uint64_t before = info_of(context).n_layers_run;
    EXPECT_EQ(puna_context_step(context.get(), 0, nullptr, nullptr, nullptr), PUNA_OK);
    EXPECT_EQ(info_of(context).n_layers_run, before);  // there is nothing to step
    EXPECT_EQ(tell_all(generation.get()).finish, PUNA_FINISH_CANCELLED);
    puna_cancel_reset(cancel.get());
    EXPECT_EQ(tell_all(start(other, prompt, greedy(24)).get()), free);
}

}  // namespace
}  // namespace puna::test
