#include "seam/batch_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "support/backend_session.h"
#include "support/test_limits.h"

namespace puna::core {
namespace {

using test::BatchBuilder;

class BatchCheck : public testing::Test {
  protected:
    // Forty rows of one sequence; the last one has an output.
    BatchBuilder forty_rows(int32_t kind = PUNA_ROW_OUTPUT_LOGITS) const {
        BatchBuilder batch(spec_);
        const int32_t view = batch.add_view({3, 1});
        for (int32_t i = 0; i < 39; ++i) batch.add_row(view, i, (i * 37) % 101);
        batch.add_row(view, 39, 7, kind);
        return batch;
    }
    Status check(const puna_batch& batch) const {
        return check_batch(test::kTestLimits, layers_, options_, batch);
    }

    const puna_model_spec spec_ = test::small_spec();
    LayerRange layers_ = {spec_, 0, 3, true, true};
    puna_executor_options options_ = test::executor_options();
};

TEST_F(BatchCheck, RefusesBatchesByRowAndField) {
    static const int32_t no_page[] = {3, 32};
    static const int32_t unseen[] = {3, 1, -1};
    const struct {
        const char* text;
        puna_status status;
        std::function<void(BatchBuilder&, puna_batch&)> change;
    } cases[] = {
        {"n_rows is 0, must be 1 to max_rows 64", PUNA_ERROR_ARGUMENT,
         [](auto&, auto& b) { b.n_rows = 0; }},
        {"n_rows is 65", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.n_rows = 65; }},
        {"rows is NULL", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.rows = nullptr; }},
        {"n_views is 0", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.n_views = 0; }},
        {"n_views is 9", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.n_views = 9; }},
        {"views is NULL", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.views = nullptr; }},
        {"n_outputs is -1", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.n_outputs = -1; }},
        {"max_outputs 64", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.n_outputs = 65; }},
        {"outputs is NULL", PUNA_ERROR_ARGUMENT, [](auto&, auto& b) { b.outputs = nullptr; }},
        {"adapters", PUNA_ERROR_UNSUPPORTED, [](auto&, auto& b) { b.n_adapters = 1; }},
        {"n_pages is 0", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.views[0].n_pages = 0; }},
        {"pages is NULL", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.views[0].pages = nullptr; }},
        {"page 32", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.views[0].pages = no_page; }},
        {"page -1", PUNA_ERROR_ARGUMENT,
         [](auto& a, auto&) {
             a.views[0] = {unseen, 3, 0};
         }},
        {"row 2: token", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[2].token = 101; }},
        {"row 0: token", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[0].token = -1; }},
        {"view 1", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[0].view = 1; }},
        {"view -1", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[0].view = -1; }},
        {"position", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[0].position = 64; }},
        {"position", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[0].position = -1; }},
        {"first", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[5].first = 6; }},
        {"first", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[5].first = -1; }},
        {"cell", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { ++a.rows[5].cell; }},
        {"adapter", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[5].adapter = 0; }},
        {"output", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[5].output = 1; }},
        {"output", PUNA_ERROR_ARGUMENT, [](auto& a, auto&) { a.rows[5].output = -2; }},
        {"output 0: no row names it", PUNA_ERROR_ARGUMENT,
         [](auto& a, auto&) { a.rows[39].output = -1; }},
        {"output 0: row 39 names it too", PUNA_ERROR_ARGUMENT,
         [](auto& a, auto&) { a.rows[5].output = 0; }},
    };
    EXPECT_TRUE(check(forty_rows().batch()).ok());
    for (const auto& c : cases) {
        BatchBuilder builder = forty_rows();
        puna_batch batch = builder.batch();
        c.change(builder, batch);
        test::expect_refusal(check(batch), c.status, c.text);
    }
}

TEST_F(BatchCheck, RefusesOutputsByField) {
    static const puna_logit_bias bias[9] = {{100, 1.0f}, {101, 1.0f}, {-1, 1.0f}};
    const struct {
        const char* text;
        puna_status status;
        void (*change)(puna_batch_output&);
    } cases[] = {
        {"kind 0", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kind = 0; }},
        {"kind 5", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kind = 5; }},
        {"values", PUNA_ERROR_ARGUMENT, [](auto& o) { o.values = nullptr; }},
        {"tokens", PUNA_ERROR_ARGUMENT, [](auto& o) { o.tokens = nullptr; }},
        {"k is 0", PUNA_ERROR_ARGUMENT, [](auto& o) { o.k = 0; }},
        {"k is 102", PUNA_ERROR_ARGUMENT, [](auto& o) { o.k = 102; }},
        {"n_bias is -1", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_bias = -1; }},
        {"max_bias 8", PUNA_ERROR_ARGUMENT,
         [](auto& o) {
             o.bias = bias;
             o.n_bias = 9;
         }},
        {"bias is NULL", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_bias = 1; }},
        {"token 101", PUNA_ERROR_ARGUMENT,
         [](auto& o) {
             o.bias = bias;
             o.n_bias = 2;
         }},
        {"token -1", PUNA_ERROR_ARGUMENT,
         [](auto& o) {
             o.bias = bias + 2;
             o.n_bias = 1;
         }},
    };
    BatchBuilder good = forty_rows(PUNA_ROW_OUTPUT_TOP_K);
    good.outputs[0].bias = bias;
    good.outputs[0].n_bias = 1;
    EXPECT_TRUE(check(good.batch()).ok());
    for (const auto& c : cases) {
        BatchBuilder builder = forty_rows(PUNA_ROW_OUTPUT_TOP_K);
        c.change(builder.outputs[0]);
        test::expect_refusal(check(builder.batch()), c.status, c.text);
    }
}

// Marks of outputs are words of 64.
TEST_F(BatchCheck, EachOutputBelongsToOneRow) {
    options_.max_rows = options_.max_outputs = 200;
    for (const int32_t n : {63, 64, 65, 128, 200}) {
        BatchBuilder builder(spec_);
        const int32_t view = builder.add_view({0, 1, 2, 3, 4, 5, 6});
        for (int32_t i = 0; i < n; ++i) builder.add_row(view, i, 1, PUNA_ROW_OUTPUT_LOGITS);
        std::reverse(builder.outputs.begin(), builder.outputs.end());
        for (puna_batch_row& row : builder.rows) row.output = n - 1 - row.output;
        EXPECT_TRUE(check(builder.batch()).ok());
        for (const int32_t output : {0, n / 2, n - 1}) {
            puna_batch_row& row = builder.rows[static_cast<size_t>(n - 1 - output)];
            const std::string prefix = "output " + std::to_string(output);
            row.output = -1;
            test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT,
                                 (prefix + ": no row").c_str());
            row.output = output == 0 ? n - 1 : 0;
            test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT, "names it");
            row.output = output;
        }
    }
}

TEST_F(BatchCheck, EndsOfTheModelDecideWhatComesAndGoes) {
    BatchBuilder builder = forty_rows();
    layers_.has_head = false;
    test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT, "no head");
    builder.outputs.clear();
    test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT, "hidden_out is NULL");
    builder.hidden_out.resize(40 * 48);
    EXPECT_TRUE(check(builder.batch()).ok());
    layers_.has_embedding = false;
    test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT, "hidden_in is NULL");
    builder.hidden_in.resize(40 * 48);
    builder.rows[0].token = -1;  // not looked at
    EXPECT_TRUE(check(builder.batch()).ok());
}

TEST_F(BatchCheck, RowsThatSeeMoreThanTheContextAreRefused) {
    BatchBuilder builder = forty_rows();
    options_.n_ctx = 39;
    test::expect_refusal(check(builder.batch()), PUNA_ERROR_ARGUMENT, "row 39: first 0");
    builder.rows.back().first = 1;
    EXPECT_TRUE(check(builder.batch()).ok());
}

}  // namespace
}  // namespace puna::core
