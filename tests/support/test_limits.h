// A backend of the tests that serves a part of what there is, and what its refusals must say.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "seam/backend_limits.h"

namespace puna::test {

constexpr core::BackendLimits kTestLimits = {
    .name = "TEST",
    .most_head_dim = 64,
    .norms = 1u << PUNA_NORM_RMS,
    .activations = 1u << PUNA_ACTIVATION_SILU | 1u << PUNA_ACTIVATION_GELU,
    .kv_types = 1u << PUNA_KV_F16 | 1u << PUNA_KV_F32,
};

inline void expect_refusal(const core::Status& status, puna_status code, const char* text) {
    EXPECT_EQ(status.code(), code) << text << ": " << status.text();
    EXPECT_NE(std::string(status.text()).find(text), std::string::npos)
        << text << ": " << status.text();
}

}  // namespace puna::test
