#include "seam/spec_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/spec_model.h"
#include "support/test_limits.h"

namespace puna::core {
namespace {

using test::kTestLimits;

TEST(SpecCheck, RefusesModelsByField) {
    const struct {
        const char* field;
        puna_status status;
        void (*change)(puna_model_spec&);
    } cases[] = {
        {"norm 3", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.norm = 3; }},
        {"norm -1", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.norm = -1; }},
        {"norm 32", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.norm = 32; }},
        {"the TEST backend", PUNA_ERROR_MODEL_UNSUPPORTED,
         [](auto& s) { s.norm = PUNA_NORM_LAYER; }},
        {"activation 4", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.activation = 4; }},
        {"activation 0", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.activation = 0; }},
        {"activation 3", PUNA_ERROR_MODEL_UNSUPPORTED,
         [](auto& s) { s.activation = PUNA_ACTIVATION_GELU_TANH; }},
        {"rope 3", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.rope = 3; }},
        {"rope -1", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.rope = -1; }},
        {"qk_norm 2", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.qk_norm = 2; }},
        {"reserved is 1, must be 0", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.reserved = 1; }},
        {"head_dim_k is 65", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.head_dim_k = 65; }},
        {"head_dim_v is 65", PUNA_ERROR_MODEL_UNSUPPORTED, [](auto& s) { s.head_dim_v = 65; }},
        {"n_vocab", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_vocab = 0; }},
        {"n_embd", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_embd = 0; }},
        {"n_layer", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_layer = -1; }},
        {"n_head", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_head = 0; }},
        {"n_head_kv", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_head_kv = 0; }},
        {"n_head_kv", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_head_kv = 4; }},
        {"head_dim_k", PUNA_ERROR_ARGUMENT, [](auto& s) { s.head_dim_k = 0; }},
        {"head_dim_v", PUNA_ERROR_ARGUMENT, [](auto& s) { s.head_dim_v = -8; }},
        {"n_ff", PUNA_ERROR_ARGUMENT, [](auto& s) { s.n_ff = 0; }},
        {"rope_dim", PUNA_ERROR_ARGUMENT, [](auto& s) { s.rope_dim = 3; }},
        {"rope_dim", PUNA_ERROR_ARGUMENT, [](auto& s) { s.rope_dim = -2; }},
        {"rope_dim", PUNA_ERROR_ARGUMENT, [](auto& s) { s.rope_dim = 12; }},
        {"rope_frequencies", PUNA_ERROR_ARGUMENT, [](auto& s) { s.rope_frequencies = nullptr; }},
        {"norm_epsilon", PUNA_ERROR_ARGUMENT, [](auto& s) { s.norm_epsilon = NAN; }},
        {"logit_scale", PUNA_ERROR_ARGUMENT, [](auto& s) { s.logit_scale = INFINITY; }},
    };
    const test::SpecModel model({test::small_spec()});
    EXPECT_TRUE(check_spec(kTestLimits, model.spec()).ok());
    for (const auto& c : cases) {
        puna_model_spec spec = model.spec();
        c.change(spec);
        test::expect_refusal(check_spec(kTestLimits, spec), c.status, c.field);
    }
}

TEST(SpecCheck, WhatIsNotTurnedNeedsNoFrequencies) {
    puna_model_spec spec = test::small_spec();
    spec.rope = PUNA_ROPE_NONE;
    EXPECT_TRUE(check_spec(kTestLimits, spec).ok());
    spec.rope = PUNA_ROPE_HALVES;
    spec.rope_dim = 0;
    EXPECT_TRUE(check_spec(kTestLimits, spec).ok());
}

}  // namespace
}  // namespace puna::core
