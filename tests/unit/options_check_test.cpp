#include "seam/options_check.h"

#include <gtest/gtest.h>

#include "support/backend_session.h"
#include "support/test_limits.h"

namespace puna::core {
namespace {

TEST(OptionsCheck, RefusesExecutorsByOption) {
    const struct {
        const char* option;
        puna_status status;
        void (*change)(puna_executor_options&);
    } cases[] = {
        {"n_cells", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_cells = 0; }},
        {"n_cells", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_cells = 33; }},
        {"n_ctx", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_ctx = 0; }},
        {"max_rows", PUNA_ERROR_ARGUMENT, [](auto& o) { o.max_rows = 0; }},
        {"max_views", PUNA_ERROR_ARGUMENT, [](auto& o) { o.max_views = -1; }},
        {"max_outputs", PUNA_ERROR_ARGUMENT, [](auto& o) { o.max_outputs = -1; }},
        {"max_bias", PUNA_ERROR_ARGUMENT, [](auto& o) { o.max_bias = -1; }},
        {"max_adapters", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.max_adapters = 1; }},
        {"n_threads", PUNA_ERROR_ARGUMENT, [](auto& o) { o.n_threads = -1; }},
        {"kv_type_k", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kv_type_k = PUNA_KV_DEFAULT; }},
        {"kv_type_k", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kv_type_k = PUNA_KV_BF16; }},
        {"kv_type_v", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kv_type_v = -1; }},
        {"kv_type_v", PUNA_ERROR_UNSUPPORTED, [](auto& o) { o.kv_type_v = 77; }},
    };
    EXPECT_TRUE(check_options(test::kTestLimits, test::executor_options()).ok());
    for (const auto& c : cases) {
        auto options = test::executor_options();
        c.change(options);
        test::expect_refusal(check_options(test::kTestLimits, options), c.status, c.option);
    }
}

}  // namespace
}  // namespace puna::core
