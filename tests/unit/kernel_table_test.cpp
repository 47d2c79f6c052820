#include "cpu/kernel_table.h"

#include <gtest/gtest.h>

#include <string>

#include "base/cpu_features.h"
#include "puna/puna_backend.h"

namespace puna::core {
namespace {

TEST(KernelTable, AnyProcessorRunsTheScalarSet) {
    const auto table = choose_kernels(0, nullptr);
    ASSERT_TRUE(table.ok());
    EXPECT_STREQ(table->name, "scalar");
    for (const int32_t format : {PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_Q8_0}) {
        ASSERT_NE(table->linear_of(format), nullptr);
        EXPECT_STREQ(table->linear_of(format)->set, "scalar");
    }
}

TEST(KernelTable, TheBestSetThatTheFeaturesCoverIsChosen) {
    for (const char* name : kernel_set_names()) {
        const auto forced = choose_kernels(~uint64_t{0}, name);
        ASSERT_TRUE(forced.ok()) << name;
        EXPECT_STREQ(forced->name, name);
        const auto chosen = choose_kernels(forced->features, nullptr);
        ASSERT_TRUE(chosen.ok());
        EXPECT_STREQ(chosen->name, name);
        // One feature less, and it is another one.
        if (forced->features != 0) {
            const auto less = choose_kernels(forced->features & (forced->features - 1), nullptr);
            ASSERT_TRUE(less.ok());
            EXPECT_STRNE(less->name, name);
        }
    }
}

TEST(KernelTable, EmptyNameIsNoName) {
    const auto table = choose_kernels(0, "");
    ASSERT_TRUE(table.ok());
    EXPECT_STREQ(table->name, "scalar");
}

TEST(KernelTable, UnknownNameIsRefused) {
    const auto table = choose_kernels(~uint64_t{0}, "avx1024");
    EXPECT_EQ(table.status().code(), PUNA_ERROR_UNSUPPORTED);
    EXPECT_NE(std::string(table.status().text()).find("avx1024"), std::string::npos);
}

TEST(KernelTable, SetThatTheProcessorLacksIsRefused) {
    for (const char* name : kernel_set_names()) {
        if (std::string(name) == "scalar") continue;
        const auto table = choose_kernels(0, name);
        EXPECT_EQ(table.status().code(), PUNA_ERROR_UNSUPPORTED);
        EXPECT_NE(std::string(table.status().text()).find(name), std::string::npos);
    }
}

TEST(KernelTable, EverySetIsCompleteByInheritance) {
    for (const char* name : kernel_set_names()) {
        const auto table = choose_kernels(~uint64_t{0}, name);
        ASSERT_TRUE(table.ok());
        for (const int32_t format : {PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_Q8_0}) {
            EXPECT_NE(table->linear_of(format), nullptr) << name << " format " << format;
        }
        EXPECT_TRUE(table->has_kv_type(PUNA_KV_F16));
        EXPECT_TRUE(table->has_kv_type(PUNA_KV_F32));
        EXPECT_NE(table->softmax.run, nullptr);
        EXPECT_NE(table->norm[PUNA_NORM_RMS].run, nullptr);
        EXPECT_NE(table->norm[PUNA_NORM_LAYER].run, nullptr);
        for (int32_t kind = PUNA_ACTIVATION_SILU; kind <= PUNA_ACTIVATION_GELU_TANH; ++kind) {
            EXPECT_NE(table->activation[kind].run, nullptr);
        }
    }
}

TEST(KernelTable, InheritedEntryKeepsTheNameOfItsSet) {
    const auto table = choose_kernels(~uint64_t{0}, "avx512");
    if (!table.ok()) GTEST_SKIP() << "this build has no AVX-512 kernels";
    EXPECT_STREQ(table->linear[PUNA_FORMAT_Q8_0].set, "avx512");
    EXPECT_STREQ(table->activation[PUNA_ACTIVATION_GELU].set, "scalar");
}

TEST(KernelTable, WhatNobodyHasIsNull) {
    const auto table = choose_kernels(~uint64_t{0}, nullptr);
    ASSERT_TRUE(table.ok());
    for (const int32_t format : {-1, 4, 36, 40, 1000, INT32_MAX, INT32_MIN}) {
        EXPECT_EQ(table->linear_of(format), nullptr) << format;
    }
    for (const int32_t type : {-1, 0, 5, INT32_MAX}) EXPECT_FALSE(table->has_kv_type(type));
}

}  // namespace
}  // namespace puna::core
