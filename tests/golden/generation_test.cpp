// Everything a generation does besides choosing tokens: text, stops, ends, events, options.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/engine_fixture.h"

namespace puna::test {
namespace {

using std::chrono::microseconds;

constexpr std::span<const Token> kNothing;
constexpr microseconds kPoll{PUNA_BUDGET_POLL};

ModelShape tiny() {
    ModelShape shape;
    shape.n_embd = 24;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_ff = 40;
    shape.n_vocab = 400;
    return shape;
}

class GenerationTest : public testing::Test {
  protected:
    // Has the generation say these tokens; it was started with stop_before_sampling.
    Told dictate(Generation& generation, std::span<const Token> tokens) {
        Told told;
        size_t n_said = 0;
        for (;;) {
            const Event event = generation.next();
            if (tell(event, told)) return told;
            if (event.kind != PUNA_EVENT_LOGITS) continue;
            if (n_said == tokens.size()) return told;
            generation.accept(tokens[n_said++]);
        }
    }
    Told dictate(std::span<const Token> tokens, GenerationOptions options) {
        options.stop_before_sampling = 1;
        Sequence sequence = context_.sequence();
        Generation generation = sequence.generate(prompt_, options);
        const Told told = dictate(generation, tokens);
        info_ = generation.info();
        return told;
    }
    // A token for each byte.
    static std::vector<Token> spell(std::string_view text) {
        std::vector<Token> tokens;
        for (const char c : text) tokens.push_back(3 + static_cast<unsigned char>(c));
        return tokens;
    }
    static GenerationOptions stopping_at(std::vector<std::string> stops) {
        GenerationOptions options;
        options.stop = std::move(stops);
        return options;
    }
    int32_t n_text() const { return info_.n_sequence_text - static_cast<int32_t>(prompt_.size()); }

    Engine engine_{tiny()};
    Context context_ = engine_.context({.n_ctx = 256, .n_cells = 1024});
    std::vector<Token> prompt_ = random_tokens(400, 9, 1);
    puna_generation_info info_ = PUNA_GENERATION_INFO_INIT;
};

// ---- Ends --------------------------------------------------------------------------------------

TEST_F(GenerationTest, MaxTokensEndsIt) {
    for (const int32_t n : {1, 2, 17}) {
        Sequence sequence = context_.sequence();
        const Told told = generate(sequence, prompt_, greedy(n));
        EXPECT_EQ(told.finish, PUNA_FINISH_LENGTH);
        EXPECT_EQ(static_cast<int32_t>(told.tokens.size()), n);
        EXPECT_EQ(sequence.length(), 9 + n);
    }
}

TEST_F(GenerationTest, AnEndTokenEndsItAndHasAnEvent) {
    const Token end = engine_.model().info().token_eos;
    const std::vector<Token> said = {300, end, 301};
    const Told told = dictate(said, {});
    EXPECT_EQ(told.finish, PUNA_FINISH_END);
    EXPECT_EQ(told.tokens, (std::vector<Token>{300, end}));
    EXPECT_EQ(told.text,
              engine_.model().detokenize(std::span(said).first(1), PUNA_DETOKENIZE_CONTINUE));
    EXPECT_EQ(info_.n_generated, 2);

    GenerationOptions ignoring = greedy(3);
    EXPECT_EQ(dictate(said, ignoring).finish, PUNA_FINISH_LENGTH);
    EXPECT_EQ(dictate(said, ignoring).tokens, said);
    ignoring.special_text = 1;
    EXPECT_NE(dictate(said, ignoring).text.find("</s>"), std::string::npos);
}

TEST_F(GenerationTest, DoneIsSaidAgainAndAgain) {
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, greedy(2));
    (void)tell_all(generation);
    sequence.truncate(0);
    for (int i = 0; i < 3; ++i) {
        puna_event event = PUNA_EVENT_INIT;
        ASSERT_EQ(puna_generation_next(generation.handle(), i - 1, &event, nullptr), PUNA_OK);
        EXPECT_EQ(event.kind, PUNA_EVENT_DONE);
        EXPECT_EQ(event.finish, PUNA_FINISH_LENGTH);
        EXPECT_EQ(event.token, -1);
        EXPECT_EQ(event.n_generated, 2);
        EXPECT_EQ(event.n_sequence, 11);
        EXPECT_STREQ(event.text, "");
    }
}

TEST_F(GenerationTest, PromptOnlyFillsTheCache) {
    Sequence sequence = context_.sequence();
    GenerationOptions options;
    options.prompt_only = 1;
    const Told told = generate(sequence, prompt_, options);
    EXPECT_EQ(told.finish, PUNA_FINISH_PROMPT);
    EXPECT_TRUE(told.tokens.empty());
    EXPECT_EQ(sequence.tokens(), prompt_);
    Sequence other = context_.sequence();
    EXPECT_EQ(generate(sequence, kNothing, greedy(10)), generate(other, prompt_, greedy(10)));
}

TEST_F(GenerationTest, AnEmptyPromptContinuesAsItStands) {
    Sequence whole = context_.sequence();
    const Told expected = generate(whole, prompt_, greedy(20));
    Sequence parts = context_.sequence();
    std::vector<Token> tokens = generate(parts, prompt_, greedy(1)).tokens;
    for (const int32_t n : {4, 1, 9, 5}) {
        const Told told = generate(parts, kNothing, greedy(n));
        tokens.insert(tokens.end(), told.tokens.begin(), told.tokens.end());
    }
    EXPECT_EQ(tokens, expected.tokens);
    EXPECT_EQ(parts.tokens(), whole.tokens());
    Sequence empty = context_.sequence();
    EXPECT_EQ(status_of(empty.try_generate(kNothing)), PUNA_ERROR_ARGUMENT);
}

TEST_F(GenerationTest, TextBehindOtherTextGetsNoSecondBos) {
    const Token bos = engine_.model().info().token_bos;
    Sequence sequence = context_.sequence();
    {
        Generation first = sequence.generate("ab", greedy(1));
        (void)tell_all(first);
    }
    {
        Generation second = sequence.generate("cd", greedy(1));
        (void)tell_all(second);
    }
    const std::vector<Token> tokens = sequence.tokens();
    EXPECT_EQ(tokens.front(), bos);
    EXPECT_EQ(std::count(tokens.begin() + 1, tokens.end(), bos), 0);
    GenerationOptions replace = greedy(1);
    replace.prompt_mode = PUNA_PROMPT_REPLACE;
    {
        Generation third = sequence.generate("xy", replace);
        (void)tell_all(third);
    }
    EXPECT_EQ(sequence.tokens().front(), bos);
}

// ---- Stop strings ------------------------------------------------------------------------------

TEST_F(GenerationTest, StopStringsAreFoundAcrossTokens) {
    const std::vector<Token> said = spell("one two three four");
    const Told told = dictate(said, stopping_at({"five", "three", "e f"}));
    EXPECT_EQ(told.text, "one two ");
    EXPECT_EQ(told.finish, PUNA_FINISH_STOP);
    EXPECT_EQ(told.stop_index, 1);
    EXPECT_EQ(told.tokens.size(), std::strlen("one two three"));
    EXPECT_EQ(n_text(), static_cast<int32_t>(std::strlen("one two ")));
    EXPECT_EQ(info_.stop_index, 1);
}

TEST_F(GenerationTest, TruncatingTakesTheStopOutOfTheSequence) {
    GenerationOptions options = stopping_at({"\nUser:"});
    options.stop_before_sampling = 1;
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, options);
    EXPECT_EQ(dictate(generation, spell("Hello.\nUser: no")).finish, PUNA_FINISH_STOP);
    const int32_t n_text = generation.info().n_sequence_text;
    EXPECT_EQ(n_text, 9 + 6);
    sequence.truncate(n_text);
    std::vector<Token> expected = prompt_;
    const std::vector<Token> hello = spell("Hello.");
    expected.insert(expected.end(), hello.begin(), hello.end());
    EXPECT_EQ(sequence.tokens(), expected);
    Sequence other = context_.sequence();
    EXPECT_EQ(generate(sequence, kNothing, greedy(5)), generate(other, expected, greedy(5)));
}

TEST_F(GenerationTest, TextThatMayBeginAStopIsHeldBackAndGivenInTheEnd) {
    GenerationOptions options = stopping_at({"stop"});
    options.max_tokens = 5;
    const Told told = dictate(spell("a sto"), options);
    EXPECT_EQ(told.text, "a sto");
    EXPECT_EQ(told.finish, PUNA_FINISH_LENGTH);
    EXPECT_EQ(n_text(), 5);
}

TEST_F(GenerationTest, AStopOfOneCharacterThatManyTokensSpellTakesThemAllOut) {
    const Told told = dictate(spell("ab\xE2\x82\xAC"), stopping_at({"\xE2\x82\xAC"}));
    EXPECT_EQ(told.text, "ab");
    EXPECT_EQ(told.finish, PUNA_FINISH_STOP);
    EXPECT_EQ(n_text(), 2);
}

TEST_F(GenerationTest, CharactersAreNeverSplit) {
    const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    GenerationOptions options = greedy(static_cast<int32_t>(text.size()) + 1);
    options.stop_before_sampling = 1;
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, options);
    std::vector<std::string> pieces;
    std::vector<Token> said = spell(text + "\xE2");
    for (size_t n = 0;;) {
        const Event event = generation.next();
        if (event.done()) break;
        if (event.kind == PUNA_EVENT_LOGITS) generation.accept(said[n++]);
        if (event.kind == PUNA_EVENT_TOKEN) pieces.emplace_back(event.text);
    }
    // The last event has what was incomplete when it was over.
    EXPECT_EQ(pieces, (std::vector<std::string>{"a", "", "\xC3\xA9", "", "", "\xE2\x82\xAC", "", "",
                                                "", "\xF0\x9F\x98\x80", "z", "\xEF\xBF\xBD"}));
    EXPECT_EQ(generation.info().n_sequence_text, 9 + static_cast<int32_t>(said.size()));
}

TEST_F(GenerationTest, RawBytesAreAsTheTokensSpellThem) {
    GenerationOptions options = greedy(3);
    options.raw_bytes = 1;
    EXPECT_EQ(dictate(spell("\xE2\x82\x41"), options).text, "\xE2\x82\x41");
    EXPECT_EQ(dictate(spell("\xE2\x82\x41"), greedy(3)).text, "\xEF\xBF\xBD\x41");
}

// ---- Logits and probabilities ------------------------------------------------------------------

TEST_F(GenerationTest, LogprobsAreThoseOfTheReference) {
    for (const float temperature : {0.0f, 1.5f}) {
        GenerationOptions options = greedy(12);
        options.n_logprobs = 7;
        options.temperature = temperature;
        options.seed = 5;
        options.bias = {{11, 2.0f}, {12, -3.0f}};  // not part of the model's distribution
        Sequence sequence = context_.sequence();
        Generation generation = sequence.generate(prompt_, options);
        ReferenceSequence reference(engine_.reference());
        std::vector<double> logits = reference.append(prompt_);
        for (;;) {
            const Event event = generation.next();
            if (event.done()) break;
            const auto row = std::span(logits).last(400);
            double sum = 0;
            for (const double logit : row) sum += std::exp(logit);
            const auto expected = [&](Token token) {
                return row[static_cast<size_t>(token)] - std::log(sum);
            };
            EXPECT_NEAR(event.logprob, expected(event.token), 1e-4);
            ASSERT_EQ(event.logprobs.size(), 7u);
            double previous = 0;
            for (const puna_logprob& entry : event.logprobs) {
                EXPECT_NEAR(entry.logprob, expected(entry.token), 1e-4);
                EXPECT_LE(entry.logprob, previous);
                previous = entry.logprob;
            }
            // Nothing outside the list is likelier than its last.
            const auto n_likelier = std::count_if(row.begin(), row.end(), [&](double logit) {
                return logit - std::log(sum) > previous + 1e-4;
            });
            EXPECT_LT(n_likelier, 7);
            logits = reference.append(std::span(&event.token, 1));
        }
    }
}

TEST_F(GenerationTest, ChoosingTheLikeliestOneselfIsGreedy) {
    Sequence by_library = context_.sequence();
    const Told expected = generate(by_library, prompt_, greedy(15));
    GenerationOptions options = greedy(15);
    options.stop_before_sampling = 1;
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, options);
    Told told;
    for (;;) {
        const Event event = generation.next();
        if (tell(event, told)) break;
        if (event.kind != PUNA_EVENT_LOGITS) continue;
        ASSERT_EQ(event.logits.size(), 400u);
        const auto best = std::max_element(event.logits.begin(), event.logits.end());
        generation.accept(static_cast<Token>(best - event.logits.begin()));
    }
    EXPECT_EQ(told, expected);
}

TEST_F(GenerationTest, AcceptIsRefusedWhereItDoesNotFit) {
    Sequence sequence = context_.sequence();
    GenerationOptions options = greedy(2);
    options.stop_before_sampling = 1;
    Generation generation = sequence.generate(prompt_, options);
    EXPECT_EQ(status_of(generation.try_accept(1)), PUNA_ERROR_STATE);
    ASSERT_EQ(generation.next().kind, PUNA_EVENT_LOGITS);
    EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_STATE);
    EXPECT_EQ(status_of(generation.try_accept(-1)), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(status_of(generation.try_accept(400)), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(status_of(generation.try_accept(399)), PUNA_OK);
    EXPECT_EQ(status_of(generation.try_accept(399)), PUNA_ERROR_STATE);
    EXPECT_EQ(generation.next().token, 399);
    ASSERT_EQ(generation.next().kind, PUNA_EVENT_LOGITS);
    generation.accept(1);
    EXPECT_EQ(tell_all(generation).finish, PUNA_FINISH_LENGTH);
    EXPECT_EQ(status_of(generation.try_accept(1)), PUNA_ERROR_STATE);
}

TEST_F(GenerationTest, BiasBansAndPrefers) {
    Sequence free = context_.sequence();
    const Token first = generate(free, prompt_, greedy(1)).tokens[0];
    for (const int32_t n_logprobs : {0, 1}) {  // by the backend, and by the sampler
        GenerationOptions options = greedy(1);
        options.n_logprobs = n_logprobs;
        options.bias = {{first, -INFINITY}};
        Sequence banned = context_.sequence();
        EXPECT_NE(generate(banned, prompt_, options).tokens[0], first);
        options.bias = {{77, 1000.0f}};
        Sequence preferred = context_.sequence();
        EXPECT_EQ(generate(preferred, prompt_, options).tokens[0], 77);
        options.bias.clear();
        for (Token token = 0; token < 400; ++token) {
            if (token != 123) options.bias.push_back({token, -INFINITY});
        }
        Sequence left = context_.sequence();
        EXPECT_EQ(generate(left, prompt_, options).tokens[0], 123);
    }
}

TEST_F(GenerationTest, TheSeedIsReportedAndTellsTheSameAgain) {
    GenerationOptions options = greedy(30);
    options.temperature = 2;
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, options);
    const Told told = tell_all(generation);
    options.seed = generation.info().seed;
    EXPECT_NE(options.seed, 0u);
    Sequence again = context_.sequence();
    EXPECT_EQ(generate(again, prompt_, options), told);
    ++options.seed;
    Sequence other = context_.sequence();
    EXPECT_NE(generate(other, prompt_, options), told);
}

// ---- Events ------------------------------------------------------------------------------------

TEST_F(GenerationTest, APollEvaluatesNothing) {
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, greedy(3));
    const uint64_t n_layers = context_.info().n_layers_run;
    const Event event = generation.next(kPoll);
    EXPECT_TRUE(event.pending());
    EXPECT_EQ(event.n_prefill, 9);
    EXPECT_EQ(event.n_prefill_done, 0);
    EXPECT_EQ(context_.info().n_layers_run, n_layers);
    context_.step();
    EXPECT_EQ(generation.next(kPoll).kind, PUNA_EVENT_TOKEN);
    EXPECT_TRUE(generation.next(kPoll).pending());
}

TEST_F(GenerationTest, APausedOneIsPassedOver) {
    Sequence one = context_.sequence();
    Sequence two = context_.sequence();
    Generation paused = one.generate(prompt_, greedy(3));
    Generation other = two.generate(prompt_, greedy(3));
    ASSERT_EQ(puna_generation_pause(paused.handle(), 1, nullptr), PUNA_OK);
    EXPECT_EQ(tell_all(other).tokens.size(), 3u);
    EXPECT_TRUE(paused.next().pending());  // without a limit of time, and yet it returns
    const auto text = paused.try_text();
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.failure().status, PUNA_ERROR_STATE);
    int32_t n_active = -1;
    ASSERT_EQ(puna_context_step(context_.handle(), 0, nullptr, &n_active, nullptr), PUNA_OK);
    EXPECT_EQ(n_active, 0);
    ASSERT_EQ(puna_generation_pause(paused.handle(), 0, nullptr), PUNA_OK);
    EXPECT_EQ(tell_all(paused).tokens.size(), 3u);
}

TEST_F(GenerationTest, ItParksWhenNobodyFetchesItsEvents) {
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, greedy(100));
    for (int i = 0; i < 80; ++i) context_.step();
    EXPECT_EQ(generation.info().n_generated, 64);
    int32_t n_ready = 0;
    int32_t n_active = -1;
    ASSERT_EQ(puna_context_step(context_.handle(), 0, &n_ready, &n_active, nullptr), PUNA_OK);
    EXPECT_EQ(n_ready, 1);
    EXPECT_EQ(n_active, 0);
    const Told told = tell_all(generation);
    Sequence other = context_.sequence();
    EXPECT_EQ(told, generate(other, prompt_, greedy(100)));
}

TEST_F(GenerationTest, CancelledItSaysWhatWasHeldBackThenTheStatusThenDone) {
    const Cancel cancel;
    GenerationOptions options = stopping_at({"stop"});
    options.stop_before_sampling = 1;
    options.cancel = cancel.handle();
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, options);
    EXPECT_EQ(dictate(generation, spell("a sto")).text, "a ");
    cancel.trigger();
    const Event rest = generation.next();
    EXPECT_EQ(rest.kind, PUNA_EVENT_TOKEN);
    EXPECT_EQ(rest.token, -1);
    EXPECT_EQ(rest.text, "sto");
    EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_CANCELLED);
    EXPECT_EQ(generation.next().finish, PUNA_FINISH_CANCELLED);
    EXPECT_EQ(generation.info().n_sequence_text, 9 + 5);
    EXPECT_EQ(sequence.length(), 9 + 5);
}

TEST_F(GenerationTest, CancelledInThePromptTheSequenceIsAsBefore) {
    const Cancel cancel;
    GenerationOptions options = greedy(3);
    options.cancel = cancel.handle();
    Sequence sequence = context_.sequence();
    const std::vector<Token> held = random_tokens(400, 40, 5);
    sequence.evaluate(held);
    const int32_t n_cells = context_.info().n_cells_used;
    Generation generation = sequence.generate(random_tokens(400, 100, 6), options);
    EXPECT_TRUE(generation.next(microseconds(1)).pending());
    EXPECT_GT(context_.info().n_cells_used, n_cells);
    cancel.trigger();
    EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_CANCELLED);
    EXPECT_EQ(sequence.tokens(), held);
    EXPECT_EQ(context_.info().n_cells_used, n_cells);
    std::vector<Token> whole = held;
    whole.insert(whole.end(), prompt_.begin(), prompt_.end());
    Context fresh_context = engine_.context({.n_ctx = 256});
    Sequence fresh = fresh_context.sequence();
    EXPECT_EQ(generate(sequence, prompt_, greedy(10)), generate(fresh, whole, greedy(10)));
}

TEST_F(GenerationTest, AResetEndsAllOfThem) {
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, greedy(9));
    ASSERT_EQ(generation.next().kind, PUNA_EVENT_TOKEN);
    context_.step(microseconds(1));
    context_.reset();
    EXPECT_EQ(tell_all(generation).finish, PUNA_FINISH_ERROR);
    EXPECT_EQ(sequence.length(), 0);
    EXPECT_EQ(context_.info().n_cells_used, 0);
    EXPECT_EQ(generate(sequence, prompt_, greedy(9)).tokens.size(), 9u);
}

// ---- Options -----------------------------------------------------------------------------------

TEST_F(GenerationTest, OptionsOutOfTheirRangeAreRefusedByName) {
    const struct {
        const char* name;
        puna_status status;
        void (*set)(GenerationOptions&);
    } cases[] = {
        {"max_tokens", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.max_tokens = -1; }},
        {"temperature", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.temperature = -1; }},
        {"temperature", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.temperature = NAN; }},
        {"top_k", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.top_k = -1; }},
        {"top_p", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.top_p = -0.1f; }},
        {"min_p", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.min_p = 1.1f; }},
        {"typical_p", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.typical_p = NAN; }},
        {"repeat_penalty", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) { o.repeat_penalty = -1; }},
        {"presence_penalty", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) { o.presence_penalty = INFINITY; }},
        {"frequency_penalty", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) { o.frequency_penalty = NAN; }},
        {"penalty_last_n", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) { o.penalty_last_n = -2; }},
        {"mirostat", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.mirostat = 3; }},
        {"mirostat_tau", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.mirostat_tau = -1; }},
        {"mirostat_eta", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.mirostat_eta = NAN; }},
        {"when_full", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.when_full = 4; }},
        {"when_full", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.when_full = -1; }},
        {"n_keep", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_keep = 256; }},
        {"n_keep", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_keep = -1; }},
        {"prompt_mode", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.prompt_mode = 3; }},
        {"n_logprobs", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) { o.n_logprobs = PUNA_MAX_LOGPROBS + 1; }},
        {"n_draft", PUNA_ERROR_UNSUPPORTED, [](GenerationOptions& o) { o.n_draft = 1; }},
        {"grammar", PUNA_ERROR_UNSUPPORTED,
         [](GenerationOptions& o) { o.gbnf_or_schema = "root ::= [a-z]"; }},
        {"grammar_kind", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.grammar_kind = 9; }},
        {"reserved2", PUNA_ERROR_UNSUPPORTED, [](GenerationOptions& o) { o.reserved2 = &o; }},
        {"stops", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) {
             o.stop = {"a", ""};
         }},
        {"stops", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_stops = 1; }},
        {"n_stops", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_stops = -1; }},
        {"n_logit_bias", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_logit_bias = -1; }},
        {"logit_bias", PUNA_ERROR_ARGUMENT, [](GenerationOptions& o) { o.n_logit_bias = 1; }},
        {"logit_bias", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) {
             o.bias = {{400, 1}};
         }},
        {"logit_bias", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) {
             o.bias = {{-1, 1}};
         }},
        {"logit_bias", PUNA_ERROR_ARGUMENT,
         [](GenerationOptions& o) {
             o.bias = {{1, NAN}};
         }},
    };
    Sequence sequence = context_.sequence();
    sequence.evaluate(prompt_);
    for (const auto& test : cases) {
        SCOPED_TRACE(test.name);
        GenerationOptions options;
        test.set(options);
        const auto result = sequence.try_generate(prompt_, options);
        ASSERT_EQ(status_of(result), test.status);
        EXPECT_NE(result.failure().message.find(test.name), std::string::npos)
            << result.failure().message;
        EXPECT_EQ(sequence.tokens(), prompt_);
    }
    const std::vector<Token> bad = {5, 400};
    EXPECT_EQ(status_of(sequence.try_generate(bad)), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(sequence.tokens(), prompt_);
}

TEST_F(GenerationTest, SizesOfAContextBeyondTheirLimitsAreRefused) {
    const struct {
        const char* name;
        int32_t puna_context_options::*field;
        int32_t limit;
    } cases[] = {{"n_ctx", &puna_context_options::n_ctx, PUNA_MAX_CTX},
                 {"n_cells", &puna_context_options::n_cells, PUNA_MAX_CELLS},
                 {"n_batch", &puna_context_options::n_batch, PUNA_MAX_BATCH}};
    for (const auto& test : cases) {
        for (const int32_t value : {test.limit + 1, -1}) {
            ContextOptions options;
            options.*test.field = value;
            const auto result = Context::try_create(engine_.model(), options);
            ASSERT_EQ(status_of(result), PUNA_ERROR_ARGUMENT) << test.name;
            EXPECT_EQ(result.failure().message.find(test.name), 0u) << result.failure().message;
        }
    }
    RuntimeOptions options;
    options.n_threads = PUNA_MAX_THREADS + 1;
    EXPECT_EQ(status_of(Runtime::try_create(options)), PUNA_ERROR_ARGUMENT);
}

puna_status start_with(const Sequence& sequence, const void* options) {
    const Token token = 5;
    puna_generation* generation = nullptr;
    const puna_status status = puna_generation_start(
        sequence.handle(), &token, 1, static_cast<const puna_generation_options*>(options),
        &generation, nullptr);
    puna_generation_destroy(generation);
    return status;
}

TEST_F(GenerationTest, OptionStructsOfOtherHeadersAreRead) {
    struct {
        puna_generation_options known = PUNA_GENERATION_OPTIONS_INIT;
        uint64_t unknown[2] = {0, 0};
    } newer;
    Sequence sequence = context_.sequence();
    newer.known.struct_size = sizeof newer;
    EXPECT_EQ(start_with(sequence, &newer), PUNA_OK);
    newer.unknown[1] = 1;
    EXPECT_EQ(start_with(sequence, &newer), PUNA_ERROR_UNSUPPORTED);
    for (const uint32_t size : {0u, 1u, 3u}) {
        newer.known.struct_size = size;
        EXPECT_EQ(start_with(sequence, &newer), PUNA_ERROR_ARGUMENT);
    }
    // An older header ends before temperature: what lies there is not read.
    puna_generation_options older = PUNA_GENERATION_OPTIONS_INIT;
    older.struct_size = offsetof(puna_generation_options, temperature);
    older.temperature = -1;
    EXPECT_EQ(start_with(sequence, &older), PUNA_OK);
    older.max_tokens = -1;
    EXPECT_EQ(start_with(sequence, &older), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(start_with(sequence, nullptr), PUNA_OK);
}

TEST_F(GenerationTest, OutputStructsAreFilledAsFarAsTheyGo) {
    Sequence sequence = context_.sequence();
    Generation generation = sequence.generate(prompt_, greedy(4));
    (void)tell_all(generation);
    struct {
        puna_generation_info known = PUNA_GENERATION_INFO_INIT;
        uint64_t unknown = 77;
    } newer;
    newer.known.struct_size = sizeof newer;
    ASSERT_EQ(puna_generation_get_info(generation.handle(), &newer.known, nullptr), PUNA_OK);
    EXPECT_EQ(newer.known.struct_size, sizeof(puna_generation_info));
    EXPECT_EQ(newer.unknown, 77u);
    EXPECT_EQ(newer.known.n_generated, 4);

    puna_generation_info older = PUNA_GENERATION_INFO_INIT;
    older.struct_size = offsetof(puna_generation_info, n_generated);
    older.n_generated = 77;
    ASSERT_EQ(puna_generation_get_info(generation.handle(), &older, nullptr), PUNA_OK);
    EXPECT_EQ(older.struct_size, offsetof(puna_generation_info, n_generated));
    EXPECT_EQ(older.n_prompt, 9);
    EXPECT_EQ(older.n_generated, 77);

    older.struct_size = 0;
    EXPECT_EQ(puna_generation_get_info(generation.handle(), &older, nullptr), PUNA_ERROR_ARGUMENT);
}

// A damaged file, or values that overflow the cache: greedy and sampled choices both must say so.
TEST(BrokenLogitsTest, EndTheGenerationWithAStatus) {
    ModelFile file = make_random_model(tiny());
    const std::vector<float> gain(24, std::numeric_limits<float>::quiet_NaN());
    file.add_tensor("output_norm.weight", {24}, gain, Encoding::kF32);
    const AlignedBytes bytes = file.bytes();
    const Model model(make_runtime(), Source(std::as_bytes(std::span(bytes))));
    Context context(model);
    for (const float temperature : {0.0f, 0.8f}) {
        GenerationOptions options;
        options.temperature = temperature;
        Sequence sequence = context.sequence();
        Generation generation = sequence.generate("a", options);
        const auto event = generation.try_next();
        ASSERT_FALSE(event.ok());
        EXPECT_EQ(event.failure().status, PUNA_ERROR_MODEL);
        EXPECT_TRUE(generation.next().done());
        EXPECT_EQ(generation.info().finish, PUNA_FINISH_ERROR);
    }
}

template <class T>
void expect_same_defaults(const T& by_macro, puna_status(PUNA_CALL* init)(T*, size_t)) {
    T by_function;
    std::memset(static_cast<void*>(&by_function), 0xee, sizeof by_function);
    EXPECT_EQ(init(&by_function, sizeof by_function), PUNA_OK);
    T expected;
    std::memset(static_cast<void*>(&expected), 0, sizeof expected);
    std::memcpy(&expected.struct_size, &by_macro.struct_size, sizeof expected.struct_size);
    EXPECT_EQ(std::memcmp(&by_function, &expected, sizeof expected), 0);
    EXPECT_EQ(by_macro.struct_size, sizeof(T));
    EXPECT_EQ(init(nullptr, sizeof(T)), PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(init(&by_function, 3), PUNA_ERROR_ARGUMENT);
}

TEST(OptionsTest, InitFunctionsSetWhatTheMacrosDo) {
    expect_same_defaults(puna_runtime_options PUNA_RUNTIME_OPTIONS_INIT, puna_runtime_options_init);
    expect_same_defaults(puna_source PUNA_SOURCE_INIT, puna_source_init);
    expect_same_defaults(puna_model_options PUNA_MODEL_OPTIONS_INIT, puna_model_options_init);
    expect_same_defaults(puna_chat_options PUNA_CHAT_OPTIONS_INIT, puna_chat_options_init);
    expect_same_defaults(puna_context_options PUNA_CONTEXT_OPTIONS_INIT, puna_context_options_init);
    expect_same_defaults(puna_evaluate_options PUNA_EVALUATE_OPTIONS_INIT,
                         puna_evaluate_options_init);
    expect_same_defaults(puna_generation_options PUNA_GENERATION_OPTIONS_INIT,
                         puna_generation_options_init);
}

}  // namespace
}  // namespace puna::test
