// A game gives the library a slice of time in every frame.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/engine_fixture.h"

namespace puna::test {
namespace {

using std::chrono::microseconds;

constexpr int32_t kLayers = 16;

// Many small layers, so that a slice ends between layers more often than between tokens. The scalar
// kernels take longer for any layer than the shortest slice.
ModelShape deep() {
    ModelShape shape;
    shape.n_embd = 48;
    shape.n_layer = kLayers;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_ff = 128;
    shape.n_vocab = 100;
    return shape;
}

class GameLoopTest : public testing::Test {
  protected:
    Engine engine_{deep(), "scalar"};
    std::vector<Token> prompt_ = random_tokens(engine_.n_vocab(), 90, 1);

    Told without_budget() const {
        Context context = engine_.context({.n_ctx = 256});
        Sequence sequence = context.sequence();
        return generate(sequence, prompt_, greedy(20));
    }
};

TEST_F(GameLoopTest, AStepGoesOnForOneLayerAtMostWhenItsTimeIsOver) {
    Context context = engine_.context({.n_ctx = 256});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_, greedy(20));
    Told told;
    while (told.finish == PUNA_FINISH_NONE) {
        const uint64_t n_before = context.info().n_layers_run;
        context.step(microseconds(1));
        ASSERT_LE(context.info().n_layers_run - n_before, 1u);
        (void)tell_queued(generation, told);
    }
    EXPECT_EQ(told, without_budget());
}

TEST_F(GameLoopTest, NextDoesTheSame) {
    Context context = engine_.context({.n_ctx = 256});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_, greedy(5));
    Told told;
    for (;;) {
        const uint64_t n_before = context.info().n_layers_run;
        const Event event = generation.next(microseconds(1));
        // The head of a batch that wants no output takes no time, and the next batch begins.
        ASSERT_LE(context.info().n_layers_run - n_before, 2u);
        if (tell(event, told)) break;
    }
    Told expected = without_budget();
    expected.tokens.resize(5);
    EXPECT_EQ(told.tokens, expected.tokens);
}

TEST_F(GameLoopTest, TwoMillisecondsAFrameTellTheSameText) {
    Context context = engine_.context({.n_ctx = 256});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_, greedy(20));
    Told told;
    while (told.finish == PUNA_FINISH_NONE) {
        context.step(microseconds(2000));
        (void)tell_queued(generation, told);
    }
    EXPECT_EQ(told, without_budget());
}

// As a loop has it that asks for what is left until the next frame.
TEST_F(GameLoopTest, WhatIsLeftOfAFrameIsNeverNoLimit) {
    Context context = engine_.context({.n_ctx = 256});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_, greedy(1));
    const auto n_layers_of = [&](const auto& call) {
        const uint64_t n_before = context.info().n_layers_run;
        call();
        return context.info().n_layers_run - n_before;
    };
    using std::chrono::nanoseconds;
    for (const Budget rest :
         {Budget(nanoseconds(1)), Budget(nanoseconds(999)), Budget(0), Budget(nanoseconds(-1)),
          Budget(std::chrono::hours::min()), Budget(std::chrono::duration<float>(1e-9f))}) {
        SCOPED_TRACE(rest.count());
        EXPECT_EQ(n_layers_of([&] { context.step(rest); }), 1u);
        const uint64_t n_layers = n_layers_of([&] {  // see NextDoesTheSame
            EXPECT_TRUE(generation.next(rest).pending());
        });
        if (rest.count() > 0) {
            EXPECT_GE(n_layers, 1u);
            EXPECT_LE(n_layers, 2u);
        } else {
            EXPECT_EQ(n_layers, 0u);
        }
    }
}

TEST_F(GameLoopTest, LongBudgetsAreWaitedFor) {
    Context context = engine_.context({.n_ctx = 256});
    for (const Budget budget :
         {kNoLimit, Budget(std::chrono::hours::max()), Budget(std::chrono::nanoseconds::max())}) {
        Sequence sequence = context.sequence();
        Generation generation = sequence.generate(prompt_, greedy(1));
        EXPECT_EQ(generation.next(budget).kind, PUNA_EVENT_TOKEN);
    }
}

// Rows of each batch of a prompt of n tokens, while steps have this budget.
std::vector<uint64_t> batches_of(Engine& engine, size_t n_prompt, microseconds budget) {
    Context context = engine.context({.n_ctx = 512});
    Sequence sequence = context.sequence();
    GenerationOptions options;
    options.prompt_only = 1;
    Generation generation =
        sequence.generate(random_tokens(engine.n_vocab(), n_prompt, 2), options);
    std::vector<uint64_t> batches;
    uint64_t n_rows = 0;
    while (!generation.next(microseconds(PUNA_BUDGET_POLL)).done()) {
        context.step(budget);
        const uint64_t n_now = context.info().n_rows_run;
        if (n_now > n_rows) batches.push_back(n_now - n_rows);
        n_rows = n_now;
    }
    EXPECT_EQ(n_rows, n_prompt);
    return batches;
}

TEST_F(GameLoopTest, BatchesShrinkUntilALayerFits) {
    const std::vector<uint64_t> batches = batches_of(engine_, 120, microseconds(1));
    EXPECT_EQ(batches.back(), 1u);
    for (size_t i = 1; i < batches.size(); ++i) EXPECT_LE(batches[i], batches[i - 1]);
}

TEST_F(GameLoopTest, BatchesGrowWhereThereIsTime) {
    const std::vector<uint64_t> batches = batches_of(engine_, 500, std::chrono::seconds(600));
    EXPECT_LE(batches.front(), 64u);
    EXPECT_EQ(*std::max_element(batches.begin(), batches.end()), 256u);
}

TEST_F(GameLoopTest, APromptThatIsWorkedInSlicesTellsHowFarItIs) {
    Context context = engine_.context({.n_ctx = 256, .n_batch = 16});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_, greedy(1));
    int32_t n_done = 0;
    int n_pending = 0;
    for (;;) {
        const Event event = generation.next(microseconds(1));
        EXPECT_EQ(event.n_prefill, 90);
        EXPECT_GE(event.n_prefill_done, n_done);
        n_done = event.n_prefill_done;
        if (!event.pending()) break;
        EXPECT_LT(n_done, 90);
        EXPECT_EQ(sequence.length(), 0);  // it counts once it is evaluated
        ++n_pending;
    }
    EXPECT_EQ(n_done, 90);
    EXPECT_GT(n_pending, kLayers);
}

TEST_F(GameLoopTest, OthersSpeakWhileALongPromptIsRead) {
    Context context = engine_.context({.n_ctx = 2048, .n_cells = 4096, .n_batch = 16});
    Sequence talker = context.sequence();
    Generation talk = talker.generate(std::span(prompt_).first(2), greedy(40));
    ASSERT_EQ(talk.next().kind, PUNA_EVENT_TOKEN);
    Sequence listener = context.sequence();
    Generation listen = listener.generate(random_tokens(engine_.n_vocab(), 320, 3), greedy(1));
    int n_tokens = 0;
    while (listen.next(microseconds(PUNA_BUDGET_POLL)).pending()) {
        context.step();
        if (talk.next(microseconds(PUNA_BUDGET_POLL)).kind == PUNA_EVENT_TOKEN) ++n_tokens;
    }
    EXPECT_GE(n_tokens, 20);  // a token with each batch of at most 16 rows
}

TEST_F(GameLoopTest, StepsCountWhatIsReadyAndActive) {
    Context context = engine_.context({.n_ctx = 64, .n_cells = 128});
    int32_t n_ready = -1;
    int32_t n_active = -1;
    const auto step = [&] {
        return puna_context_step(context.handle(), 0, &n_ready, &n_active, nullptr);
    };
    ASSERT_EQ(step(), PUNA_OK);
    EXPECT_EQ(n_ready, 0);
    EXPECT_EQ(n_active, 0);
    Sequence one = context.sequence();
    Sequence two = context.sequence();
    Generation first = one.generate(std::span(prompt_).first(3), greedy(1));
    Generation second = two.generate(std::span(prompt_).first(4), greedy(2));
    ASSERT_EQ(step(), PUNA_OK);
    EXPECT_EQ(n_ready, 2);
    EXPECT_EQ(n_active, 1);
    (void)tell_all(first);
    ASSERT_EQ(step(), PUNA_OK);
    EXPECT_EQ(n_ready, 1);
    EXPECT_EQ(n_active, 0);
    EXPECT_EQ(puna_context_step(context.handle(), -1, nullptr, nullptr, nullptr),
              PUNA_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace puna::test
