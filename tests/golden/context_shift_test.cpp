// What happens at n_ctx: every policy at every size, and what was dropped against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/engine_fixture.h"

namespace puna::test {
namespace {

constexpr int32_t kVocab = 40;

ModelShape tiny() {
    ModelShape shape;
    shape.n_embd = 16;
    shape.n_head = 2;
    shape.n_head_kv = 1;
    shape.n_ff = 24;
    shape.n_vocab = kVocab;
    return shape;
}

int32_t shift_of(int32_t n_ctx, int32_t n_keep) {
    return std::max(1, (n_ctx - n_keep) / 2);
}

GenerationOptions when_full(int32_t policy, int32_t max_tokens = 0, int32_t n_keep = 0) {
    GenerationOptions options = greedy(max_tokens);
    options.when_full = policy;
    options.n_keep = n_keep;
    return options;
}

std::vector<Token> prompt_of(int32_t n, uint64_t seed = 3) {
    return random_tokens(kVocab, static_cast<size_t>(n), seed);
}

class ContextShiftTest : public testing::Test {
  protected:
    Engine engine_{tiny()};
};

TEST_F(ContextShiftTest, ShiftedTextIsThatOfTheReference) {
    constexpr double kClear = 1e-4;
    int n_compared = 0;
    for (const int32_t n_keep : {0, 1, 5}) {
        for (const int32_t n_ctx : {16, 17, 31, 32, 33, 45, 64, 65, 70}) {
            for (const int32_t n_prompt : {1, n_ctx / 2, n_ctx}) {
                SCOPED_TRACE(testing::Message()
                             << "keep " << n_keep << " of " << n_ctx << ", prompt " << n_prompt);
                const std::vector<Token> prompt = prompt_of(n_prompt);
                const int32_t n_tokens = 2 * n_ctx + 3;
                const GreedyRun expected = reference_greedy_with_shift(
                    engine_.reference(), prompt, static_cast<size_t>(n_tokens),
                    static_cast<size_t>(n_ctx), static_cast<size_t>(n_keep));
                if (expected.smallest_gap < kClear) continue;
                ++n_compared;
                Context context = engine_.context({.n_ctx = n_ctx});
                Sequence sequence = context.sequence();
                const Told told =
                    generate(sequence, prompt, when_full(PUNA_FULL_SHIFT, n_tokens, n_keep));
                EXPECT_EQ(told.tokens, expected.tokens);
                EXPECT_EQ(told.finish, PUNA_FINISH_LENGTH);
            }
        }
    }
    EXPECT_GT(n_compared, 60);  // of 81
}

// ---- Every size --------------------------------------------------------------------------------

void expect_stop(Context& context, int32_t n_ctx, int32_t n_prompt) {
    Sequence sequence = context.sequence();
    const Told told = generate(sequence, prompt_of(n_prompt), when_full(PUNA_FULL_STOP));
    EXPECT_EQ(told.finish, PUNA_FINISH_CONTEXT_FULL);
    EXPECT_EQ(static_cast<int32_t>(told.tokens.size()), n_ctx - n_prompt);
    EXPECT_EQ(sequence.length(), n_ctx);
}

void expect_error(Context& context, int32_t n_ctx, int32_t n_prompt) {
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt_of(n_prompt), when_full(PUNA_FULL_ERROR));
    for (int32_t i = n_prompt; i < n_ctx; ++i) {
        ASSERT_EQ(generation.next().kind, PUNA_EVENT_TOKEN);
    }
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_CONTEXT_FULL);
        EXPECT_EQ(generation.info().finish, PUNA_FINISH_NONE);
    }
    EXPECT_EQ(sequence.length(), n_ctx);
}

void expect_shift(Context& context, int32_t n_ctx, int32_t n_prompt) {
    constexpr int32_t kTokens = 12;
    const int32_t n_keep = n_prompt % n_ctx;
    int32_t length = n_prompt;
    int32_t n_dropped = 0;
    for (int32_t i = 0; i < kTokens; ++i) {
        if (length == n_ctx) {
            length -= shift_of(n_ctx, n_keep);
            n_dropped += shift_of(n_ctx, n_keep);
        }
        ++length;
    }
    Sequence sequence = context.sequence();
    Generation generation =
        sequence.generate(prompt_of(n_prompt), when_full(PUNA_FULL_SHIFT, kTokens, n_keep));
    const Told told = tell_all(generation);
    EXPECT_EQ(told.finish, PUNA_FINISH_LENGTH);
    EXPECT_EQ(static_cast<int32_t>(told.tokens.size()), kTokens);
    EXPECT_EQ(sequence.length(), length);
    EXPECT_EQ(generation.info().n_dropped, n_dropped);
}

void expect_refused(Context& context, int32_t n_prompt, puna_status status) {
    for (const int32_t policy : {PUNA_FULL_STOP, PUNA_FULL_ERROR, PUNA_FULL_SHIFT}) {
        for (const int32_t mode : {PUNA_PROMPT_APPEND, PUNA_PROMPT_REPLACE}) {
            Sequence sequence = context.sequence();
            GenerationOptions options = when_full(policy);
            options.prompt_mode = mode;
            EXPECT_EQ(status_of(sequence.try_generate(prompt_of(n_prompt), options)), status);
            EXPECT_EQ(sequence.length(), 0);
        }
    }
}

TEST_F(ContextShiftTest, EverySizeOfContextAndPromptEndsAsDocumented) {
    for (int32_t n_ctx = 1; n_ctx <= 64; ++n_ctx) {
        Context context = engine_.context({.n_ctx = n_ctx, .n_batch = 1 + n_ctx % 9});
        expect_refused(context, 0, PUNA_ERROR_ARGUMENT);
        for (int32_t n_prompt = 1; n_prompt <= 80; ++n_prompt) {
            SCOPED_TRACE(testing::Message() << "n_ctx " << n_ctx << ", prompt " << n_prompt);
            if (n_prompt > n_ctx) {
                expect_refused(context, n_prompt, PUNA_ERROR_CONTEXT_FULL);
                continue;
            }
            expect_stop(context, n_ctx, n_prompt);
            expect_error(context, n_ctx, n_prompt);
            expect_shift(context, n_ctx, n_prompt);
        }
        EXPECT_EQ(context.info().n_cells_used, 0);
    }
}

TEST_F(ContextShiftTest, TheLimitOfTokensCountsBeforeTheContext) {
    Context context = engine_.context({.n_ctx = 16});
    for (const int32_t policy : {PUNA_FULL_STOP, PUNA_FULL_ERROR, PUNA_FULL_SHIFT}) {
        Sequence sequence = context.sequence();
        const Told told = generate(sequence, prompt_of(10), when_full(policy, 6));
        EXPECT_EQ(told.finish, PUNA_FINISH_LENGTH);
        EXPECT_EQ(told.tokens.size(), 6u);
    }
}

TEST_F(ContextShiftTest, AFullContextSaysBothCounts) {
    Context context = engine_.context({.n_ctx = 20});
    Sequence sequence = context.sequence();
    sequence.evaluate(prompt_of(13));
    const auto refused = sequence.try_generate(prompt_of(8));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.failure().status, PUNA_ERROR_CONTEXT_FULL);
    EXPECT_NE(refused.failure().message.find("13"), std::string::npos) << refused.failure().message;
    EXPECT_NE(refused.failure().message.find("8"), std::string::npos) << refused.failure().message;
    EXPECT_EQ(sequence.tokens(), prompt_of(13));
}

// ---- Prompts that do not fit behind what is there ----------------------------------------------

TEST_F(ContextShiftTest, RoomIsMadeForPromptsAsDocumented) {
    constexpr int32_t kCtx = 40;
    int n_dropping = 0;
    for (const int32_t n_held : {1, 7, 20, 31, 33, 40}) {
        for (const int32_t n_prompt : {1, 5, 19, 32, 39, 40, 41}) {
            for (const int32_t n_keep : {0, 1, 6, 20, 39}) {
                SCOPED_TRACE(testing::Message()
                             << n_held << " held, prompt " << n_prompt << ", keep " << n_keep);
                const std::vector<Token> held = prompt_of(n_held, 5);
                const std::vector<Token> prompt = prompt_of(n_prompt, 6);
                Context context = engine_.context({.n_ctx = kCtx});
                Sequence sequence = context.sequence();
                sequence.evaluate(held);
                const GenerationOptions options = when_full(PUNA_FULL_SHIFT, 4, n_keep);

                const int32_t n_over = n_held + n_prompt - kCtx;
                const int32_t n_droppable = std::max(0, n_held - n_keep);
                if (n_prompt > kCtx || n_over > n_droppable) {
                    EXPECT_EQ(status_of(sequence.try_generate(prompt, options)),
                              PUNA_ERROR_CONTEXT_FULL);
                    EXPECT_EQ(sequence.tokens(), held);
                    continue;
                }
                int32_t n_drop = 0;
                if (n_over > 0) {
                    n_drop = std::min(std::max(n_over, shift_of(kCtx, n_keep)), n_droppable);
                    ++n_dropping;
                }
                Generation generation = sequence.generate(prompt, options);
                EXPECT_EQ(sequence.length(), n_held - n_drop);
                EXPECT_EQ(generation.info().n_dropped, n_drop);
                // Up to the end of the context: what comes then is another test's.
                const int32_t n_free = kCtx - (n_held - n_drop) - n_prompt;
                const auto tokens = tell_all(generation).tokens;
                ReferenceSequence reference(engine_.reference());
                (void)reference.append(held);
                if (n_drop > 0) {
                    reference.drop(static_cast<size_t>(n_keep), static_cast<size_t>(n_drop));
                }
                EXPECT_TRUE(follows_greedily(
                    reference, reference.append(prompt),
                    std::span(tokens).first(static_cast<size_t>(std::clamp(n_free + 1, 1, 4))),
                    kVocab));
            }
        }
    }
    EXPECT_GT(n_dropping, 20);
}

// ---- PUNA_PROMPT_REPLACE -----------------------------------------------------------------------

TEST_F(ContextShiftTest, ReplacingKeepsTheCommonPrefix) {
    constexpr int32_t kCtx = 80;
    Context context = engine_.context({.n_ctx = kCtx, .n_cells = 320});
    const std::vector<Token> held = prompt_of(50, 5);
    for (const int32_t n_common : {0, 1, 31, 32, 33, 49, 50}) {
        for (const int32_t n_new : {0, 1, 20}) {
            if (n_common + n_new == 0) continue;
            SCOPED_TRACE(testing::Message() << n_common << " common, " << n_new << " new");
            std::vector<Token> prompt(held.begin(), held.begin() + n_common);
            for (int32_t i = 0; i < n_new; ++i) {
                const size_t at = prompt.size();
                const Token other = at < held.size() ? (held[at] + 1) % kVocab : Token{4};
                prompt.push_back(other);
            }
            Sequence sequence = context.sequence();
            sequence.evaluate(held);
            GenerationOptions options = greedy(5);
            options.prompt_mode = PUNA_PROMPT_REPLACE;
            Generation generation = sequence.generate(prompt, options);
            EXPECT_EQ(sequence.length(), n_common);
            const Told told = tell_all(generation);
            EXPECT_TRUE(is_greedy_text(engine_.reference(), prompt, told.tokens));
            const puna_generation_info info = generation.info();
            EXPECT_EQ(info.n_prompt, n_common + n_new);
            // The last token is evaluated in any case: its logits are wanted.
            EXPECT_EQ(info.n_prompt_reused, n_new == 0 ? n_common - 1 : n_common);
            std::vector<Token> all = prompt;
            all.insert(all.end(), told.tokens.begin(), told.tokens.end());
            EXPECT_EQ(sequence.tokens(), all);
        }
    }
}

TEST_F(ContextShiftTest, WhatReplacingTruncatedStaysSo) {
    Context context = engine_.context({.n_ctx = 40});
    Sequence sequence = context.sequence();
    const std::vector<Token> held = prompt_of(30, 5);
    sequence.evaluate(held);
    std::vector<Token> prompt(held.begin(), held.begin() + 12);
    prompt.push_back((held[12] + 1) % kVocab);
    GenerationOptions options = greedy(5);
    options.prompt_mode = PUNA_PROMPT_REPLACE;
    { Generation dropped = sequence.generate(prompt, options); }
    EXPECT_EQ(sequence.tokens(), std::vector<Token>(held.begin(), held.begin() + 12));
    // A prompt that is too long changes nothing.
    EXPECT_EQ(status_of(sequence.try_generate(prompt_of(41), options)), PUNA_ERROR_CONTEXT_FULL);
    EXPECT_EQ(sequence.length(), 12);
}

}  // namespace
}  // namespace puna::test
