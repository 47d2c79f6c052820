// The table of the CUDA backend: every kind of model and of output, batches in pieces, and
// what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/shared_library.h"
#include "cuda/cuda_plugin_path.h"
#include "support/backend_session.h"
#include "support/relative_error.h"
#include "support/spec_variants.h"

namespace puna::test {
namespace {

// The backend's own code, without a runtime.
const puna_backend_api& api() {
    static core::SharedLibrary library = [] {
        auto opened = core::SharedLibrary::open(cuda_plugin());
        if (!opened.ok()) throw std::runtime_error(opened.status().text());
        return std::move(*opened);
    }();
    const auto entry = reinterpret_cast<puna_backend_entry_fn>(library.symbol(PUNA_BACKEND_ENTRY));
    return *entry(PUNA_BACKEND_API_VERSION);
}

struct OwnHost {
    BackendHost host;
};

class Session : public OwnHost, public BackendSession {
  public:
    Session(const puna_layers_request& request, const puna_executor_options& options)
        : BackendSession(api(), host, nullptr, request, options) {}
};

// ---- Models --------------------------------------------------------------------------------------

class CudaSpecs : public testing::TestWithParam<SpecVariant> {};

TEST_P(CudaSpecs, AgreeWithDouble) {
    const SpecModel model(GetParam().shape());
    const auto tokens = random_tokens(model.spec(), 36);
    const auto expected = model.reference(tokens);
    const double bound = GetParam().shape().encoding == Encoding::kQ8_0 ? 2e-4 : 1e-4;
    // Many rows, and few, whose pass is a graph from the third batch on.
    for (const int32_t n_batch : {36, 5}) {
        Session session(LayersRequest(model), executor_options(n_batch));
        EXPECT_LT(
            relative_error(expected.logits, run_logits(model.spec(), session, tokens, n_batch)),
            bound)
            << n_batch;
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaSpecs, testing::ValuesIn(spec_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

class CudaCaches : public CudaSpecs {};

TEST_P(CudaCaches, RoundedAreCloseToDouble) {
    const SpecModel model(GetParam().shape());
    const auto tokens = random_tokens(model.spec(), 36);
    const auto expected = model.reference(tokens);
    for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_BF16, PUNA_KV_Q8_0}) {
        Session session(LayersRequest(model), executor_options(36, kv_type));
        EXPECT_LT(relative_error(expected.logits, run_logits(model.spec(), session, tokens, 36)),
                  3e-2)
            << kv_type;
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaCaches, testing::ValuesIn(cache_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

// As without the deterministic mode, in which rows never share a kernel.
puna_executor_options fast_options(int32_t max_rows, int32_t kv_type) {
    puna_executor_options options = executor_options(max_rows, kv_type);
    options.deterministic = 0;
    return options;
}

// So many rows and heads that tensor cores take them, also those of a large GPU.
SpecModelShape long_prompt_shape(Encoding encoding) {
    SpecModelShape shape = {small_spec()};
    shape.encoding = encoding;
    shape.spec.n_layer = 2;
    shape.spec.n_embd = 96;
    shape.spec.n_ff = 160;
    shape.spec.n_head = 24;
    shape.spec.n_head_kv = 12;
    shape.spec.head_dim_k = shape.spec.head_dim_v = shape.spec.rope_dim = 16;
    shape.spec.attention_scale = 0.25f;
    return shape;
}

TEST(CudaForward, LongPromptsAgreeWithDouble) {
    for (const Encoding encoding : {Encoding::kQ8_0, Encoding::kF16}) {
        const SpecModel model(long_prompt_shape(encoding));
        const auto tokens = random_tokens(model.spec(), 150);
        const auto expected = model.reference(tokens);
        for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_Q8_0}) {
            for (const int32_t n_batch : {150, 60}) {
                Session session(LayersRequest(model), fast_options(n_batch, kv_type));
                const auto logits = run_logits(model.spec(), session, tokens, n_batch);
                EXPECT_LT(relative_error(expected.logits, logits), 3e-2)
                    << n_batch << " rows, cache " << kv_type;
            }
        }
    }
}

// Passes of one row are graphs of many kernels or of one, in turns; those of few rows always of many.
TEST(CudaForward, OneRowHasTheBitsOfFewRows) {
    SpecModelShape shape = long_prompt_shape(Encoding::kQ8_0);
    shape.spec.n_head = 6;
    shape.spec.n_head_kv = 2;
    const SpecModel model(shape);
    const auto tokens = random_tokens(model.spec(), 15);
    for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_Q8_0}) {
        std::vector<float> logits[2];
        for (const int32_t n_batch : {1, 5}) {
            Session session(LayersRequest(model), executor_options(n_batch, kv_type));
            EXPECT_STREQ(api().one_row_kernels(session.executor), "");
            logits[n_batch == 1] = run_logits(model.spec(), session, tokens, n_batch);
            // A real GPU may have but one way.
            const std::string found = api().one_row_kernels(session.executor);
            const bool must_be_found = n_batch == 1 && is_emulated();
            EXPECT_TRUE(found == "one kernel" || found == "many kernels" || !must_be_found);
            EXPECT_TRUE(found.empty() || n_batch == 1) << found;
        }
        EXPECT_EQ(logits[0], logits[1]) << "cache " << kv_type;
    }
}

// Rows of a view that are in one batch. All views have the same tokens, each in pages of its own.
struct Part {
    int32_t view, begin, end;
};
constexpr int32_t kViews = 3;

BatchBuilder batch_of_parts(const puna_model_spec& spec, std::span<const int32_t> tokens,
                            const std::vector<Part>& parts) {
    const auto n_pages = static_cast<int32_t>(tokens.size() + PUNA_KV_PAGE - 1) / PUNA_KV_PAGE;
    BatchBuilder batch(spec);
    for (int32_t v = 0; v < kViews; ++v) {
        std::vector<int32_t> pages;
        for (int32_t i = 0; i < n_pages; ++i) pages.push_back((i + 1) % n_pages + v * n_pages);
        batch.add_view(pages);
    }
    for (const Part& part : parts) {
        for (int32_t i = part.begin; i < part.end; ++i) {
            batch.add_row(part.view, i, tokens[static_cast<size_t>(i)], PUNA_ROW_OUTPUT_LOGITS);
        }
    }
    return batch;
}

// Two sequences go on by some rows while a third begins with a prompt.
TEST(CudaForward, PromptsBesideSingleRowsAgreeWithDouble) {
    const std::vector<Part> batches[] = {{{0, 0, 60}, {1, 0, 59}},
                                         {{0, 60, 61}, {2, 0, 97}, {1, 59, 61}}};
    const SpecModel model(long_prompt_shape(Encoding::kQ8_0));
    const auto n_vocab = static_cast<size_t>(model.spec().n_vocab);
    const auto tokens = random_tokens(model.spec(), 97);
    const auto expected = model.reference(tokens);
    Session session(LayersRequest(model), fast_options(120, PUNA_KV_F16));
    for (const auto& parts : batches) {
        BatchBuilder batch = batch_of_parts(model.spec(), tokens, parts);
        session.run(batch.batch());
        for (size_t i = 0; i < batch.rows.size(); ++i) {
            const auto position = static_cast<size_t>(batch.rows[i].position);
            EXPECT_LT(relative_error({expected.logits.data() + position * n_vocab, n_vocab},
                                     batch.values(static_cast<int32_t>(i))),
                      3e-2)
                << "view " << batch.rows[i].view << " position " << position;
        }
    }
}

// ---- Large shapes --------------------------------------------------------------------------------

constexpr int32_t kLargeRows = 600;

// A layer for which a GPU with more than a hundred multiprocessors chooses what it does for real models: wide
// tiles, parts of sums, keys of 128 dimensions.
SpecModelShape large_shape(Encoding encoding) {
    SpecModelShape shape = {small_spec()};
    shape.encoding = encoding;
    shape.spec.n_layer = 1;
    shape.spec.n_vocab = 1500;
    shape.spec.n_embd = 1024;
    shape.spec.n_ff = 4096;
    shape.spec.n_head = 16;
    shape.spec.n_head_kv = 4;
    shape.spec.head_dim_k = shape.spec.head_dim_v = shape.spec.rope_dim = 128;
    shape.spec.attention_scale = 0.088f;
    return shape;
}

std::vector<float> run_parts(const SpecModel& model, const puna_executor_options& from,
                             std::span<const int32_t> tokens,
                             std::span<const std::vector<Part>> batches) {
    puna_executor_options options = from;
    options.n_cells = 2048;
    Session session(LayersRequest(model), options);
    std::vector<float> logits;
    for (const auto& parts : batches) {
        BatchBuilder batch = batch_of_parts(model.spec(), tokens, parts);
        session.run(batch.batch());
        const auto values = batch.all_values();
        logits.insert(logits.end(), values.begin(), values.end());
    }
    return logits;
}

struct LargeWeights {
    const char* name;
    Encoding encoding;
};
void PrintTo(const LargeWeights& weights, std::ostream* out) {
    *out << weights.name;
}
class CudaLargeShapes : public testing::TestWithParam<LargeWeights> {};

// A prompt as a whole, some rows of each view, and a prompt beside sequences that go on.
TEST_P(CudaLargeShapes, AgreeWithTheDeterministicMode) {
    if (is_emulated()) GTEST_SKIP() << "the emulator would take minutes";
    constexpr int32_t kEnd = kLargeRows;
    const std::vector<Part> batches[] = {{{0, 0, kEnd - 70}},
                                         {{1, 0, 40}},
                                         {{0, kEnd - 70, kEnd - 20}, {1, 40, 45}},
                                         {{0, kEnd - 20, kEnd - 1}},
                                         {{1, 45, 46}, {2, 0, kEnd - 50}, {0, kEnd - 1, kEnd}}};
    const SpecModel model(large_shape(GetParam().encoding));
    const auto tokens = random_tokens(model.spec(), kEnd);
    for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_BF16, PUNA_KV_Q8_0}) {
        const auto slow = run_parts(model, executor_options(kEnd, kv_type), tokens, batches);
        const auto fast = run_parts(model, fast_options(kEnd, kv_type), tokens, batches);
        EXPECT_LT(relative_error(std::vector<double>(slow.begin(), slow.end()), fast), 3e-2)
            << "cache " << kv_type;
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaLargeShapes,
                         testing::Values(LargeWeights{"Q8_0", Encoding::kQ8_0},
                                         LargeWeights{"Q4_0", Encoding::kQ4_0},
                                         LargeWeights{"F16", Encoding::kF16},
                                         LargeWeights{"BF16", Encoding::kBF16}),
                         [](const auto& weights) { return std::string(weights.param.name); });

// ---- Cuts ----------------------------------------------------------------------------------------

// Embedding alone, the layers in two cuts, and the head alone.
void expect_cuts_close(const SpecModel& model, const puna_executor_options& options, double bound) {
    const auto tokens = random_tokens(model.spec(), 12);
    const auto expected = model.reference(tokens);
    const int32_t n_layer = model.spec().n_layer;
    struct {
        int32_t first, n;
        bool embedding, head;
    } const cuts[] = {{0, 0, true, false},
                      {0, 1, false, false},
                      {1, n_layer - 1, false, false},
                      {n_layer, 0, false, true}};
    for (const bool in_pieces : {false, true}) {
        std::vector<float> hidden;
        std::vector<float> logits;
        for (const auto& cut : cuts) {
            Session session(LayersRequest(model, cut.first, cut.n, cut.embedding, cut.head),
                            options);
            BatchBuilder batch =
                batch_of(model.spec(), tokens, 0, 12, cut.head ? PUNA_ROW_OUTPUT_LOGITS : 0);
            batch.hidden_in = hidden;
            if (!cut.head) batch.hidden_out.resize(tokens.size() * model.spec().n_embd);
            ASSERT_EQ(session.begin(batch.batch()), PUNA_OK) << session.message;
            while (!session.advance(in_pieces ? INT64_MIN : INT64_MAX).done) {
            }
            hidden = batch.hidden_out;
            logits = batch.all_values();  // the last cut has them
        }
        EXPECT_LT(relative_error(expected.logits, logits), bound);
    }
}

TEST(CudaForward, CutsOfTheStackAgreeWithTheWhole) {
    expect_cuts_close(SpecModel({small_spec()}), executor_options(), 1e-4);
}

// In bfloat16.
TEST(CudaForward, HeadsOfHalvesAgreeWithDouble) {
    for (const Encoding encoding : {Encoding::kF16, Encoding::kBF16}) {
        SpecModelShape shape = {small_spec()};
        shape.encoding = encoding;
        shape.spec.n_layer = 2;
        expect_cuts_close(SpecModel(shape), fast_options(64, PUNA_KV_F32), 2e-2);
    }
}

TEST(CudaForward, RowsSeeFromFirstOn) {
    const SpecModel model({small_spec()});
    const auto tokens = random_tokens(model.spec(), 70);
    std::vector<int32_t> first;
    for (int32_t i = 0; i < 70; ++i) first.push_back(std::max(0, i - 9));
    const auto expected = model.reference(tokens, first);
    Session session(LayersRequest(model), executor_options(40));
    std::vector<float> logits;
    for (const int32_t begin : {0, 40}) {
        BatchBuilder batch(model.spec());
        const int32_t view = batch.add_view({3, 0, 2});
        for (int32_t i = begin; i < std::min(70, begin + 40); ++i) {
            const auto at = static_cast<size_t>(i);
            batch.add_row(view, i, tokens[at], PUNA_ROW_OUTPUT_LOGITS, 1, first[at]);
        }
        session.run(batch.batch());
        const auto values = batch.all_values();
        logits.insert(logits.end(), values.begin(), values.end());
    }
    EXPECT_LT(relative_error(expected.logits, logits), 1e-4);
}

// ---- Outputs -------------------------------------------------------------------------------------

class CudaExecutor : public testing::Test {
  protected:
    const SpecModel model_{{small_spec()}};
    const puna_model_spec& spec_ = model_.spec();
    const LayersRequest request_{model_};
};

// More outputs than the head takes at once, of all kinds, on their own and in pieces.
TEST_F(CudaExecutor, OutputsOfEveryKind) {
    const auto tokens = random_tokens(spec_, 50);
    const auto expected = model_.reference(tokens);
    Session session(request_, executor_options());
    const auto n_vocab = static_cast<size_t>(spec_.n_vocab);
    const auto n_embd = static_cast<size_t>(spec_.n_embd);
    for (const bool in_pieces : {false, true}) {
        BatchBuilder batch(spec_);
        const int32_t view = batch.add_view({1, 2});
        std::vector<float> sums(tokens.size());
        for (int32_t i = 0; i < 50; ++i) {
            batch.add_row(view, i, tokens[static_cast<size_t>(i)], i % 4 + 1, i % 7 + 1);
        }
        for (size_t i = 0; i < tokens.size(); ++i) {
            if (batch.outputs[i].kind != PUNA_ROW_OUTPUT_HIDDEN) {
                batch.outputs[i].log_sum_exp = &sums[i];
            }
        }
        ASSERT_EQ(session.begin(batch.batch()), PUNA_OK) << session.message;
        int32_t n_layers = 0;
        for (bool done = false; !done;) {
            const puna_progress progress = session.advance(in_pieces ? INT64_MIN : INT64_MAX);
            if (in_pieces) {
                EXPECT_EQ(progress.n_layers_run, 1);
            }
            n_layers += progress.n_layers_run;
            done = progress.done != 0;
        }
        EXPECT_EQ(n_layers, spec_.n_layer + 1);
        for (size_t i = 0; i < tokens.size(); ++i) {
            const std::span<const double> logits(expected.logits.data() + i * n_vocab, n_vocab);
            const auto values = batch.values(static_cast<int32_t>(i));
            if (batch.outputs[i].kind == PUNA_ROW_OUTPUT_HIDDEN) {
                EXPECT_LT(relative_error({expected.hidden.data() + i * n_embd, n_embd}, values),
                          1e-4);
                continue;
            }
            double sum = 0.0;
            for (const double logit : logits) sum += std::exp(logit);
            EXPECT_NEAR(sums[i], std::log(sum), 1e-4);
            if (batch.outputs[i].kind == PUNA_ROW_OUTPUT_LOGITS) {
                EXPECT_LT(relative_error(logits, values), 1e-4);
                continue;
            }
            std::vector<double> sorted(logits.begin(), logits.end());
            std::sort(sorted.rbegin(), sorted.rend());
            const size_t k = batch.outputs[i].kind == PUNA_ROW_OUTPUT_ARGMAX ? 1 : i % 7 + 1;
            ASSERT_EQ(values.size(), k);
            for (size_t j = 0; j < k; ++j) {
                EXPECT_NEAR(values[j], sorted[j], 1e-3);
                const auto token = batch.tokens(static_cast<int32_t>(i))[j];
                EXPECT_NEAR(logits[static_cast<size_t>(token)], sorted[j], 1e-3);
            }
        }
    }
}

TEST_F(CudaExecutor, BiasAndMaskChooseTheToken) {
    const auto tokens = random_tokens(spec_, 1);
    Session session(request_, executor_options());
    std::vector<uint32_t> mask((static_cast<size_t>(spec_.n_vocab) + 31) / 32, 0);
    const auto allow = [&](int32_t token) {
        mask[static_cast<size_t>(token) / 32] |= 1u << (token % 32);
    };
    allow(5);
    allow(17);
    const float inf = std::numeric_limits<float>::infinity();
    const struct {
        std::vector<puna_logit_bias> bias;
        bool masked;
        std::vector<int32_t> tokens;
    } cases[] = {
        {{{30, 60.0f}, {30, 60.0f}, {31, 90.0f}}, false, {30, 31}},
        {{{30, 60.0f}, {17, 50.0f}}, true, {17, 5}},
        {{{17, -inf}}, true, {5}},
        {{{17, -inf}, {5, -inf}}, true, {}},
    };
    for (int32_t round = 0; round < 2; ++round) {  // of new contents in graphs too
        for (const auto& test : cases) {
            BatchBuilder batch = batch_of(spec_, tokens, 0, 0);
            batch.add_row(0, 0, tokens[0], PUNA_ROW_OUTPUT_TOP_K, 2);
            batch.outputs[0].bias = test.bias.data();
            batch.outputs[0].n_bias = static_cast<int32_t>(test.bias.size());
            if (test.masked) batch.outputs[0].mask = mask.data();
            session.run(batch.batch());
            const auto found = batch.tokens(0);
            EXPECT_EQ(std::vector<int32_t>(found.begin(), found.end()), test.tokens);
        }
    }
}

TEST_F(CudaExecutor, AllTokensCanComeBackInOrder) {
    const auto tokens = random_tokens(spec_, 3);
    const auto expected = model_.reference(tokens);
    Session session(request_, executor_options());
    BatchBuilder batch(spec_);
    const int32_t view = batch.add_view({0});
    for (int32_t i = 0; i < 3; ++i) {
        batch.add_row(view, i, tokens[static_cast<size_t>(i)], PUNA_ROW_OUTPUT_TOP_K,
                      spec_.n_vocab);
    }
    session.run(batch.batch());
    for (int32_t i = 0; i < 3; ++i) {
        const auto found = batch.tokens(i);
        ASSERT_EQ(found.size(), static_cast<size_t>(spec_.n_vocab));
        std::vector<int32_t> sorted(found.begin(), found.end());
        std::sort(sorted.begin(), sorted.end());
        for (int32_t t = 0; t < spec_.n_vocab; ++t) EXPECT_EQ(sorted[static_cast<size_t>(t)], t);
        EXPECT_TRUE(
            std::is_sorted(batch.values(i).begin(), batch.values(i).end(), std::greater<>()));
    }
}

// ---- Batches in pieces ---------------------------------------------------------------------------

TEST_F(CudaExecutor, InterruptionStopsAfterTheLayer) {
    const auto tokens = random_tokens(spec_, 20);
    Session session(request_, executor_options());
    BatchBuilder batch = batch_of(spec_, tokens, 0, 20, PUNA_ROW_OUTPUT_ARGMAX);
    ASSERT_EQ(session.begin(batch.batch()), PUNA_OK);
    const auto always = [](void*) -> int32_t { return 1; };
    int32_t n_calls = 0;
    for (bool done = false; !done; ++n_calls) {
        const puna_progress progress = session.advance(INT64_MAX, always, nullptr);
        EXPECT_EQ(progress.n_layers_run, 1);
        done = progress.done != 0;
    }
    EXPECT_EQ(n_calls, spec_.n_layer + 1);
}

TEST_F(CudaExecutor, NoLayerBeginsBehindTheDeadline) {
    const auto tokens = random_tokens(spec_, 20);
    Session session(request_, executor_options());
    BatchBuilder batch = batch_of(spec_, tokens, 0, 20, PUNA_ROW_OUTPUT_ARGMAX);
    ASSERT_EQ(session.begin(batch.batch()), PUNA_OK);
    // The time of the host passes when it is looked at: by the function that may interrupt.
    const auto tick = [](void* host) -> int32_t {
        static_cast<BackendHost*>(host)->now_ns += 10;
        return 0;
    };
    const puna_progress progress = session.advance(15, tick, &session.host);
    EXPECT_FALSE(progress.done);
    EXPECT_GE(progress.n_layers_run, 1);
    EXPECT_LE(progress.n_layers_run, 3);
    EXPECT_TRUE(session.advance(INT64_MAX).done);
}

TEST_F(CudaExecutor, AbandonedBatchesCanBeDoneAgain) {
    const auto tokens = random_tokens(spec_, 40);
    const auto expected = model_.reference(tokens);
    Session session(request_, executor_options());
    run_logits(spec_, session, std::span(tokens).first(20), 20);
    BatchBuilder batch = batch_of(spec_, tokens, 20, 40);
    for (int32_t i = 0; i < 3; ++i) {
        ASSERT_EQ(session.begin(batch.batch()), PUNA_OK);
        EXPECT_EQ(session.begin(batch.batch()), PUNA_ERROR_STATE);
        for (int32_t j = 0; j < i; ++j) session.advance(INT64_MIN);
        api().abandon(session.executor);
        api().abandon(session.executor);
    }
    session.run(batch.batch());
    const auto from = static_cast<size_t>(20 * spec_.n_vocab);
    EXPECT_LT(relative_error(std::span(expected.logits).subspan(from), batch.all_values()), 1e-4);
}

TEST_F(CudaExecutor, DestroyedInTheMiddleOfABatch) {
    const auto tokens = random_tokens(spec_, 20);
    BatchBuilder batch = batch_of(spec_, tokens, 0, 20);
    Session session(request_, executor_options());
    ASSERT_EQ(session.begin(batch.batch()), PUNA_OK);
    session.advance(INT64_MIN);
}

// ---- Cells ---------------------------------------------------------------------------------------

TEST_F(CudaExecutor, MovedCellsContinueLikeTheOriginal) {
    const auto tokens = random_tokens(spec_, 50);
    for (const int32_t kv_type : {PUNA_KV_F32, PUNA_KV_Q8_0}) {
        Session session(request_, executor_options(64, kv_type));
        run_logits(spec_, session, std::span(tokens).first(40), 64);  // pages 1 and 2
        const puna_kv_move moves[] = {{32, 160, 40, 0}, {160, 165, 40, 0}, {165, 160, 40, 0}};
        puna_error error = PUNA_ERROR_INIT;
        ASSERT_EQ(api().kv_move(session.executor, moves, 3, &error), PUNA_OK) << error.message;
        std::vector<float> logits[2];
        for (const int32_t page : {1, 5}) {
            BatchBuilder batch(spec_);
            const int32_t view = batch.add_view({page, page + 1});
            for (int32_t i = 40; i < 50; ++i) {
                batch.add_row(view, i, tokens[static_cast<size_t>(i)],
                              i == 49 ? PUNA_ROW_OUTPUT_LOGITS : 0);
            }
            session.run(batch.batch());
            logits[page == 5] = batch.all_values();
        }
        EXPECT_EQ(logits[0], logits[1]);
    }
}

TEST_F(CudaExecutor, CellsAreReadAsTheyWereWrittenDuringABatchToo) {
    const auto tokens = random_tokens(spec_, 20);
    for (const int32_t kv_type : {PUNA_KV_F16, PUNA_KV_Q8_0}) {
        Session session(request_, executor_options(64, kv_type));
        BatchBuilder batch = batch_of(spec_, tokens, 0, 20);  // page 1
        ASSERT_EQ(session.begin(batch.batch()), PUNA_OK);
        session.advance(INT64_MIN);
        const std::vector<int32_t> cells = {700, 3, 1023, 64};
        for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
            const int32_t dim = half == PUNA_KV_KEYS ? spec_.head_dim_k : spec_.head_dim_v;
            const size_t line = kv_type == PUNA_KV_F16
                                    ? static_cast<size_t>(dim) * 2
                                    : static_cast<size_t>(dim + (dim + 31) / 32 * 2);
            std::vector<uint8_t> data(cells.size() * static_cast<size_t>(spec_.n_head_kv) * line);
            std::iota(data.begin(), data.end(), uint8_t{1});
            std::vector<uint8_t> found(data.size());
            puna_error error = PUNA_ERROR_INIT;
            ASSERT_EQ(api().kv_write(session.executor, 1, half, cells.data(), 4, data.data(),
                                     data.size(), &error),
                      PUNA_OK)
                << error.message;
            ASSERT_EQ(api().kv_read(session.executor, 1, half, cells.data(), 4, found.data(),
                                    found.size(), &error),
                      PUNA_OK)
                << error.message;
            EXPECT_EQ(found, data);
            EXPECT_EQ(api().kv_read(session.executor, 1, half, cells.data(), 4, found.data(),
                                    found.size() - 1, &error),
                      PUNA_ERROR_ARGUMENT);
        }
        while (!session.advance(INT64_MIN).done) {
        }
    }
}

// ---- What is refused -----------------------------------------------------------------------------

// Each refusal is tested once for all backends: *_check_test.cpp.
TEST_F(CudaExecutor, ChecksBatches) {
    const auto tokens = random_tokens(spec_, 4);
    Session session(request_, executor_options());
    const struct {
        const char* text;
        puna_status status;
        void (*change)(BatchBuilder&);
    } cases[] = {
        {"row 1: cell", PUNA_ERROR_ARGUMENT, [](auto& b) { b.rows[1].cell += 1; }},
        {"page 32", PUNA_ERROR_ARGUMENT, [](auto& b) { b.rows[0].view = b.add_view({32}); }},
        {"no row names it", PUNA_ERROR_ARGUMENT, [](auto& b) { b.rows[1].output = -1; }},
        {"kind", PUNA_ERROR_UNSUPPORTED, [](auto& b) { b.outputs[1].kind = 9; }},
    };
    for (const auto& test : cases) {
        BatchBuilder batch = batch_of(spec_, tokens, 0, 4);
        test.change(batch);
        EXPECT_EQ(session.begin(batch.batch()), test.status) << test.text;
        EXPECT_NE(session.message.find(test.text), std::string::npos) << session.message;
    }
}

TEST_F(CudaExecutor, ChecksOptions) {
    Session session(request_, executor_options());
    const struct {
        const char* text;
        int32_t puna_executor_options::*option;
        int32_t value;
        puna_status status;
    } cases[] = {
        {"n_cells", &puna_executor_options::n_cells, 33, PUNA_ERROR_ARGUMENT},
        {"the CUDA backend", &puna_executor_options::max_adapters, 1, PUNA_ERROR_UNSUPPORTED},
        {"kv_type_k", &puna_executor_options::kv_type_k, 9, PUNA_ERROR_UNSUPPORTED},
        {"kv_type_v", &puna_executor_options::kv_type_v, 0, PUNA_ERROR_UNSUPPORTED},
    };
    for (const auto& test : cases) {
        puna_executor_options options = executor_options();
        options.*test.option = test.value;
        puna_error error = PUNA_ERROR_INIT;
        puna_executor* executor = nullptr;
        EXPECT_EQ(api().create_executor(session.layers, &options, &executor, &error), test.status);
        EXPECT_NE(std::string(error.message).find(test.text), std::string::npos) << error.message;
        EXPECT_EQ(executor, nullptr);
        puna_backend_estimate estimate = {};
        estimate.struct_size = sizeof estimate;
        EXPECT_EQ(api().estimate(session.backend, &request_, &options, &estimate, &error),
                  test.status);
    }
}

TEST_F(CudaExecutor, ChecksModelsAndTensors) {
    Session session(request_, executor_options());
    const auto refuse = [&](const puna_layers_request& request, puna_status status,
                            const char* what) {
        puna_error error = PUNA_ERROR_INIT;
        puna_layer_set* layers = nullptr;
        EXPECT_EQ(api().load_layers(session.backend, &request, &layers, &error), status) << what;
        EXPECT_NE(std::string(error.message).find(what), std::string::npos) << error.message;
        EXPECT_EQ(layers, nullptr);
    };
    for (const auto& [field, value, status, name] :
         {std::tuple(&puna_model_spec::norm, 7, PUNA_ERROR_MODEL_UNSUPPORTED, "norm"),
          std::tuple(&puna_model_spec::activation, 0, PUNA_ERROR_MODEL_UNSUPPORTED, "activation"),
          std::tuple(&puna_model_spec::head_dim_k, 8193, PUNA_ERROR_MODEL_UNSUPPORTED,
                     "head_dim_k is 8193"),
          std::tuple(&puna_model_spec::n_head_kv, 0, PUNA_ERROR_ARGUMENT, "n_head_kv")}) {
        LayersRequest request(model_);
        puna_model_spec spec = spec_;
        spec.*field = value;
        request.spec = &spec;
        refuse(request, status, name);
    }
    LayersRequest format(model_);
    format.list[5].format = 99;
    refuse(format, PUNA_ERROR_MODEL_UNSUPPORTED, format.list[5].name);
    LayersRequest shape(model_);
    shape.list[5].rows += 1;
    refuse(shape, PUNA_ERROR_MODEL, shape.list[5].name);
    LayersRequest size(model_);
    size.list[5].size_bytes -= 1;
    refuse(size, PUNA_ERROR_MODEL, size.list[5].name);
    LayersRequest columns(model_);
    ASSERT_NE(columns.list[5].columns % 32, 0);
    columns.list[5].format = PUNA_FORMAT_Q8_0;
    refuse(columns, PUNA_ERROR_MODEL, "columns are not a multiple of 32");
    LayersRequest missing(model_);
    missing.n_tensors -= 1;
    refuse(missing, PUNA_ERROR_MODEL, "is missing");
    LayersRequest device(model_);
    device.device = 1;
    refuse(device, PUNA_ERROR_NOT_FOUND, "device 1");
}

TEST_F(CudaExecutor, ChecksMoves) {
    Session session(request_, executor_options());
    const puna_kv_move move = {0, 1024, 1, 0};
    puna_error error = PUNA_ERROR_INIT;
    EXPECT_EQ(api().kv_move(session.executor, &move, 1, &error), PUNA_ERROR_ARGUMENT);
    EXPECT_NE(std::string(error.message).find("1024"), std::string::npos) << error.message;
}

TEST_F(CudaExecutor, ReleasesTheOwnerOnceAfterTheUpload) {
    Session session(request_, executor_options());
    int n_released = 0;
    LayersRequest request(model_);
    request.owner = &n_released;
    request.release = [](void* owner) { ++*static_cast<int*>(owner); };
    puna_error error = PUNA_ERROR_INIT;
    puna_layer_set* layers = nullptr;
    ASSERT_EQ(api().load_layers(session.backend, &request, &layers, &error), PUNA_OK);
    EXPECT_EQ(n_released, 1);
    api().destroy_layers(layers);
    EXPECT_EQ(n_released, 1);
    request.n_tensors -= 1;
    EXPECT_NE(api().load_layers(session.backend, &request, &layers, &error), PUNA_OK);
    EXPECT_EQ(n_released, 1);
}

}  // namespace
}  // namespace puna::test
