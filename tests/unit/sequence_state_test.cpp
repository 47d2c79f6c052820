// puna_sequence_save and _restore, through the C API.
#include "runtime/sequence_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/random_numbers.h"
#include "support/reference_file.h"
#include "support/reference_forward.h"
#include "support/saved_state.h"
#include "support/small_engine.h"

namespace puna::test {
namespace {

using Tokens = std::vector<int32_t>;

puna_context_options context_options(int32_t n_ctx, int32_t kv_type_k = PUNA_KV_DEFAULT,
                                     int32_t kv_type_v = PUNA_KV_DEFAULT) {
    puna_context_options options = PUNA_CONTEXT_OPTIONS_INIT;
    options.n_ctx = n_ctx;
    options.kv_type_k = kv_type_k;
    options.kv_type_v = kv_type_v;
    options.deterministic = 1;
    return options;
}

Tokens some_tokens(size_t n, uint64_t seed = 1) {
    RandomNumbers random(seed);
    Tokens tokens(n);
    for (int32_t& token : tokens) token = static_cast<int32_t>(3 + random.below(300));
    return tokens;
}

// A sequence of an engine. What is expected to work is checked.
class Text {
  public:
    explicit Text(const SmallEngine& engine) {
        EXPECT_EQ(puna_sequence_create(engine.context(), &sequence_, &error_), PUNA_OK)
            << error_.message;
    }
    Text(const SmallEngine& engine, const SavedState& state) : Text(engine) {
        EXPECT_EQ(restore(state), PUNA_OK) << error_.message;
    }
    Text(Text&& other) noexcept : sequence_(std::exchange(other.sequence_, nullptr)) {}
    ~Text() { puna_sequence_destroy(sequence_); }

    Text fork() {
        Text copy;
        EXPECT_EQ(puna_sequence_fork(sequence_, &copy.sequence_, &error_), PUNA_OK)
            << error_.message;
        return copy;
    }
    void evaluate(const Tokens& tokens) {
        EXPECT_EQ(
            puna_sequence_evaluate(sequence_, tokens.data(), static_cast<int32_t>(tokens.size()),
                                   nullptr, nullptr, 0, &error_),
            PUNA_OK)
            << error_.message;
    }
    std::vector<float> logits_after(int32_t token) {
        std::vector<float> logits(320);
        puna_evaluate_options options = PUNA_EVALUATE_OPTIONS_INIT;
        options.output = PUNA_OUTPUT_LOGITS_LAST;
        EXPECT_EQ(puna_sequence_evaluate(sequence_, &token, 1, &options, logits.data(),
                                         logits.size() * sizeof(float), &error_),
                  PUNA_OK)
            << error_.message;
        return logits;
    }
    void drop(int32_t first, int32_t n) {
        EXPECT_EQ(puna_sequence_drop(sequence_, first, n, &error_), PUNA_OK) << error_.message;
    }
    // Greedy; the last token is not evaluated afterwards.
    void generate(const Tokens& prompt, int32_t n, int32_t when_full = PUNA_FULL_STOP) {
        puna_generation_options options = PUNA_GENERATION_OPTIONS_INIT;
        options.max_tokens = n;
        options.ignore_end = 1;
        options.when_full = when_full;
        options.n_keep = when_full == PUNA_FULL_SHIFT ? 4 : 0;
        puna_generation* generation = nullptr;
        ASSERT_EQ(
            puna_generation_start(sequence_, prompt.data(), static_cast<int32_t>(prompt.size()),
                                  &options, &generation, &error_),
            PUNA_OK)
            << error_.message;
        puna_event event = PUNA_EVENT_INIT;
        puna_status status = PUNA_OK;
        while (status == PUNA_OK && event.kind != PUNA_EVENT_DONE) {
            status = puna_generation_next(generation, 0, &event, &error_);
        }
        EXPECT_EQ(status, PUNA_OK) << error_.message;
        puna_generation_destroy(generation);
    }
    Tokens tokens() {
        Tokens tokens(static_cast<size_t>(length()));
        int32_t n = 0;
        EXPECT_EQ(puna_sequence_tokens(sequence_, tokens.data(),
                                       static_cast<int32_t>(tokens.size()), &n, &error_),
                  PUNA_OK);
        return tokens;
    }
    int32_t length() {
        int32_t n = -1;
        EXPECT_EQ(puna_sequence_length(sequence_, &n, &error_), PUNA_OK);
        return n;
    }
    SavedState save() {
        size_t size = 0;
        EXPECT_EQ(puna_sequence_save(sequence_, nullptr, 0, &size, &error_), PUNA_OK)
            << error_.message;
        SavedState state(size);
        EXPECT_EQ(puna_sequence_save(sequence_, state.data(), state.size(), &size, &error_),
                  PUNA_OK)
            << error_.message;
        EXPECT_EQ(size, state.size());
        return state;
    }
    puna_status restore(const SavedState& state) {
        return puna_sequence_restore(sequence_, state.data(), state.size(), &error_);
    }
    puna_sequence* handle() const { return sequence_; }
    std::string message() const { return error_.message; }

  private:
    Text() = default;

    puna_sequence* sequence_ = nullptr;
    puna_error error_ = PUNA_ERROR_INIT;
};

// The state of these tokens in a context of its own.
SavedState saved(const ModelShape& shape, const puna_context_options& options,
                 const Tokens& tokens) {
    const SmallEngine engine(shape, options);
    Text text(engine);
    text.evaluate(tokens);
    return text.save();
}

// Restoring fails in this way, and leaves nothing behind.
void expect_refused(const SmallEngine& engine, const SavedState& state, puna_status expected,
                    const std::string& part_of_message) {
    const int32_t n_cells_before = engine.info().n_cells_used;
    Text text(engine);
    const puna_status status = text.restore(state);
    EXPECT_EQ(status, expected) << puna_status_name(status) << ": " << text.message();
    EXPECT_NE(text.message().find(part_of_message), std::string::npos)
        << text.message() << " lacks " << part_of_message;
    EXPECT_EQ(text.length(), 0);
    EXPECT_EQ(engine.info().n_cells_used, n_cells_before);
}

// ---- What comes back ---------------------------------------------------------------------------

class SequenceStateKv : public testing::TestWithParam<std::pair<int32_t, int32_t>> {};

TEST_P(SequenceStateKv, ContinuesAsIfThereHadBeenNoBreak) {
    const auto options = context_options(256, GetParam().first, GetParam().second);
    const Tokens prompt = some_tokens(45);
    Tokens unbroken;
    SavedState state;
    {
        const SmallEngine engine(ModelShape{}, options);
        Text text(engine);
        text.generate(prompt, 30);
        state = text.save();
        text.generate({}, 40);
        unbroken = text.tokens();
    }
    const SmallEngine engine(ModelShape{}, options);
    Text text(engine, state);
    EXPECT_EQ(text.length(), 75);
    text.generate({}, 40);
    EXPECT_EQ(text.tokens(), unbroken);
    EXPECT_EQ(engine.info().n_rows_run, 40u) << "nothing that was saved is evaluated again";
}

TEST_P(SequenceStateKv, BringsBackTheSameBits) {
    const auto options = context_options(256, GetParam().first, GetParam().second);
    ModelShape shape;
    shape.n_head_kv = 1;
    shape.head_dim = 24;
    shape.value_dim = 20;
    const SmallEngine engine(shape, options);
    Text text(engine);
    text.evaluate(some_tokens(70));
    const SavedState state = text.save();
    const SmallEngine other(shape, options);
    Text copy(other, state);
    EXPECT_EQ(copy.save(), state);
    EXPECT_EQ(copy.logits_after(9), text.logits_after(9));
}

INSTANTIATE_TEST_SUITE_P(
    Types, SequenceStateKv,
    testing::Values(std::pair(PUNA_KV_F16, PUNA_KV_F16), std::pair(PUNA_KV_F32, PUNA_KV_F32),
                    std::pair(PUNA_KV_F16, PUNA_KV_F32), std::pair(PUNA_KV_BF16, PUNA_KV_BF16),
                    std::pair(PUNA_KV_Q8_0, PUNA_KV_Q8_0), std::pair(PUNA_KV_Q8_0, PUNA_KV_BF16)));

TEST(SequenceState, HasTheTokenThatWasSampledAndNotYetEvaluated) {
    const SmallEngine engine(ModelShape{}, context_options(128));
    Text text(engine);
    text.generate(some_tokens(10), 5);
    const SavedState state = text.save();
    EXPECT_EQ(core::load_le<int32_t>(&state[StateOffset::kTokens]), 15);
    EXPECT_EQ(core::load_le<int32_t>(&state[StateOffset::kValid]), 14);
    Text copy(engine, state);
    EXPECT_EQ(copy.tokens(), text.tokens());
    EXPECT_EQ(copy.logits_after(9), text.logits_after(9));
}

TEST(SequenceState, MovesBetweenContextsBatchesAndKernels) {
    ModelShape shape;
    shape.seed = 5;
    const Tokens prompt = some_tokens(50);
    const GreedyRun expected =
        reference_greedy(read_reference(make_random_model(shape)), prompt, 40);
    ASSERT_GT(expected.smallest_gap, 2e-3) << "the choice of tokens must not hang on rounding";

    const auto run = [&](int32_t n_ctx, int32_t n_batch, const char* kernels,
                         const SavedState* before, int32_t n) {
        auto options = context_options(n_ctx, PUNA_KV_F32, PUNA_KV_F32);
        options.n_batch = n_batch;
        const SmallEngine engine(shape, options, kernels);
        Text text(engine);
        if (before != nullptr) {
            EXPECT_EQ(text.restore(*before), PUNA_OK) << text.message();
        }
        text.generate(before != nullptr ? Tokens() : prompt, n);
        return std::pair(text.save(), text.tokens());
    };
    Tokens whole = prompt;
    whole.insert(whole.end(), expected.tokens.begin(), expected.tokens.end());
    const char* const kernels[] = {"scalar", nullptr};
    for (const char* first : kernels) {
        const SavedState state = run(128, 7, first, nullptr, 20).first;
        for (const char* second : kernels) {
            EXPECT_EQ(run(512, 64, second, &state, 20).second, whole);
        }
    }
}

TEST(SequenceState, KeepsCellsThatWereShifted) {
    const auto options = context_options(256);
    const SmallEngine engine(ModelShape{}, options);
    Text text(engine);
    text.evaluate(some_tokens(90));
    text.drop(40, 20);
    const SavedState state = text.save();
    const SmallEngine other(ModelShape{}, options);
    Text copy(other, state);
    EXPECT_EQ(copy.tokens(), text.tokens());

    // Cells behind the gap are not what an evaluation gives, so nobody may share them.
    Text stranger(other);
    stranger.evaluate(text.tokens());
    EXPECT_EQ(other.info().n_rows_reused, 40u);
    EXPECT_EQ(copy.logits_after(9), text.logits_after(9));
}

TEST(SequenceState, SharesItsCellsLikeAnyOther) {
    const auto options = context_options(128);
    const Tokens tokens = some_tokens(60);
    const SavedState state = saved(ModelShape{}, options, tokens);
    auto with_room = options;
    with_room.n_cells = 256;
    const SmallEngine engine(ModelShape{}, with_room);
    Text text(engine, state);
    Text other(engine);
    other.evaluate(tokens);
    EXPECT_EQ(engine.info().n_rows_reused, 60u);
    text.evaluate(some_tokens(5, 2));
    Text third(engine);
    third.evaluate(text.tokens());
    EXPECT_EQ(engine.info().n_rows_reused, 125u) << "tokens added later are unshifted too";
}

TEST(SequenceState, GoesOnAfterTheContextWasShifted) {
    const auto options = context_options(64);
    const SmallEngine engine(ModelShape{}, options);
    Text text(engine);
    text.generate(some_tokens(50), 60, PUNA_FULL_SHIFT);
    const SavedState state = text.save();
    const SmallEngine other(ModelShape{}, options);
    Text copy(other, state);
    text.generate({}, 50, PUNA_FULL_SHIFT);
    copy.generate({}, 50, PUNA_FULL_SHIFT);
    EXPECT_EQ(copy.tokens(), text.tokens());
}

TEST(SequenceState, OfAForkHasThePagesThatItShares) {
    auto options = context_options(128);
    options.n_cells = 512;
    const SmallEngine engine(ModelShape{}, options);
    Text text(engine);
    text.evaluate(some_tokens(70));
    Text fork = text.fork();
    EXPECT_EQ(fork.save(), text.save());
    fork.evaluate(some_tokens(10, 2));
    text.evaluate(some_tokens(10, 3));
    const SavedState state = fork.save();
    const SmallEngine other(ModelShape{}, options);
    Text copy(other, state);
    EXPECT_EQ(copy.tokens(), fork.tokens());
    EXPECT_EQ(copy.logits_after(9), fork.logits_after(9));
}

TEST(SequenceState, OfAnEmptySequenceIsEmpty) {
    const SmallEngine engine(ModelShape{}, context_options(64));
    const SavedState state = Text(engine).save();
    Text copy(engine, state);
    EXPECT_EQ(copy.length(), 0);
    EXPECT_EQ(engine.info().n_cells_used, 0);
    copy.evaluate(some_tokens(3));
    EXPECT_EQ(copy.length(), 3);
}

TEST(SequenceState, IsAsLargeAsItsCells) {
    ModelShape shape;
    shape.n_layer = 4;
    shape.n_head_kv = 4;
    shape.head_dim = 64;
    constexpr size_t kTokens = 300;
    const double kv_bytes = kTokens * 4 * 4 * (64 + 64) * 2;
    const SavedState state = saved(shape, context_options(512), some_tokens(kTokens));
    EXPECT_NEAR(static_cast<double>(state.size()), kv_bytes, 0.01 * kv_bytes);
}

TEST(SequenceState, FinishesABatchThatIsUnderWay) {
    auto options = context_options(128);
    options.n_cells = 512;
    const SmallEngine engine(ModelShape{}, options);
    Text text(engine);
    text.evaluate(some_tokens(40));
    const SavedState before = text.save();
    Text busy(engine);
    const Tokens prompt = some_tokens(60, 2);
    puna_generation* generation = nullptr;
    puna_error error = PUNA_ERROR_INIT;
    ASSERT_EQ(puna_generation_start(busy.handle(), prompt.data(), 60, nullptr, &generation, &error),
              PUNA_OK)
        << error.message;
    ASSERT_EQ(puna_context_step(engine.context(), 1, nullptr, nullptr, &error), PUNA_OK);
    EXPECT_EQ(text.save(), before);
    ASSERT_EQ(puna_context_step(engine.context(), 1, nullptr, nullptr, &error), PUNA_OK);
    Text copy(engine, before);
    EXPECT_EQ(copy.save(), before);
    std::byte byte{};
    EXPECT_EQ(puna_sequence_save(busy.handle(), &byte, 1, nullptr, &error), PUNA_ERROR_STATE);
    puna_generation_destroy(generation);
}

TEST(SequenceState, LeavesASmallBufferAlone) {
    const SmallEngine engine(ModelShape{}, context_options(64));
    Text text(engine);
    text.evaluate(some_tokens(4));
    const size_t size = text.save().size();
    SavedState buffer(size, std::byte{0x5a});
    size_t needed = 0;
    puna_error error = PUNA_ERROR_INIT;
    EXPECT_EQ(puna_sequence_save(text.handle(), buffer.data(), size - 1, &needed, &error),
              PUNA_ERROR_BUFFER);
    EXPECT_EQ(needed, size);
    EXPECT_EQ(buffer, SavedState(size, std::byte{0x5a}));
}

// ---- What is refused ---------------------------------------------------------------------------

TEST(SequenceState, IsRefusedByAnotherModel) {
    const auto options = context_options(64);
    const SavedState state = saved(ModelShape{}, options, some_tokens(8));
    const auto refused = [&](const ModelShape& shape, const char* message) {
        expect_refused(SmallEngine(shape, options), state, PUNA_ERROR_FOREIGN_STATE, message);
    };
    ModelShape shape;
    shape.seed = 2;
    refused(shape, "same shape");
    shape = ModelShape();
    shape.rope_base = 20000;
    refused(shape, "same shape");
    shape = ModelShape();
    shape.eps = 1e-6f;
    refused(shape, "same shape");
    shape = ModelShape();
    shape.matrix_encoding = Encoding::kF16;
    refused(shape, "same shape");
    shape = ModelShape();
    shape.tied_output = true;
    refused(shape, "same shape");
    shape = ModelShape();
    shape.n_layer = 3;
    refused(shape, "n_layer is 2, not 3");
    shape = ModelShape();
    shape.n_head_kv = 4;
    refused(shape, "n_head_kv is 2, not 4");
    shape = ModelShape();
    shape.head_dim = 8;
    shape.value_dim = 16;
    refused(shape, "head_dim_k is 16, not 8");
    shape.head_dim = 16;
    shape.value_dim = 8;
    refused(shape, "head_dim_v is 16, not 8");
}

TEST(SequenceState, IsRefusedByAnotherKvType) {
    const SavedState state = saved(ModelShape{}, context_options(64), some_tokens(8));
    const SmallEngine keys(ModelShape{}, context_options(64, PUNA_KV_F32, PUNA_KV_F16));
    expect_refused(keys, state, PUNA_ERROR_FOREIGN_STATE, "kv_type_k F16 (1), the context has F32");
    const SmallEngine values(ModelShape{}, context_options(64, PUNA_KV_F16, PUNA_KV_F32));
    expect_refused(values, state, PUNA_ERROR_FOREIGN_STATE,
                   "kv_type_v F16 (1), the context has F32");
    const SavedState bytes =
        saved(ModelShape{}, context_options(64, PUNA_KV_Q8_0, PUNA_KV_BF16), some_tokens(8));
    expect_refused(keys, bytes, PUNA_ERROR_FOREIGN_STATE,
                   "kv_type_k Q8_0 (4), the context has F32");
    const SmallEngine halves(ModelShape{}, context_options(64, PUNA_KV_Q8_0, PUNA_KV_F16));
    expect_refused(halves, bytes, PUNA_ERROR_FOREIGN_STATE,
                   "kv_type_v BF16 (3), the context has F16");
}

TEST(SequenceState, NeedsAContextThatHoldsIt) {
    const SavedState state = saved(ModelShape{}, context_options(64), some_tokens(40));
    const SmallEngine exact(ModelShape{}, context_options(40));
    Text text(exact, state);
    EXPECT_EQ(text.length(), 40);
    const SmallEngine small(ModelShape{}, context_options(39));
    expect_refused(small, state, PUNA_ERROR_CONTEXT_FULL, "40 tokens, more than n_ctx 39");
}

TEST(SequenceState, GivesItsCellsBackWhenThereAreTooFew) {
    const SavedState state = saved(ModelShape{}, context_options(128), some_tokens(100));
    auto options = context_options(128);
    options.n_cells = 128;
    const SmallEngine engine(ModelShape{}, options);
    auto other = std::make_unique<Text>(engine);
    other->evaluate(some_tokens(33, 2));
    expect_refused(engine, state, PUNA_ERROR_NO_CELLS, "128 KV cells");
    other.reset();
    Text text(engine, state);
    EXPECT_EQ(text.length(), 100);
}

TEST(SequenceState, GoesIntoAnEmptySequenceAlone) {
    const SmallEngine engine(ModelShape{}, context_options(64));
    Text text(engine);
    text.evaluate(some_tokens(8));
    const SavedState state = text.save();
    EXPECT_EQ(text.restore(state), PUNA_ERROR_STATE);
    EXPECT_EQ(text.tokens(), some_tokens(8));
}

// Eight tokens, of which the last has no cell, in a context with room for 64.
class DamagedState : public testing::Test {
  protected:
    DamagedState() : engine_(ModelShape{}, context_options(64)) {
        Text text(engine_);
        text.generate(some_tokens(5), 3);
        state_ = text.save();
    }
    void TearDown() override {
        EXPECT_EQ(engine_.info().n_cells_used, 0);
        Text text(engine_, state_);  // after all that
        EXPECT_EQ(text.save(), state_);
    }
    template <class T>
    void expect_field_refused(size_t offset, T value, puna_status expected,
                              const std::string& message) {
        SavedState changed = state_;
        set_field(changed, offset, value);
        const bool sets_size = offset == StateOffset::kSize;
        if (!sets_size) seal(changed);
        expect_refused(engine_, changed, expected, message);
    }

    const SmallEngine engine_;
    SavedState state_;
};

TEST_F(DamagedState, CutAnywhereIsTruncated) {
    for (size_t n = 0; n < state_.size(); ++n) {
        Text text(engine_);
        const SavedState cut(state_.begin(), state_.begin() + static_cast<std::ptrdiff_t>(n));
        ASSERT_EQ(text.restore(cut), PUNA_ERROR_TRUNCATED) << n << ": " << text.message();
    }
}

TEST_F(DamagedState, WithMoreBehindItIsRefused) {
    SavedState longer = state_;
    longer.push_back(std::byte{0});
    expect_refused(engine_, longer, PUNA_ERROR_FORMAT, "should have");
    seal(longer);
    expect_refused(engine_, longer, PUNA_ERROR_FORMAT, "tokens take");
}

TEST_F(DamagedState, WithAnyBitFlippedIsRefused) {
    Text text(engine_);
    for (size_t bit = 0; bit < 8 * state_.size(); ++bit) {
        SavedState changed = state_;
        changed[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        ASSERT_NE(text.restore(changed), PUNA_OK) << "bit " << bit;
        ASSERT_EQ(text.length(), 0);
    }
}

TEST_F(DamagedState, OfAnotherKindOrVersionIsRefused) {
    expect_field_refused<uint8_t>(0, 'x', PUNA_ERROR_FORMAT, "no saved sequence");
    expect_refused(engine_, SavedState(1, std::byte{'x'}), PUNA_ERROR_FORMAT, "no saved sequence");
    expect_field_refused<uint32_t>(StateOffset::kVersion, 2, PUNA_ERROR_FORMAT_VERSION,
                                   "version 2, this library reads 1");
}

TEST_F(DamagedState, WithAnyFieldThatContradictsTheOthersIsRefused) {
    using At = StateOffset;
    expect_field_refused<uint32_t>(At::kHeaderSize, 72, PUNA_ERROR_FORMAT, "header");
    expect_field_refused<uint64_t>(At::kSize, UINT64_MAX, PUNA_ERROR_TRUNCATED, "bytes");
    expect_field_refused<uint64_t>(At::kSize, 0, PUNA_ERROR_FORMAT, "should have 0");
    expect_field_refused<uint64_t>(At::kFingerprint, 1, PUNA_ERROR_FOREIGN_STATE, "fingerprint");
    for (const int32_t type : {INT_MIN, -1, 0, 4, 5, INT_MAX}) {
        expect_field_refused(At::kKvTypeK, type, PUNA_ERROR_FOREIGN_STATE, "kv_type_k");
        expect_field_refused(At::kKvTypeV, type, PUNA_ERROR_FOREIGN_STATE, "kv_type_v");
    }
    for (const int32_t size : {INT_MIN, -1, 0, INT_MAX}) {
        expect_field_refused(At::kLayers, size, PUNA_ERROR_FOREIGN_STATE, "n_layer");
        expect_field_refused(At::kHeadsKv, size, PUNA_ERROR_FOREIGN_STATE, "n_head_kv");
        expect_field_refused(At::kHeadDimK, size, PUNA_ERROR_FOREIGN_STATE, "head_dim_k");
        expect_field_refused(At::kHeadDimV, size, PUNA_ERROR_FOREIGN_STATE, "head_dim_v");
    }
    for (const int32_t count : {INT_MIN, -1, 9, INT_MAX}) {
        expect_field_refused(At::kValid, count, PUNA_ERROR_FORMAT, "contradicts itself");
        expect_field_refused(At::kUnshifted, count, PUNA_ERROR_FORMAT, "contradicts itself");
    }
    expect_field_refused(At::kTokens, INT_MIN, PUNA_ERROR_FORMAT, "contradicts itself");
    expect_field_refused(At::kTokens, 6, PUNA_ERROR_FORMAT, "contradicts itself");
    expect_field_refused(At::kTokens, 9, PUNA_ERROR_FORMAT, "tokens take");
    expect_field_refused(At::kTokens, 65, PUNA_ERROR_CONTEXT_FULL, "65 tokens");
    expect_field_refused(At::kTokens, INT_MAX, PUNA_ERROR_CONTEXT_FULL, "2147483647 tokens");
    expect_field_refused(At::kValid, 8, PUNA_ERROR_FORMAT, "tokens take");
    expect_field_refused(At::kFirstToken, -1, PUNA_ERROR_FORMAT, "token -1, not 0 .. 319");
    expect_field_refused(At::kFirstToken + 7 * sizeof(int32_t), 320, PUNA_ERROR_FORMAT,
                         "token 320, not 0 .. 319");
}

// With a right checksum, as an attacker would. What is accepted can be worked with.
TEST_F(DamagedState, ForgedAtRandomIsSafe) {
    RandomNumbers random(7);
    int n_accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        SavedState changed = state_;
        const bool in_header = random.below(2) == 0;
        for (uint64_t n = 1 + random.below(4); n > 0; --n) {
            const size_t limit = in_header ? StateOffset::kFirstToken + 32 : changed.size();
            changed[random.below(limit)] = static_cast<std::byte>(random.next());
        }
        if (random.below(8) == 0) {
            changed.resize(StateOffset::kFirstToken + 8 + random.below(changed.size()));
        }
        if (random.below(8) != 0) seal(changed);
        Text text(engine_);
        if (text.restore(changed) != PUNA_OK) {
            ASSERT_FALSE(text.message().empty());
            ASSERT_EQ(text.length(), 0);
            ASSERT_EQ(engine_.info().n_cells_used, 0);
            continue;
        }
        ++n_accepted;
        if (n_accepted % 16 == 0) text.evaluate(some_tokens(3));
    }
    EXPECT_GT(n_accepted, 100) << "tokens, keys and values may be anything";
}

}  // namespace
}  // namespace puna::test
