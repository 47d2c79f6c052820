#include "model/format_mix.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace puna::core {
namespace {

using enum MatrixKind;

constexpr uint64_t kEmbd = 2048;
constexpr uint64_t kFf = 5632;
constexpr MixedModel kTinyLlama{22, 8};

// "Q4_K:8 Q6_K:3", how many of the matrices of a kind have which format.
std::string formats_of(const FormatMix& mix, MatrixKind kind,
                       const MixedModel& model = kTinyLlama) {
    std::map<std::string, int> counts;
    for (uint32_t layer = 0; layer < model.n_layer; ++layer) {
        const MixedMatrix matrix{kind, layer, kind == kDown ? kFf : kEmbd, false};
        ++counts[block_format_name(mix.format_of(matrix, model))];
    }
    std::string text;
    for (const auto& [name, count] : counts) {
        text += (text.empty() ? "" : " ") + name + ":" + std::to_string(count);
    }
    return text;
}

FormatMix mix_named(const char* name, bool pure = false) {
    return *FormatMix::named(name, pure);
}

// Per mix: token embedding, q (k, gate and up are alike), v, attention output, down, output.
struct Expected {
    const char* name;
    const char* embedding;
    const char* q;
    const char* v;
    const char* attention_output;
    const char* down;
    const char* output;
    uint32_t file_type;
};
constexpr Expected kPublished[] = {
    {"q2_k", "Q2_K", "Q2_K:22", "Q4_K:22", "Q3_K:22", "Q3_K:22", "Q6_K", 10},
    {"q3_k_s", "Q3_K", "Q3_K:22", "Q3_K:22", "Q3_K:22", "Q3_K:22", "Q6_K", 11},
    {"q3_k_m", "Q3_K", "Q3_K:22", "Q4_K:20 Q5_K:2", "Q4_K:22", "Q4_K:21 Q5_K:1", "Q6_K", 12},
    {"q3_k_l", "Q3_K", "Q3_K:22", "Q5_K:22", "Q5_K:22", "Q5_K:22", "Q6_K", 13},
    {"q4_0", "Q4_0", "Q4_0:22", "Q4_0:22", "Q4_0:22", "Q4_0:22", "Q6_K", 2},
    {"q4_k_s", "Q4_K", "Q4_K:22", "Q4_K:18 Q5_K:4", "Q4_K:22", "Q4_K:20 Q5_K:2", "Q6_K", 14},
    {"q4_k_m", "Q4_K", "Q4_K:22", "Q4_K:12 Q6_K:10", "Q4_K:22", "Q4_K:12 Q6_K:10", "Q6_K", 15},
    {"q5_0", "Q5_0", "Q5_0:22", "Q5_0:22", "Q5_0:22", "Q5_0:22", "Q6_K", 8},
    {"q5_k_s", "Q5_K", "Q5_K:22", "Q5_K:22", "Q5_K:22", "Q5_K:22", "Q6_K", 16},
    {"q5_k_m", "Q5_K", "Q5_K:22", "Q5_K:12 Q6_K:10", "Q5_K:22", "Q5_K:12 Q6_K:10", "Q6_K", 17},
    {"q6_k", "Q6_K", "Q6_K:22", "Q6_K:22", "Q6_K:22", "Q6_K:22", "Q6_K", 18},
    {"q8_0", "Q8_0", "Q8_0:22", "Q8_0:22", "Q8_0:22", "Q8_0:22", "Q8_0", 7},
};

TEST(FormatMix, PublishedMixesOfTinyLlama) {
    for (const Expected& expected : kPublished) {
        const FormatMix mix = mix_named(expected.name);
        const auto one = [&](MatrixKind kind) {
            return std::string(
                block_format_name(mix.format_of({kind, 0, kEmbd, false}, kTinyLlama)));
        };
        EXPECT_EQ(one(kEmbedding), expected.embedding) << expected.name;
        for (const MatrixKind kind : {kQ, kK, kGate, kUp}) {
            EXPECT_EQ(formats_of(mix, kind), expected.q) << expected.name;
        }
        EXPECT_EQ(formats_of(mix, kV), expected.v) << expected.name;
        EXPECT_EQ(formats_of(mix, kAttentionOutput), expected.attention_output) << expected.name;
        EXPECT_EQ(formats_of(mix, kDown), expected.down) << expected.name;
        EXPECT_EQ(one(kOutput), expected.output) << expected.name;
        EXPECT_EQ(mix.file_type(), expected.file_type) << expected.name;
        // A tied embedding is the output.
        EXPECT_EQ(
            std::string(block_format_name(mix.format_of({kEmbedding, 0, kEmbd, true}, kTinyLlama))),
            expected.output)
            << expected.name;
    }
}

TEST(FormatMix, WhichLayersGetMoreBits) {
    const FormatMix mix = mix_named("Q4_K_M");
    std::string layers;
    for (uint32_t layer = 0; layer < 22; ++layer) {
        if (mix.format_of({kDown, layer, kFf, false}, kTinyLlama) == BlockFormat::kQ6_K) {
            layers += std::to_string(layer) + " ";
        }
    }
    EXPECT_EQ(layers, "0 1 4 7 10 13 16 19 20 21 ");
}

TEST(FormatMix, ManyKvHeadsNeedNoMoreBits) {
    EXPECT_EQ(formats_of(mix_named("q2_k"), kV, {22, 3}), "Q3_K:22");
}

TEST(FormatMix, FormatsAloneAndPure) {
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format)) {
            EXPECT_FALSE(FormatMix::named(info.name, false).ok()) << info.name;
            continue;
        }
        for (const MatrixKind kind : {kEmbedding, kV, kDown, kOutput}) {
            EXPECT_EQ(mix_named(info.name, true).format_of({kind, 0, 512, false}, kTinyLlama),
                      info.format);
        }
    }
    EXPECT_EQ(formats_of(mix_named("q4_K"), kV), "Q4_K:22");
    EXPECT_EQ(mix_named("Q4_K").format_of({kOutput, 0, kEmbd, false}, kTinyLlama),
              BlockFormat::kQ4_K);
    EXPECT_FALSE(FormatMix::named("q4_k_m", true).ok());
}

TEST(FormatMix, FallsBackWhereRowsDoNotDivide) {
    const auto format = [](const char* type, MatrixKind kind, uint64_t row_length) {
        return std::string(
            block_format_name(mix_named(type).format_of({kind, 5, row_length, false}, kTinyLlama)));
    };
    EXPECT_EQ(format("q2_k", kQ, 288), "Q4_0");
    EXPECT_EQ(format("q3_k_m", kQ, 288), "Q4_0");
    EXPECT_EQ(format("q3_k_m", kDown, 288), "Q5_0");
    EXPECT_EQ(format("q5_k_m", kQ, 288), "Q5_1");
    EXPECT_EQ(format("q6_k", kQ, 288), "Q8_0");
    EXPECT_EQ(format("q4_k_m", kOutput, 288), "Q8_0");
    EXPECT_EQ(format("q4_0", kOutput, 288), "Q8_0");
    EXPECT_EQ(format("iq3_s", kQ, 288), "IQ4_NL");
    EXPECT_EQ(format("tq1_0", kQ, 288), "Q4_0");
    EXPECT_EQ(format("q4_k_m", kQ, 100), "F16");
    EXPECT_EQ(format("q8_0", kOutput, 100), "F16");
    EXPECT_EQ(format("f32", kQ, 100), "F32");
}

TEST(FormatMix, NamesAnUnknownType) {
    const auto mix = FormatMix::named("q4_k_xl", false);
    ASSERT_EQ(mix.status().code(), PUNA_ERROR_ARGUMENT);
    EXPECT_NE(std::string(mix.status().text()).find("q4_k_xl"), std::string::npos);
    EXPECT_NE(std::string(mix.status().text()).find("Q4_K_M"), std::string::npos);
}

}  // namespace
}  // namespace puna::core
