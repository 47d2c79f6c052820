// Many sequences in one context: each is as if it were alone, whatever cells they share.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <optional>

#include "support/engine_fixture.h"
#include "support/random_numbers.h"

namespace puna::test {
namespace {

// The prompt that continues a sequence as it stands.
constexpr std::span<const Token> kNothing;

ModelShape tiny(uint32_t n_layer = 2) {
    ModelShape shape;
    shape.n_embd = 24;
    shape.n_layer = n_layer;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_ff = 40;
    shape.n_vocab = 100;
    return shape;
}

class SequencesTest : public testing::Test {
  protected:
    std::vector<Token> prompt(size_t n, uint64_t seed) const {
        return random_tokens(engine_.n_vocab(), n, seed);
    }
    Told alone(std::span<const Token> tokens, const GenerationOptions& options) const {
        Context context = engine_.context({.n_ctx = 256});
        Sequence sequence = context.sequence();
        return generate(sequence, tokens, options);
    }

    Engine engine_{tiny()};
};

// ---- Together ----------------------------------------------------------------------------------

TEST_F(SequencesTest, EightSteppedTogetherAreAsEightAlone) {
    struct User {
        std::vector<Token> prompt;
        int32_t n_tokens;
        int joins_at;  // step
    };
    std::vector<User> users;
    for (int i = 0; i < 8; ++i) {
        users.push_back({prompt(static_cast<size_t>(1 + i * i * 2), 10 + i), 5 + 9 * (i % 4),
                         i < 5 ? 0 : 4 * i});
    }
    for (const int32_t n_batch : {1, 8, 33, 512}) {
        for (const bool as_slices : {false, true}) {
            SCOPED_TRACE(testing::Message() << "batch " << n_batch << " slices " << as_slices);
            Context context = engine_.context({.n_ctx = 200, .n_cells = 1600, .n_batch = n_batch});
            std::vector<std::optional<Sequence>> sequences(8);
            std::vector<std::optional<Generation>> generations(8);
            std::vector<Told> told(8);
            size_t n_done = 0;
            for (int step = 0; n_done < 8; ++step) {
                n_done = 0;
                for (size_t i = 0; i < 8; ++i) {
                    if (step == users[i].joins_at) {
                        sequences[i] = context.sequence();
                        generations[i] =
                            sequences[i]->generate(users[i].prompt, greedy(users[i].n_tokens));
                    }
                    if (!generations[i]) continue;
                    if (told[i].finish != PUNA_FINISH_NONE ||
                        tell_queued(*generations[i], told[i])) {
                        ++n_done;
                    }
                }
                context.step(as_slices ? std::chrono::microseconds(1) : kNoLimit);
            }
            for (size_t i = 0; i < 8; ++i) {
                EXPECT_EQ(told[i], alone(users[i].prompt, greedy(users[i].n_tokens))) << i;
            }
        }
    }
    for (const User& user : users) {
        EXPECT_TRUE(is_greedy_text(engine_.reference(), user.prompt,
                                   alone(user.prompt, greedy(user.n_tokens)).tokens));
    }
}

TEST_F(SequencesTest, CellsComeBackInWhateverOrderSequencesGo) {
    Context context = engine_.context({.n_ctx = 128, .n_cells = 512});
    const std::vector<Token> start = prompt(70, 1);
    {
        Sequence first = context.sequence();
        first.evaluate(start);
        Sequence second = first.fork();
        Sequence third = second.fork();
        EXPECT_EQ(context.info().n_cells_used, 96);  // 70 cells, held by all three
        second.evaluate(prompt(40, 2));
        third.truncate(64);
        EXPECT_EQ(context.info().n_cells_used, 3 * 32 + 2 * 32);
        Generation running = third.generate(prompt(3, 3), greedy(50));
        (void)running.next();
        { Sequence gone = std::move(first); }
        EXPECT_EQ(context.info().n_sequences, 2);
        // Two whole pages are shared, each has one or two of its own.
        EXPECT_EQ(context.info().n_cells_used, 64 + 2 * 32 + 32);
    }
    EXPECT_EQ(context.info().n_cells_used, 0);
    EXPECT_EQ(context.info().n_sequences, 0);
}

// ---- Forks -------------------------------------------------------------------------------------

TEST_F(SequencesTest, ForksContinueLikeTheirParent) {
    for (const size_t n_prompt : {1u, 31u, 32u, 33u, 64u, 70u}) {
        SCOPED_TRACE(n_prompt);
        Context context = engine_.context({.n_ctx = 160, .n_cells = 640});
        const std::vector<Token> start = prompt(n_prompt, 4);
        Sequence parent = context.sequence();
        parent.evaluate(start);
        Sequence same = parent.fork();
        Sequence other = parent.fork();
        const std::vector<Token> turn = prompt(5, 6);
        std::vector<Token> turned = start;
        turned.insert(turned.end(), turn.begin(), turn.end());

        Generation of_parent = parent.generate(kNothing, greedy(40));
        Generation of_same = same.generate(kNothing, greedy(40));
        Generation of_other = other.generate(turn, greedy(40));
        const Told expected = alone(start, greedy(40));
        EXPECT_EQ(tell_all(of_parent), expected);
        EXPECT_EQ(tell_all(of_same), expected);
        EXPECT_EQ(tell_all(of_other), alone(turned, greedy(40)));
    }
}

TEST_F(SequencesTest, ForksOfARunningGenerationHaveWhatIsCommitted) {
    const std::vector<Token> start = prompt(40, 4);
    const Told expected = alone(start, greedy(60));
    Context context = engine_.context({.n_ctx = 160, .n_cells = 1280, .n_batch = 16});
    Sequence parent = context.sequence();
    Generation generation = parent.generate(start, greedy(60));
    Told told;
    std::vector<Sequence> forks;
    // One layer at a time: forks are taken in the middle of prompts and of tokens.
    for (int step = 0; told.finish == PUNA_FINISH_NONE; ++step) {
        if (step % 17 == 5 && forks.size() < 6) forks.push_back(parent.fork());
        context.step(std::chrono::microseconds(1));
        (void)tell_queued(generation, told);
    }
    EXPECT_EQ(told, expected);
    bool some_in_text = false;
    for (Sequence& fork : forks) {
        const std::vector<Token> tokens = fork.tokens();
        if (tokens.empty()) continue;  // the prompt was not done
        some_in_text = true;
        ASSERT_GE(tokens.size(), start.size());
        const size_t n_told = tokens.size() - start.size();
        const Told rest = generate(fork, kNothing, greedy(static_cast<int32_t>(60 - n_told)));
        EXPECT_TRUE(std::equal(rest.tokens.begin(), rest.tokens.end(),
                               expected.tokens.begin() + static_cast<std::ptrdiff_t>(n_told),
                               expected.tokens.end()));
    }
    EXPECT_TRUE(some_in_text);
}

// ---- Shared prefixes ---------------------------------------------------------------------------

TEST_F(SequencesTest, EqualPrefixesAreEvaluatedOnce) {
    const std::vector<Token> shared = prompt(75, 8);
    std::vector<Told> told[2];
    for (const bool reuse : {true, false}) {
        Context context = engine_.context(
            {.n_ctx = 128, .n_cells = 640, .deterministic = true, .disable_prefix_reuse = !reuse});
        std::vector<Sequence> sequences;
        for (uint64_t i = 0; i < 4; ++i) {
            std::vector<Token> tokens = shared;
            const std::vector<Token> own = prompt(6, 20 + i);
            tokens.insert(tokens.end(), own.begin(), own.end());
            const uint64_t n_before = context.info().n_rows_run;
            sequences.push_back(context.sequence());
            Generation generation = sequences.back().generate(tokens, greedy(10));
            told[reuse].push_back(tell_all(generation));
            const bool shares = reuse && i > 0;
            EXPECT_EQ(generation.info().n_prompt_reused, shares ? 75 : 0);
            // The last token that is sampled is not evaluated.
            EXPECT_EQ(context.info().n_rows_run - n_before, (shares ? 6u : 81u) + 9u);
        }
        EXPECT_EQ(context.info().n_rows_reused, reuse ? 3 * 75u : 0u);
    }
    EXPECT_EQ(told[0], told[1]);
}

TEST_F(SequencesTest, DeterministicLogitsAreBitEqualForAnyThreads) {
    const std::vector<Token> tokens = prompt(90, 9);
    for (const std::string& kernels : machine_kernels()) {
        std::vector<float> expected;
        for (const int32_t n_threads : {1, 2, 3}) {
            const Engine engine(tiny(), kernels, n_threads);
            for (const int32_t n_batch : {1, 7, 32, 512}) {
                for (const bool warm : {false, true}) {
                    SCOPED_TRACE(testing::Message() << kernels << " threads " << n_threads
                                                    << " batch " << n_batch << " warm " << warm);
                    Context context = engine.context({.n_ctx = 128,
                                                      .n_cells = 256,
                                                      .n_batch = n_batch,
                                                      .kv_type = PUNA_KV_F16,
                                                      .deterministic = true});
                    Sequence other = context.sequence();
                    if (warm) other.evaluate(std::span(tokens).first(50));
                    Sequence sequence = context.sequence();
                    sequence.evaluate(std::span(tokens).first(60));
                    EXPECT_EQ(context.info().n_rows_reused, warm ? 50u : 0u);
                    const auto logits =
                        logits_of(sequence, std::span(tokens).subspan(60), engine.n_vocab());
                    if (expected.empty()) expected = logits;
                    EXPECT_EQ(logits, expected);
                }
            }
        }
    }
}

// ---- Anything in any order ---------------------------------------------------------------------

// A sequence as a person would keep it: tokens, and a reference that computes them from scratch or,
// behind a dropped range, as they were computed.
struct Naive {
    explicit Naive(const ReferenceModel& model) : reference(model) {}

    std::vector<Token> tokens;
    ReferenceSequence reference;  // of the first tokens: the last sampled one may be missing
    // So many first tokens are computed as from scratch: what replaces a text may keep them.
    size_t n_clean = SIZE_MAX;

    std::span<const Token> missing() const { return std::span(tokens).subspan(reference.size()); }

    std::vector<double> append(std::span<const Token> more) {
        tokens.insert(tokens.end(), more.begin(), more.end());
        return reference.append(missing());
    }
    void truncate(size_t n) {
        if (reference.size() > n) reference.drop(n, reference.size() - n);
        tokens.resize(n);
        if (n_clean >= n) n_clean = SIZE_MAX;
    }
    void drop(size_t first, size_t n) {
        if (n == 0) return;
        const size_t n_known = reference.size();
        if (n_known > first) reference.drop(first, std::min(n, n_known - first));
        if (first + n < tokens.size()) n_clean = std::min(n_clean, first);
        const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(first);
        tokens.erase(begin, begin + static_cast<std::ptrdiff_t>(n));
        if (n_clean >= tokens.size()) n_clean = SIZE_MAX;
    }
    // Of this and a text that shall replace it.
    size_t common_with(std::span<const Token> text) const {
        const size_t limit = std::min({tokens.size(), text.size(), n_clean});
        size_t n = 0;
        while (n < limit && tokens[n] == text[n]) ++n;
        return n;
    }
};

// Does at random what a host may do to a few sequences of one small context.
class RandomHost {
  public:
    RandomHost(Engine& engine, uint64_t seed, int32_t n_batch)
        : engine_(engine),
          random_(seed),
          context_(engine.context({.n_ctx = kCtx, .n_cells = kCells, .n_batch = n_batch})) {}

    void act() {
        if (users_.empty()) return create();
        const auto it =
            std::next(users_.begin(), static_cast<std::ptrdiff_t>(below(users_.size())));
        User& user = *it;
        switch (random_.below(9)) {
            case 0:
                return create();
            case 1:
                return fork(user);
            case 2:
                users_.erase(it);
                return;
            case 3:
                return truncate(user);
            case 4:
                return drop(user);
            case 5:
            case 6:
                return evaluate(user);
            case 7:
                return generate_some(user, PUNA_PROMPT_APPEND);
            default:
                return generate_some(user, PUNA_PROMPT_REPLACE);
        }
    }
    void check_tokens() {
        for (User& user : users_) EXPECT_EQ(user.sequence.tokens(), user.naive.tokens);
    }
    void finish() {
        users_.clear();
        EXPECT_EQ(context_.info().n_cells_used, 0);
    }

    int n_without_cells = 0;
    int n_checked = 0;

  private:
    static constexpr int32_t kCtx = 90;
    static constexpr int32_t kCells = 256;
    static constexpr size_t kMaxUsers = 5;

    struct User {
        Sequence sequence;
        Naive naive;
    };

    size_t below(size_t bound) { return static_cast<size_t>(random_.below(bound)); }

    // A few texts share their beginnings, so that prefixes are found.
    std::vector<Token> some_tokens(size_t n) {
        if (below(2) == 0) return random_tokens(engine_.n_vocab(), n, random_.next());
        std::vector<Token> tokens = random_tokens(engine_.n_vocab(), n, below(2));
        if (!tokens.empty() && below(2) == 0) tokens[below(n)] = 1;
        return tokens;
    }

    void create() {
        if (users_.size() == kMaxUsers) return;
        users_.push_back({context_.sequence(), Naive(engine_.reference())});
    }
    void fork(User& user) {
        if (users_.size() == kMaxUsers) return;
        User copy{user.sequence.fork(), user.naive};
        users_.push_back(std::move(copy));
    }
    void truncate(User& user) {
        const size_t n = below(user.naive.tokens.size() + 1);
        user.sequence.truncate(static_cast<int32_t>(n));
        user.naive.truncate(n);
    }
    void drop(User& user) {
        const size_t first = below(user.naive.tokens.size() + 1);
        const size_t n = below(user.naive.tokens.size() - first + 1);
        const auto result =
            user.sequence.try_drop(static_cast<int32_t>(first), static_cast<int32_t>(n));
        if (survived(result)) user.naive.drop(first, n);
    }
    void evaluate(User& user) {
        const auto tokens = some_tokens(1 + below(40));
        const auto n_vocab = static_cast<size_t>(engine_.n_vocab());
        std::vector<float> logits(tokens.size() * n_vocab);
        const bool is_long = user.naive.tokens.size() + tokens.size() > kCtx;
        const auto result = user.sequence.try_evaluate(tokens, logits, PUNA_OUTPUT_LOGITS_ALL);
        if (is_long) {
            EXPECT_EQ(status_of(result), PUNA_ERROR_CONTEXT_FULL);
            return;
        }
        if (!survived(result)) return;
        const std::vector<double> expected = user.naive.append(tokens);
        EXPECT_LT(
            kl_divergence(std::span(expected).last(logits.size()), logits, n_vocab).relative_error,
            1e-5);
        ++n_checked;
    }
    void generate_some(User& user, int32_t mode) {
        std::vector<Token> tokens = some_tokens(below(30));
        if (mode == PUNA_PROMPT_REPLACE && below(2) == 0) {
            tokens.insert(tokens.begin(), user.naive.tokens.begin(), user.naive.tokens.end());
        }
        const bool replaces = mode == PUNA_PROMPT_REPLACE;
        const size_t n_held = replaces ? 0 : user.naive.tokens.size();
        if (n_held + tokens.size() == 0 || n_held + tokens.size() > kCtx) return;
        GenerationOptions options = greedy(static_cast<int32_t>(1 + below(12)));
        options.prompt_mode = mode;
        Generation generation = user.sequence.generate(tokens, options);
        if (replaces) {
            const size_t n_common = user.naive.common_with(tokens);
            user.naive.truncate(n_common);
            tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n_common));
        }
        Told told;
        for (;;) {
            const auto event = generation.try_next();
            if (!event.ok()) {
                // It could be tried again when there are cells; here it ends.
                ASSERT_EQ(event.failure().status, PUNA_ERROR_NO_CELLS) << event.failure().message;
                ++n_without_cells;
                break;
            }
            if (tell(*event, told)) break;
        }
        if (told.tokens.empty() && told.finish == PUNA_FINISH_NONE) return;
        // All logits of the prompt, or the last row again where nothing is new.
        if (tokens.empty() && user.naive.missing().empty()) {
            user.naive.reference.drop(user.naive.tokens.size() - 1, 1);
        }
        const std::vector<double> logits = user.naive.append(tokens);
        EXPECT_TRUE(follows_greedily(user.naive.reference, logits, told.tokens, engine_.n_vocab()));
        user.naive.tokens.insert(user.naive.tokens.end(), told.tokens.begin(), told.tokens.end());
        // The last one is not evaluated yet: a drop before it changes what it sees.
        if (!told.tokens.empty()) {
            user.naive.reference.drop(user.naive.reference.size() - 1, 1);
        }
        ++n_checked;
    }
    template <class T>
    bool survived(const Result<T>& result) {
        if (result.ok()) return true;
        EXPECT_EQ(result.failure().status, PUNA_ERROR_NO_CELLS) << result.failure().message;
        ++n_without_cells;
        return false;
    }

    Engine& engine_;
    RandomNumbers random_;
    Context context_;
    std::list<User> users_;
};

TEST_F(SequencesTest, AnyOperationsInAnyOrderAreAsFromScratch) {
    int n_without_cells = 0;
    int n_checked = 0;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        RandomHost host(engine_, seed, static_cast<int32_t>(1 + 11 * (seed % 4)));
        for (int i = 0; i < 150 && !HasFailure(); ++i) {
            SCOPED_TRACE(testing::Message() << "seed " << seed << ", operation " << i);
            host.act();
            host.check_tokens();
        }
        host.finish();
        n_without_cells += host.n_without_cells;
        n_checked += host.n_checked;
    }
    EXPECT_GT(n_without_cells, 10);
    EXPECT_GT(n_checked, 300);
}

TEST_F(SequencesTest, AGenerationWithoutCellsGoesOnWhenThereAreSome) {
    const std::vector<Token> start = prompt(40, 12);
    Context context = engine_.context({.n_ctx = 128, .n_cells = 96});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(start, greedy(30));
    Told told;
    ASSERT_FALSE(tell(generation.next(), told));
    std::optional<Sequence> greedy_one = context.sequence();
    greedy_one->evaluate(prompt(32, 13));
    for (;;) {
        const auto event = generation.try_next();
        if (!event.ok()) {
            EXPECT_EQ(event.failure().status, PUNA_ERROR_NO_CELLS);
            EXPECT_EQ(status_of(generation.try_next()), PUNA_ERROR_NO_CELLS);  // and again
            ASSERT_TRUE(greedy_one);
            greedy_one.reset();
            continue;
        }
        if (tell(*event, told)) break;
    }
    EXPECT_FALSE(greedy_one);
    EXPECT_EQ(told, alone(start, greedy(30)));
}

TEST_F(SequencesTest, WithAGenerationASequenceCannotBeChanged) {
    Context context = engine_.context({.n_ctx = 64});
    Sequence sequence = context.sequence();
    Generation generation = sequence.generate(prompt(3, 1), greedy(2));
    const std::vector<Token> more = prompt(2, 2);
    EXPECT_EQ(status_of(sequence.try_generate(more)), PUNA_ERROR_STATE);
    EXPECT_EQ(status_of(sequence.try_truncate(0)), PUNA_ERROR_STATE);
    EXPECT_EQ(status_of(sequence.try_drop(0, 0)), PUNA_ERROR_STATE);
    EXPECT_EQ(status_of(sequence.try_evaluate(more)), PUNA_ERROR_STATE);
    (void)generation.next();
    (void)generation.next();
    // It has finished, with DONE not fetched yet.
    EXPECT_EQ(status_of(sequence.try_truncate(4)), PUNA_OK);
    EXPECT_EQ(tell_all(generation).finish, PUNA_FINISH_LENGTH);
}

}  // namespace
}  // namespace puna::test
