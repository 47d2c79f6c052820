// Many threads, each where it may be; and two where only one may be.
#include <mutex>
#include <thread>

#include "stress/stress_fixture.h"

namespace puna::test {
namespace {

constexpr int kThreads = 8;

template <class Work>
void on_threads(int n, const Work& work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
}

TEST(ConcurrencyTest, EightContextsOfOneModelOnEightThreadsSayWhatTheySayAlone) {
    const Machine machine(2);
    std::vector<Told> expected(kThreads);
    std::vector<Told> told(kThreads);
    const auto prompt_of = [](int i) {
        return random_tokens(17 + 5 * static_cast<size_t>(i), static_cast<uint64_t>(i));
    };
    for (int i = 0; i < kThreads; ++i) expected[i] = told_alone(machine, prompt_of(i), 24);
    on_threads(kThreads, [&](int i) { told[i] = told_alone(machine, prompt_of(i), 24); });
    for (int i = 0; i < kThreads; ++i) {
        EXPECT_EQ(told[i], expected[i]) << i;
        EXPECT_EQ(told[i].tokens.size(), 24u);
    }
}

// Another thread's call while the first is in its parallel hook: refused at once, then all right.
struct Meeting {
    puna_context* context = nullptr;
    puna_sequence* sequence = nullptr;
    puna_generation* generation = nullptr;
    bool is_open = false;
    int n_busy = 0;
};

void PUNA_CALL run_and_meet(int32_t n_parts, int32_t, puna_part_fn part, void* argument,
                            void* user) {
    for (int32_t i = 0; i < n_parts; ++i) part(i, argument);
    auto& meeting = *static_cast<Meeting*>(user);
    if (!meeting.is_open) return;
    meeting.is_open = false;
    const auto knock = [&] {
        puna_event event = PUNA_EVENT_INIT;
        puna_context_info info = PUNA_CONTEXT_INFO_INIT;
        puna_sequence* sequence = nullptr;
        int32_t n = 0;
        for (const puna_status status :
             {puna_generation_next(meeting.generation, 0, &event, nullptr),
              puna_generation_next(meeting.generation, PUNA_BUDGET_POLL, &event, nullptr),
              puna_context_step(meeting.context, 0, nullptr, nullptr, nullptr),
              puna_context_get_info(meeting.context, &info, nullptr),
              puna_context_reset(meeting.context, nullptr),
              puna_sequence_create(meeting.context, &sequence, nullptr),
              puna_sequence_length(meeting.sequence, &n, nullptr),
              puna_sequence_truncate(meeting.sequence, 0, nullptr)}) {
            EXPECT_EQ(status, PUNA_ERROR_BUSY);
            ++meeting.n_busy;
        }
    };
    std::thread(knock).join();
    knock();  // and from inside the callback itself
}

TEST(ConcurrencyTest, ASecondCallOnAContextIsBusyFromAnyThread) {
    Meeting meeting;
    puna_runtime_options options = Machine::plain_options(2);
    options.parallel = run_and_meet;
    options.parallel_user = &meeting;
    const Machine machine(options);
    const std::vector<int32_t> prompt = random_tokens(40, 1);
    const Told expected = told_alone(machine, prompt, 8);
    const ContextHandle context = machine.context();
    const SequenceHandle sequence = make_sequence(context);
    const GenerationHandle generation = start(sequence, prompt, greedy(8));
    meeting = {context.get(), sequence.get(), generation.get(), true, 0};
    EXPECT_EQ(tell_all(generation.get()), expected);
    EXPECT_EQ(meeting.n_busy, 16);
}

TEST(ConcurrencyTest, TwoThreadsThatFightForAContextGetItInTurn) {
    const Machine machine;
    const std::vector<int32_t> prompt = random_tokens(30, 2);
    const Told expected = told_alone(machine, prompt, 60);
    const ContextHandle context = machine.context();
    const SequenceHandle sequence = make_sequence(context);
    const GenerationHandle generation = start(sequence, prompt, greedy(60));
    std::atomic<int> n_other{0};
    std::atomic<bool> is_done{false};
    std::mutex mutex;  // of the event order, not of the context
    std::vector<int32_t> tokens;
    on_threads(4, [&](int i) {
        while (!is_done) {
            if (i >= 2) {
                int32_t n = 0;
                const puna_status status = puna_sequence_length(sequence.get(), &n, nullptr);
                if (status != PUNA_OK && status != PUNA_ERROR_BUSY) ++n_other;
                std::this_thread::yield();
                continue;
            }
            const std::lock_guard lock(mutex);
            puna_event event = PUNA_EVENT_INIT;
            const puna_status status = puna_generation_next(generation.get(), 0, &event, nullptr);
            if (status == PUNA_ERROR_BUSY) continue;
            if (status != PUNA_OK) ++n_other;
            if (event.kind == PUNA_EVENT_TOKEN) tokens.push_back(event.token);
            if (event.kind == PUNA_EVENT_DONE || status != PUNA_OK) is_done = true;
        }
    });
    EXPECT_EQ(n_other, 0);
    EXPECT_EQ(tokens, expected.tokens);
}

TEST(ConcurrencyTest, AModelAnswersManyThreadsAtOnce) {
    const Machine machine;
    const std::string text = "hello to many threads <s> at once \xE2\x82\xAC";
    const auto ask = [&](int) {
        std::string out;
        for (int round = 0; round < 50; ++round) {
            int32_t tokens[128];
            int32_t n = 0;
            char buffer[1024];
            size_t size = 0;
            puna_model_info info = PUNA_MODEL_INFO_INIT;
            puna_memory_info memory = PUNA_MEMORY_INFO_INIT;
            EXPECT_EQ(puna_model_tokenize(machine.model.get(), text.data(), text.size(), 0, tokens,
                                          128, &n, nullptr),
                      PUNA_OK);
            EXPECT_EQ(puna_model_detokenize(machine.model.get(), tokens, n, 0, buffer,
                                            sizeof buffer, &size, nullptr),
                      PUNA_OK);
            EXPECT_EQ(puna_model_get_info(machine.model.get(), &info, nullptr), PUNA_OK);
            EXPECT_EQ(puna_runtime_memory(machine.runtime.get(), &memory, nullptr), PUNA_OK);
            out.assign(buffer, size);
        }
        return out;
    };
    const std::string expected = ask(0);
    EXPECT_EQ(expected, text);
    on_threads(kThreads, [&](int i) { EXPECT_EQ(ask(i), expected); });
}

TEST(ConcurrencyTest, TwoRuntimesShareNothing) {
    Hooks hooks[2];
    Told told[2];
    const std::vector<int32_t> prompt = random_tokens(40, 3);
    on_threads(2, [&](int i) {
        const Machine machine(hooks[i].options(1 + i));
        told[i] = told_alone(machine, prompt, 16);
        EXPECT_GT(hooks[i].n_live_blocks.load() + hooks[i].n_allocations.load(), 0);
    });
    EXPECT_EQ(told[0], told[1]);
    for (Hooks& h : hooks) {
        EXPECT_EQ(h.n_live_bytes, 0);
        EXPECT_EQ(h.n_alloc_released, 1);
    }
}

TEST(ConcurrencyTest, ContextsShareOnePoolOfThreads) {
    const Machine machine(4);
    const std::vector<int32_t> prompt = random_tokens(64, 4);
    const Told expected = told_alone(machine, prompt, 16);
    on_threads(6, [&](int) {
        for (int round = 0; round < 3; ++round) {
            EXPECT_EQ(told_alone(machine, prompt, 16), expected);
        }
    });
}

TEST(ConcurrencyTest, ModelsLoadAndGoOnManyThreadsOfOneRuntime) {
    Hooks hooks;
    {
        const Machine machine(hooks.options(2));
        const std::vector<int32_t> prompt = random_tokens(20, 5);
        const Told expected = told_alone(machine, prompt, 4);
        on_threads(4, [&](int) {
            const puna_source source = machine.source();
            puna_model* model = nullptr;
            ASSERT_EQ(puna_model_load(machine.runtime.get(), &source, 1, nullptr, &model, nullptr),
                      PUNA_OK);
            puna_model_destroy(model);
            EXPECT_EQ(told_alone(machine, prompt, 4), expected);
        });
    }
    EXPECT_EQ(hooks.n_live_bytes, 0);
}

}  // namespace
}  // namespace puna::test
