#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cpu/cpu_backend.h"
#include "support/backend_session.h"
#include "support/kernel_tables.h"
#include "support/relative_error.h"
#include "support/spec_variants.h"

namespace puna::core {
namespace {

using test::BackendHost;
using test::BackendSession;
using test::BatchBuilder;
using test::LayersRequest;
using test::random_tokens;
using test::relative_error;
using test::run_logits;
using test::SpecModel;

const puna_backend_api& api() {
    return *cpu_backend_api();
}

class CpuSpecs : public testing::TestWithParam<test::SpecVariant> {};

TEST_P(CpuSpecs, AgreesWithDouble) {
    const SpecModel model(GetParam().shape());
    const auto tokens = random_tokens(model.spec(), 41);
    const auto expected = model.reference(tokens);
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        const BackendHost host;
        BackendSession session(api(), host, table.name, LayersRequest(model),
                               test::executor_options());
        const auto logits = run_logits(model.spec(), session, tokens, 20);
        const bool is_rounded = test::rounded_group(table.name) > 0;
        EXPECT_LT(relative_error(expected.logits, logits), is_rounded ? 2e-4 : 3e-6) << table.name;
    }
}

TEST_P(CpuSpecs, RoundedCacheIsCloseToDouble) {
    const SpecModel model(GetParam().shape());
    const auto tokens = random_tokens(model.spec(), 41);
    const auto expected = model.reference(tokens);
    auto options = test::executor_options();
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const auto& c : test::kRoundedCaches) {
            options.kv_type_k = c.keys;
            options.kv_type_v = c.values;
            const BackendHost host;
            BackendSession session(api(), host, table.name, LayersRequest(model), options);
            const auto logits = run_logits(model.spec(), session, tokens, 64);
            EXPECT_LT(relative_error(expected.logits, logits), c.bound)
                << table.name << " keys " << c.keys << " values " << c.values;
        }
    }
}

// Outputs of the wanted rows of 40 and then 10 tokens: two sequences in turn, in pages from `first_page` on.
// Every fifth is hidden.
std::vector<std::vector<float>> outputs_of(BackendSession& session, const SpecModel& model,
                                           std::span<const int32_t> tokens, int32_t first_page,
                                           const std::set<int32_t>& wanted) {
    std::vector<std::vector<float>> outputs;
    for (const auto& [begin, end] : {std::pair{0, 40}, std::pair{40, 50}}) {
        BatchBuilder batch(model.spec());
        const int32_t views[] = {batch.add_view({first_page}), batch.add_view({first_page + 1})};
        for (int32_t i = begin; i < end; ++i) {
            const int32_t kind = i % 5 == 0 ? PUNA_ROW_OUTPUT_HIDDEN : PUNA_ROW_OUTPUT_LOGITS;
            batch.add_row(views[i % 2], i / 2, tokens[static_cast<size_t>(i)],
                          wanted.contains(i) ? kind : 0);
        }
        session.run(batch.batch());
        for (size_t i = 0; i < batch.outputs.size(); ++i) {
            const auto values = batch.values(static_cast<int32_t>(i));
            outputs.emplace_back(values.begin(), values.end());
        }
    }
    return outputs;
}

// Which outputs a batch wants changes neither those nor what later batches find in the cache.
TEST_P(CpuSpecs, RowsThatWantNothingChangeNothing) {
    const SpecModel model(GetParam().shape());
    const auto tokens = random_tokens(model.spec(), 50);
    std::set<int32_t> all;
    for (int32_t i = 0; i < 50; ++i) all.insert(i);
    auto options = test::executor_options();
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const int32_t deterministic : {1, 0}) {
            options.deterministic = deterministic;
            const BackendHost host;
            BackendSession session(api(), host, table.name, LayersRequest(model), options);
            const auto expected = outputs_of(session, model, tokens, 0, all);
            int32_t page = 0;
            for (const auto& wanted : {std::set{49}, {0, 45}, {2, 3, 17, 39, 41}}) {
                const auto outputs = outputs_of(session, model, tokens, page += 2, wanted);
                ASSERT_EQ(outputs.size(), wanted.size());
                size_t next = 0;
                for (const int32_t i : wanted) {
                    const auto& row = expected[static_cast<size_t>(i)];
                    const std::vector<double> same(row.begin(), row.end());
                    EXPECT_LE(relative_error(same, outputs[next++]), deterministic ? 0.0 : 0.02)
                        << table.name << " row " << i;
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All, CpuSpecs, testing::ValuesIn(test::spec_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(CpuForwardParallel, BatchSplitsAndThreadsDoNotChangeBits) {
    test::SpecModelShape shape = {};
    shape.spec = test::small_spec();
    shape.spec.n_layer = 2;
    const SpecModel model(shape);
    const auto tokens = random_tokens(model.spec(), 290);
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        std::vector<float> expected;
        for (const int32_t n_threads : {1, 2, 3}) {
            for (const int32_t n_batch : {290, 7, 1}) {
                if (n_threads == 3 && n_batch == 1) continue;  // slow: a thread start per phase
                const BackendHost host(n_threads);
                auto options = test::executor_options(n_batch);
                options.n_threads = n_threads;
                BackendSession session(api(), host, table.name, LayersRequest(model), options);
                const auto logits = run_logits(model.spec(), session, tokens, n_batch);
                if (expected.empty()) expected = logits;
                ASSERT_EQ(logits, expected)
                    << table.name << " threads " << n_threads << " batch " << n_batch;
                EXPECT_EQ(host.most_threads(), n_threads == 1 ? 0 : n_threads);
            }
        }
    }
}

TEST(CpuForward, SequencesInOneBatchDoNotSeeEachOther) {
    const SpecModel model({test::small_spec()});
    const auto tokens = random_tokens(model.spec(), 60);
    const std::span<const int32_t> first(tokens.data(), 25);
    const std::span<const int32_t> second(tokens.data() + 25, 35);
    const BackendHost host;
    BackendSession alone(api(), host, nullptr, LayersRequest(model), test::executor_options());
    const auto logits_first = run_logits(model.spec(), alone, first, 64);
    const auto logits_second = run_logits(model.spec(), alone, second, 64);

    BackendSession session(api(), host, nullptr, LayersRequest(model), test::executor_options());
    BatchBuilder batch(model.spec());
    const int32_t views[] = {batch.add_view({4, 2}), batch.add_view({9, 0})};
    std::vector<std::pair<const float*, int32_t>> expected;
    const auto n_vocab = static_cast<size_t>(model.spec().n_vocab);
    for (size_t i = 0; i < second.size(); ++i) {
        const auto position = static_cast<int32_t>(i);
        expected.push_back({logits_second.data() + i * n_vocab,
                            batch.add_row(views[1], position, second[i], PUNA_ROW_OUTPUT_LOGITS)});
        if (i >= first.size()) continue;
        expected.push_back({logits_first.data() + i * n_vocab,
                            batch.add_row(views[0], position, first[i], PUNA_ROW_OUTPUT_LOGITS)});
    }
    session.run(batch.batch());
    for (const auto& [logits, output] : expected) {
        const auto values = batch.values(output);
        ASSERT_EQ(std::vector<float>(values.begin(), values.end()),
                  std::vector<float>(logits, logits + n_vocab));
    }
}

TEST(CpuForward, RowsSeeFromFirstOn) {
    const SpecModel model({test::small_spec()});
    const auto tokens = random_tokens(model.spec(), 40);
    std::vector<int32_t> first;
    for (int32_t i = 0; i < 40; ++i) first.push_back(std::max(0, i - 9));
    const auto expected = model.reference(tokens, first);
    const BackendHost host;
    BackendSession session(api(), host, nullptr, LayersRequest(model), test::executor_options());
    BatchBuilder batch(model.spec());
    const int32_t view = batch.add_view({0, 1});
    for (int32_t i = 0; i < 40; ++i) {
        const auto at = static_cast<size_t>(i);
        batch.add_row(view, i, tokens[at], PUNA_ROW_OUTPUT_LOGITS, 1, first[at]);
    }
    session.run(batch.batch());
    EXPECT_LT(relative_error(expected.logits, batch.all_values()), 3e-6);
}

// Embedding alone, the layers in two cuts, and the head alone: hidden rows go from one to the next.
// Rows that follow each other in memory, and rows that do not.
TEST(CpuForward, CutsOfTheStackGiveTheBitsOfTheWhole) {
    struct {
        int32_t first, n;
        bool embedding, head;
    } const cuts[] = {
        {0, 0, true, false}, {0, 1, false, false}, {1, 2, false, false}, {3, 0, false, true}};
    for (const int32_t n_embd : {48, 40}) {
        puna_model_spec spec = test::small_spec();
        spec.n_embd = n_embd;
        const SpecModel model({spec});
        const auto tokens = random_tokens(model.spec(), 30);
        const BackendHost host;
        BackendSession whole(api(), host, nullptr, LayersRequest(model), test::executor_options());
        const auto expected = run_logits(model.spec(), whole, tokens, 64);

        const size_t hidden_size = tokens.size() * static_cast<size_t>(n_embd);
        std::vector<float> hidden;
        std::vector<float> logits;
        for (const auto& cut : cuts) {
            BackendSession session(api(), host, nullptr,
                                   LayersRequest(model, cut.first, cut.n, cut.embedding, cut.head),
                                   test::executor_options());
            BatchBuilder batch(model.spec());
            batch.hidden_in = hidden;
            if (!cut.head) batch.hidden_out.resize(hidden_size);
            const int32_t view = batch.add_view({0});
            for (size_t i = 0; i < tokens.size(); ++i) {
                batch.add_row(view, static_cast<int32_t>(i), tokens[i],
                              cut.head ? PUNA_ROW_OUTPUT_LOGITS : 0);
            }
            session.run(batch.batch());
            hidden = batch.hidden_out;
            logits = batch.all_values();  // the last cut has them
        }
        EXPECT_EQ(logits, expected) << n_embd;
    }
}

TEST(CpuForward, MovedCellsContinueLikeTheOriginal) {
    const SpecModel model({test::small_spec()});
    const auto tokens = random_tokens(model.spec(), 50);
    const BackendHost host;
    BackendSession session(api(), host, nullptr, LayersRequest(model), test::executor_options());
    run_logits(model.spec(), session, std::span(tokens).first(40), 64);  // pages 1 and 2
    const puna_kv_move copy = {32, 160, 40, 0};
    puna_error error = PUNA_ERROR_INIT;
    ASSERT_EQ(api().kv_move(session.executor, &copy, 1, &error), PUNA_OK);
    std::vector<float> logits[2];
    for (const int32_t page : {1, 5}) {
        BatchBuilder batch(model.spec());
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

}  // namespace
}  // namespace puna::core
