// puna_sequence_evaluate: every output, alone and after what is there, against the reference.
#include <gtest/gtest.h>

#include <cmath>

#include "support/engine_fixture.h"

namespace puna::test {
namespace {

constexpr int32_t kVocab = 120;
constexpr int32_t kEmbd = 24;
constexpr std::span<const Token> kNothing;

ModelShape tiny() {
    ModelShape shape;
    shape.n_embd = kEmbd;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_ff = 40;
    shape.n_vocab = kVocab;
    return shape;
}

double length_of(std::span<const float> row) {
    double sum = 0;
    for (const float value : row) sum += static_cast<double>(value) * value;
    return std::sqrt(sum);
}

class EvaluateTest : public testing::Test {
  protected:
    std::vector<float> rows(Sequence& sequence, std::span<const Token> tokens, int32_t output,
                            size_t n, bool normalize = false) {
        std::vector<float> out(n);
        sequence.evaluate(tokens, out, output, nullptr, normalize);
        return out;
    }

    Engine engine_{tiny()};
    // Batches of 7: the outputs of a call come from several.
    Context context_ = engine_.context({.n_ctx = 64, .n_cells = 256, .n_batch = 7});
    std::vector<Token> tokens_ = random_tokens(kVocab, 30, 1);
};

TEST_F(EvaluateTest, LogitsAreThoseOfTheReference) {
    const std::vector<double> expected = reference_logits(engine_.reference(), tokens_);
    Sequence sequence = context_.sequence();
    const auto first =
        rows(sequence, std::span(tokens_).first(10), PUNA_OUTPUT_LOGITS_ALL, 10 * kVocab);
    const auto rest =
        rows(sequence, std::span(tokens_).subspan(10), PUNA_OUTPUT_LOGITS_LAST, kVocab);
    EXPECT_LT(kl_divergence(std::span(expected).first(10 * kVocab), first, kVocab).relative_error,
              1e-5);
    EXPECT_LT(kl_divergence(std::span(expected).last(kVocab), rest, kVocab).relative_error, 1e-5);
    EXPECT_EQ(sequence.tokens(), tokens_);
    // Once more, of the last token.
    EXPECT_EQ(rows(sequence, kNothing, PUNA_OUTPUT_LOGITS_LAST, kVocab), rest);
    EXPECT_EQ(sequence.tokens(), tokens_);
}

TEST_F(EvaluateTest, HiddenRowsAreWhatTheHeadSees) {
    Sequence sequence = context_.sequence();
    const auto hidden = rows(sequence, tokens_, PUNA_OUTPUT_HIDDEN_ALL, 30 * kEmbd);
    const std::vector<double> expected = reference_logits(engine_.reference(), tokens_);
    const std::vector<float>& head = engine_.reference().output.weight;
    std::vector<float> logits;
    for (size_t row = 0; row < 30; ++row) {
        for (size_t token = 0; token < kVocab; ++token) {
            double sum = 0;
            for (size_t i = 0; i < kEmbd; ++i) {
                sum += static_cast<double>(head[token * kEmbd + i]) * hidden[row * kEmbd + i];
            }
            logits.push_back(static_cast<float>(sum));
        }
    }
    EXPECT_LT(kl_divergence(expected, logits, kVocab).relative_error, 1e-5);
    EXPECT_EQ(rows(sequence, kNothing, PUNA_OUTPUT_HIDDEN_LAST, kEmbd),
              std::vector<float>(hidden.end() - kEmbd, hidden.end()));
}

TEST_F(EvaluateTest, TheMeanIsOfTheTokensOfTheCall) {
    Sequence one = context_.sequence();
    const auto all = rows(one, tokens_, PUNA_OUTPUT_HIDDEN_ALL, 30 * kEmbd);
    Sequence two = context_.sequence();
    two.evaluate(std::span(tokens_).first(11));
    const auto mean = rows(two, std::span(tokens_).subspan(11), PUNA_OUTPUT_HIDDEN_MEAN, kEmbd);
    for (size_t i = 0; i < kEmbd; ++i) {
        double sum = 0;
        for (size_t row = 11; row < 30; ++row) sum += all[row * kEmbd + i];
        EXPECT_NEAR(mean[i], sum / 19, 1e-5);
    }
    EXPECT_EQ(two.length(), 30);
}

TEST_F(EvaluateTest, NormalizingMakesRowsOfLengthOne) {
    Sequence plain = context_.sequence();
    const auto raw = rows(plain, tokens_, PUNA_OUTPUT_HIDDEN_ALL, 30 * kEmbd);
    Sequence sequence = context_.sequence();
    const auto all = rows(sequence, tokens_, PUNA_OUTPUT_HIDDEN_ALL, 30 * kEmbd, true);
    for (size_t row = 0; row < 30; ++row) {
        const auto of_raw = std::span(raw).subspan(row * kEmbd, kEmbd);
        const auto of_all = std::span(all).subspan(row * kEmbd, kEmbd);
        EXPECT_NEAR(length_of(of_all), 1, 1e-6);
        EXPECT_NEAR(of_all[3] * length_of(of_raw), of_raw[3], 1e-5);
    }
    Sequence of_mean = context_.sequence();
    const auto mean = rows(of_mean, tokens_, PUNA_OUTPUT_HIDDEN_MEAN, kEmbd, true);
    EXPECT_NEAR(length_of(mean), 1, 1e-6);
    // Logits are no hidden rows.
    Sequence of_logits = context_.sequence();
    EXPECT_EQ(rows(of_logits, tokens_, PUNA_OUTPUT_LOGITS_LAST, kVocab, true),
              rows(plain, kNothing, PUNA_OUTPUT_LOGITS_LAST, kVocab));
}

TEST_F(EvaluateTest, NoOutputFillsTheCells) {
    Sequence sequence = context_.sequence();
    GenerationOptions options = greedy(1);
    Told told = generate(sequence, tokens_, options);
    const uint64_t n_rows = context_.info().n_rows_run;
    sequence.evaluate(kNothing);
    EXPECT_EQ(context_.info().n_rows_run, n_rows + 1);  // the token that was sampled
    sequence.evaluate(kNothing);
    EXPECT_EQ(context_.info().n_rows_run, n_rows + 1);
    Sequence empty = context_.sequence();
    empty.evaluate(kNothing);
    EXPECT_EQ(empty.length(), 0);
}

TEST_F(EvaluateTest, WhatCannotBeIsRefusedAndChangesNothing) {
    Sequence sequence = context_.sequence();
    std::vector<float> out(30 * kVocab);
    const auto refused = [&](std::span<const Token> tokens, size_t n_out, int32_t output) {
        const int32_t length = sequence.length();
        const auto result = sequence.try_evaluate(tokens, std::span(out).first(n_out), output);
        EXPECT_FALSE(result.ok());
        EXPECT_EQ(sequence.length(), length);
        return result.failure().status;
    };
    EXPECT_EQ(refused(kNothing, kVocab, PUNA_OUTPUT_LOGITS_LAST), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(refused(kNothing, kEmbd, PUNA_OUTPUT_HIDDEN_LAST), PUNA_ERROR_ARGUMENT);
    sequence.evaluate(std::span(tokens_).first(5));
    for (const int32_t output :
         {PUNA_OUTPUT_LOGITS_ALL, PUNA_OUTPUT_HIDDEN_ALL, PUNA_OUTPUT_HIDDEN_MEAN}) {
        EXPECT_EQ(refused(kNothing, out.size(), output), PUNA_ERROR_ARGUMENT);
    }
    EXPECT_EQ(refused(tokens_, kVocab - 1, PUNA_OUTPUT_LOGITS_LAST), PUNA_ERROR_BUFFER);
    EXPECT_EQ(refused(tokens_, 30 * kVocab - 1, PUNA_OUTPUT_LOGITS_ALL), PUNA_ERROR_BUFFER);
    EXPECT_EQ(refused(tokens_, kEmbd - 1, PUNA_OUTPUT_HIDDEN_MEAN), PUNA_ERROR_BUFFER);
    EXPECT_EQ(refused(tokens_, kVocab, 6), PUNA_ERROR_ARGUMENT);
    const auto into_null = [&](size_t out_size) {
        puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
        options.output = PUNA_OUTPUT_LOGITS_LAST;
        return puna_sequence_evaluate(sequence.handle(), tokens_.data(), 1, &options, nullptr,
                                      out_size, nullptr);
    };
    EXPECT_EQ(into_null(kVocab * sizeof(float)), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(into_null(0), PUNA_ERROR_BUFFER);
    EXPECT_EQ(refused(tokens_, kVocab, -1), PUNA_ERROR_ARGUMENT);
    const std::vector<Token> bad = {3, kVocab};
    EXPECT_EQ(refused(bad, kVocab, PUNA_OUTPUT_LOGITS_LAST), PUNA_ERROR_ARGUMENT);
    const std::vector<Token> many = random_tokens(kVocab, 60, 2);
    EXPECT_EQ(refused(many, kVocab, PUNA_OUTPUT_LOGITS_LAST), PUNA_ERROR_CONTEXT_FULL);

    const Cancel cancel;
    cancel.trigger();
    const int32_t n_cells = context_.info().n_cells_used;
    EXPECT_EQ(status_of(sequence.try_evaluate(std::span(many).first(50), {}, PUNA_OUTPUT_DEFAULT,
                                              &cancel)),
              PUNA_ERROR_CANCELLED);
    EXPECT_EQ(sequence.length(), 5);
    EXPECT_EQ(context_.info().n_cells_used, n_cells);
}

TEST_F(EvaluateTest, OthersAreAsTheyWere) {
    Sequence other = context_.sequence();
    Generation generation = other.generate(tokens_, greedy(8));
    Told told;
    ASSERT_FALSE(tell(generation.next(), told));
    Sequence sequence = context_.sequence();
    for (int i = 0; told.finish == PUNA_FINISH_NONE; ++i) {
        context_.step(std::chrono::microseconds(1));  // a batch is under way
        if (i % 3 == 0 && sequence.length() < 60) {
            sequence.evaluate(std::span(tokens_).first(1));
        }
        (void)tell_queued(generation, told);
    }
    Context fresh_context = engine_.context({.n_ctx = 64});
    Sequence fresh = fresh_context.sequence();
    EXPECT_EQ(told, generate(fresh, tokens_, greedy(8)));
}

}  // namespace
}  // namespace puna::test
