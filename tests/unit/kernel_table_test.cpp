#include "cpu/kernel_table.h"

#include <gtest/gtest.h>

#include <string>

#include "base/cpu_features.h"
#include "format/block_format.h"
#include "puna/puna_backend.h"

namespace puna::core {
namespace {

TEST(KernelTable, AnyProcessorRunsTheScalarSet) {
    const auto table = choose_kernels(0, nullptr);
    ASSERT_TRUE(table.ok());
    EXPECT_STREQ(table->name, "scalar");
    for (const BlockFormatInfo& info : block_formats()) {
        const auto* entry = table->linear_of(static_cast<int32_t>(info.format));
        ASSERT_EQ(entry != nullptr, is_supported(info.format)) << info.name;
        if (entry) {
            EXPECT_STREQ(entry->set, "scalar") << info.name;
        }
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
        for (const BlockFormatInfo& info : block_formats()) {
            EXPECT_EQ(table->linear_of(static_cast<int32_t>(info.format)) != nullptr,
                      is_supported(info.format))
                << info.name << " in " << name;
        }
        for (int32_t type = PUNA_KV_F16; type <= PUNA_KV_Q8_0; ++type) {
            EXPECT_TRUE(table->has_kv_type(type)) << type;
        }
        EXPECT_NE(table->softmax.run, nullptr);
        EXPECT_NE(table->norm[PUNA_NORM_RMS].run, nullptr);
        EXPECT_NE(table->norm[PUNA_NORM_LAYER].run, nullptr);
        for (int32_t kind = PUNA_ACTIVATION_SILU; kind <= PUNA_ACTIVATION_GELU_TANH; ++kind) {
            EXPECT_NE(table->activation[kind].run, nullptr);
        }
        for (int32_t kind = PUNA_ROPE_NONE; kind <= PUNA_ROPE_HALVES; ++kind) {
            EXPECT_NE(table->rope[kind].run, nullptr);
        }
    }
}

// A set brings its own kernels, and takes the others from those that it covers.
TEST(KernelTable, InheritedEntryKeepsTheNameOfItsSet) {
    const auto names = kernel_set_names();
    ASSERT_STREQ(names[0], "scalar");
    for (size_t i = 1; i < names.size(); ++i) {
        const auto table = choose_kernels(~uint64_t{0}, names[i]);
        const auto lower = choose_kernels(~uint64_t{0}, names[i - 1]);
        ASSERT_TRUE(table.ok() && lower.ok());
        if ((lower->features & ~table->features) != 0) continue;  // not its base
        int32_t n_own = 0;
        for (int32_t format = 0; format < KernelTable::kFormats; ++format) {
            const std::string set = table->linear[format].set;
            EXPECT_EQ(table->linear[format].run == nullptr, set.empty());
            if (set == table->name) {
                EXPECT_NE(table->linear[format].run, lower->linear[format].run) << format;
                ++n_own;
            } else {
                EXPECT_EQ(set, lower->linear[format].set) << table->name << " format " << format;
                EXPECT_EQ(table->linear[format].run, lower->linear[format].run);
            }
            if (table->panel[format].run != lower->panel[format].run) {
                EXPECT_STREQ(table->panel[format].set, table->name);
                ++n_own;
            } else {
                EXPECT_STREQ(table->panel[format].set, lower->panel[format].set);
                EXPECT_EQ(table->panel[format].packing, lower->panel[format].packing);
            }
        }
        for (const PanelEntry& panel : table->panel) n_own += std::string(panel.set) == table->name;
        EXPECT_GT(n_own, 0) << table->name;
        const bool brings_softmax = table->softmax.run != lower->softmax.run;
        EXPECT_STREQ(table->softmax.set, brings_softmax ? table->name : lower->softmax.set);
        EXPECT_STREQ(table->activation[PUNA_ACTIVATION_GELU].set, "scalar");
    }
}

constexpr int32_t kCommonBlocks[] = {
    PUNA_FORMAT_Q4_0,   PUNA_FORMAT_Q4_1,   PUNA_FORMAT_Q5_0, PUNA_FORMAT_Q5_1, PUNA_FORMAT_Q8_0,
    PUNA_FORMAT_Q2_K,   PUNA_FORMAT_Q3_K,   PUNA_FORMAT_Q4_K, PUNA_FORMAT_Q5_K, PUNA_FORMAT_Q6_K,
    PUNA_FORMAT_IQ4_NL, PUNA_FORMAT_IQ4_XS, PUNA_FORMAT_MXFP4};

TEST(KernelTable, SetsOfArmBuildOnEachOther) {
    const auto neon = choose_kernels(~uint64_t{0}, "neon");
    const auto i8mm = choose_kernels(~uint64_t{0}, "neon_i8mm");
    if (!neon.ok() || !i8mm.ok()) GTEST_SKIP() << "this build has no kernels for ARM";
    EXPECT_EQ(neon->features, kCpuNeon | kCpuNeonDotprod);
    EXPECT_EQ(i8mm->features, kCpuNeon | kCpuNeonDotprod | kCpuNeonI8mm);
    for (const int32_t format : kCommonBlocks) {
        EXPECT_STREQ(neon->linear[format].set, "neon") << format;
        EXPECT_STREQ(neon->panel[format].set, "neon") << format;
        EXPECT_STREQ(i8mm->linear[format].set, "neon") << format;
        EXPECT_STREQ(i8mm->panel[format].set, "neon_i8mm") << format;
    }
    for (const int32_t format : {PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16}) {
        EXPECT_STREQ(i8mm->linear[format].set, "neon") << format;
    }
}

// The order of the sets matters: the last that a processor runs is the one it gets.
TEST(KernelTable, SetsOfX86BuildOnEachOther) {
    const auto avx512 = choose_kernels(~uint64_t{0}, "avx512");
    const auto avx2 = choose_kernels(~uint64_t{0}, "avx2");
    if (!avx2.ok() || !avx512.ok()) GTEST_SKIP() << "this build has no kernels for x86-64";
    EXPECT_EQ(avx2->features, kCpuAvx | kCpuAvx2 | kCpuFma | kCpuF16c | kCpuBmi2);
    EXPECT_EQ(avx2->features & ~avx512->features, 0u);
    for (const int32_t format : kCommonBlocks) {
        EXPECT_STREQ(avx2->linear[format].set, "avx2") << format;
    }
    for (const int32_t format : {PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16}) {
        EXPECT_STREQ(avx2->linear[format].set, "avx2") << format;
    }
    for (int32_t type = PUNA_KV_F16; type <= PUNA_KV_Q8_0; ++type) {
        EXPECT_STREQ(avx2->attention_scores[type].set, "avx2");
        EXPECT_STREQ(avx2->attention_values[type].set, "avx2");
        EXPECT_STREQ(avx512->attention_scores[type].set, "avx512");
        EXPECT_STREQ(avx512->attention_values[type].set, "avx512");
    }
    EXPECT_STREQ(avx2->norm[PUNA_NORM_RMS].set, "avx2");
    EXPECT_STREQ(avx2->activation[PUNA_ACTIVATION_SILU].set, "avx2");
    EXPECT_STREQ(avx512->rope[PUNA_ROPE_PAIRS].set, "avx2");
}

// Each kind of weights meets activations that are packed for it.
TEST(KernelTable, FormatsOfASetArePackedByTheirKind) {
    const auto table = choose_kernels(~uint64_t{0}, "avx512_bf16");
    if (!table.ok()) GTEST_SKIP() << "this build has no kernels for BF16 instructions";
    const auto packing = [&](int32_t format) { return table->panel_of(format)->packing; };
    EXPECT_EQ(packing(PUNA_FORMAT_F32), packing(PUNA_FORMAT_F16));
    EXPECT_NE(packing(PUNA_FORMAT_F32), packing(PUNA_FORMAT_BF16));
    EXPECT_NE(packing(PUNA_FORMAT_F32), packing(PUNA_FORMAT_Q8_0));
    EXPECT_STREQ(table->panel_of(PUNA_FORMAT_BF16)->set, "avx512_bf16");
    EXPECT_STREQ(table->panel_of(PUNA_FORMAT_F16)->set, "avx512");
    EXPECT_STREQ(table->linear_of(PUNA_FORMAT_BF16)->set, "avx512");
}

// With AMX five to eight rows stay bytes where weights are quants.
TEST(KernelTable, SmallBatchesOfAmxHavePanelsOfTheirOwn) {
    const auto table = choose_kernels(~uint64_t{0}, "amx");
    if (!table.ok()) GTEST_SKIP() << "this build has no kernels for AMX";
    for (const int32_t format :
         {PUNA_FORMAT_Q4_0, PUNA_FORMAT_Q4_1, PUNA_FORMAT_Q5_0, PUNA_FORMAT_Q5_1, PUNA_FORMAT_Q8_0,
          PUNA_FORMAT_Q2_K, PUNA_FORMAT_Q3_K, PUNA_FORMAT_Q4_K, PUNA_FORMAT_Q5_K, PUNA_FORMAT_Q6_K,
          PUNA_FORMAT_IQ4_NL, PUNA_FORMAT_IQ4_XS, PUNA_FORMAT_MXFP4}) {
        ASSERT_NE(table->small_panel_of(format), nullptr) << format;
        EXPECT_EQ(table->small_panel_of(format)->packing->fewest_rows, 5) << format;
        EXPECT_EQ(table->small_panel_of(format)->packing->most_rows, 8) << format;
        EXPECT_FALSE(table->panel_of(format)->packing->is_for_small_batches()) << format;
    }
    for (const int32_t format : {PUNA_FORMAT_F32, PUNA_FORMAT_F16, PUNA_FORMAT_BF16}) {
        EXPECT_EQ(table->small_panel_of(format), nullptr) << format;
    }
    // Files mix K-quants: rows are packed for all of them at once.
    for (const int32_t format :
         {PUNA_FORMAT_Q2_K, PUNA_FORMAT_Q3_K, PUNA_FORMAT_Q4_K, PUNA_FORMAT_Q5_K}) {
        EXPECT_EQ(table->small_panel_of(format)->packing,
                  table->small_panel_of(PUNA_FORMAT_Q6_K)->packing)
            << format;
    }
    EXPECT_EQ(choose_kernels(~uint64_t{0}, "avx512")->small_panel_of(PUNA_FORMAT_Q8_0), nullptr);
}

// A branch of its own: processors with AVX-512 need not have VNNI in the encoding of AVX.
TEST(KernelTable, VnniOfAvx2IsForQuantisedFormats) {
    const auto table = choose_kernels(~uint64_t{0}, "avx2_vnni");
    if (!table.ok()) GTEST_SKIP() << "this build has no kernels for AVX-VNNI";
    EXPECT_STREQ(table->linear_of(PUNA_FORMAT_Q8_0)->set, "avx2_vnni");
    EXPECT_STREQ(table->linear_of(PUNA_FORMAT_F16)->set, "avx2");
    EXPECT_STREQ(table->panel_of(PUNA_FORMAT_Q8_0)->set, "avx2_vnni");
    EXPECT_STREQ(table->panel_of(PUNA_FORMAT_F16)->set, "avx2");
    const auto best =
        choose_kernels(kCpuAvxVnni | choose_kernels(~uint64_t{0}, "avx2")->features, nullptr);
    EXPECT_STREQ(best->name, "avx2_vnni");
    const auto avx512 = choose_kernels(~uint64_t{0}, "avx512");
    EXPECT_TRUE(!avx512.ok() || (avx512->features & kCpuAvxVnni) == 0);
}

// A set that has kernels for few formats leaves the others to those below.
TEST(KernelTable, WhatGfniDoesNotHelpComesFromAvx512) {
    const auto table = choose_kernels(~uint64_t{0}, "avx512_gfni");
    if (!table.ok()) GTEST_SKIP() << "this build has no kernels for GFNI";
    EXPECT_STREQ(table->linear_of(PUNA_FORMAT_Q4_K)->set, "avx512_gfni");
    EXPECT_STREQ(table->linear_of(PUNA_FORMAT_Q8_0)->set, "avx512");
    EXPECT_STREQ(table->panel_of(PUNA_FORMAT_Q4_K)->set, "avx512");
    const auto without = choose_kernels(~uint64_t{kCpuGfni}, nullptr);
    EXPECT_STRNE(without->linear_of(PUNA_FORMAT_Q4_K)->set, "avx512_gfni");
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
