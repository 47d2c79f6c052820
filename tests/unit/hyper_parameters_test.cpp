#include "model/hyper_parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "format/byte_source.h"
#include "format/gguf_reader.h"
#include "support/model_file.h"

namespace puna::core {
namespace {

using test::ModelFile;

// The keys of a small model without tensors.
ModelFile small_file() {
    ModelFile file;
    file.set("general.architecture", std::string("llama"));
    file.set("llama.context_length", 512u);
    file.set("llama.embedding_length", 64u);
    file.set("llama.block_count", 3u);
    file.set("llama.feed_forward_length", 172u);
    file.set("llama.attention.head_count", 8u);
    file.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    file.set("llama.vocab_size", 100u);
    return file;
}

struct Reading {
    explicit Reading(const ModelFile& file) : bytes(file.bytes()) {
        SpanSource source(std::as_bytes(std::span(bytes)));
        headers.push_back(std::move(*read_gguf(source, "m.gguf")));
        result = read_hyper_parameters(headers, *find_family("llama"));
    }

    test::AlignedBytes bytes;
    std::vector<GgufHeader> headers;
    Result<HyperParameters> result = Status();
};

HyperParameters read(const ModelFile& file) {
    const Reading reading(file);
    EXPECT_TRUE(reading.result.ok()) << reading.result.status().text();
    return reading.result.ok() ? *reading.result : HyperParameters();
}

// The refusal names the key (without "llama.") and gives the reason.
void expect_refused(const ModelFile& file, puna_status code, const std::string& key,
                    const std::string& reason) {
    const Reading reading(file);
    ASSERT_FALSE(reading.result.ok()) << key;
    const std::string text = reading.result.status().text();
    EXPECT_EQ(reading.result.status().code(), code) << text;
    EXPECT_NE(text.find("m.gguf: key 'llama." + key + "'"), std::string::npos) << text;
    EXPECT_NE(text.find(reason), std::string::npos) << text;
}

TEST(HyperParameters, DefaultsFollowFromWhatIsThere) {
    const HyperParameters h = read(small_file());
    EXPECT_EQ(h.n_vocab, 100);
    EXPECT_EQ(h.n_ctx_train, 512);
    EXPECT_EQ(h.n_embd, 64);
    EXPECT_EQ(h.n_layer, 3);
    EXPECT_EQ(h.n_head, 8);
    EXPECT_EQ(h.n_head_kv, 8);
    EXPECT_EQ(h.head_dim_k, 8);
    EXPECT_EQ(h.head_dim_v, 8);
    EXPECT_EQ(h.n_ff, 172);
    EXPECT_EQ(h.norm_epsilon, 1e-5f);
    EXPECT_EQ(h.rope_dim, 8);
    EXPECT_EQ(h.rope_base, 10000);
    EXPECT_EQ(h.rope_magnitude, 1);
    EXPECT_EQ(h.rope_scaling, RopeScaling::kNone);
}

TEST(HyperParameters, AnyHeadShape) {
    ModelFile file = small_file();
    file.set("llama.embedding_length", 50u);
    file.set("llama.attention.head_count", 6u);
    file.set("llama.attention.head_count_kv", 1u);
    file.set("llama.attention.key_length", 13u);
    file.set("llama.attention.value_length", 7u);
    file.set("llama.rope.dimension_count", 4u);
    file.set("llama.rope.freq_base", 5e5f);
    const HyperParameters h = read(file);
    EXPECT_EQ(dim_size(h, Dim::kQueries), 78);
    EXPECT_EQ(dim_size(h, Dim::kKeys), 13);
    EXPECT_EQ(dim_size(h, Dim::kValues), 7);
    EXPECT_EQ(dim_size(h, Dim::kHeadOutputs), 42);
    EXPECT_EQ(dim_size(h, Dim::kRopePairs), 2);
    EXPECT_EQ(dim_size(h, Dim::kOne), 1);
    EXPECT_EQ(h.rope_base, 5e5);
}

TEST(HyperParameters, CountsPerLayerMustBeEqual) {
    ModelFile file = small_file();
    file.set("llama.attention.head_count_kv", std::vector<int32_t>{2, 2, 2});
    file.set("llama.feed_forward_length", std::vector<uint32_t>{96, 96, 96});
    EXPECT_EQ(read(file).n_head_kv, 2);
    EXPECT_EQ(read(file).n_ff, 96);
    file.set("llama.attention.head_count_kv", std::vector<int32_t>{2, 2, 4});
    expect_refused(file, PUNA_ERROR_MODEL_UNSUPPORTED, "attention.head_count_kv",
                   "layers differ: 2 in layer 0, 4 in layer 2");
    file.set("llama.attention.head_count_kv", std::vector<int32_t>{2, 2});
    expect_refused(file, PUNA_ERROR_FORMAT, "attention.head_count_kv",
                   "has 2 elements; 3 are wanted");
    file.set("llama.attention.head_count_kv", std::vector<int32_t>{0, 0, 0});
    expect_refused(file, PUNA_ERROR_MODEL, "attention.head_count_kv", "is 0; 1 to");
}

TEST(HyperParameters, VocabularySize) {
    ModelFile file = small_file();
    file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"});
    EXPECT_EQ(read(file).n_vocab, 3);  // the tokenizer's count stands above the key
    file.erase("tokenizer.ggml.tokens");
    file.erase("llama.vocab_size");
    EXPECT_FALSE(Reading(file).result.ok());
    file.add_tensor("token_embd.weight", {64, 5}, std::vector<float>(320), test::Encoding::kF32);
    EXPECT_EQ(read(file).n_vocab, 5);
}

TEST(HyperParameters, MissingKeysAreNamed) {
    for (const char* key :
         {"context_length", "embedding_length", "block_count", "feed_forward_length",
          "attention.head_count", "attention.layer_norm_rms_epsilon"}) {
        ModelFile file = small_file();
        file.erase(std::string("llama.") + key);
        expect_refused(file, PUNA_ERROR_MODEL, key, "is missing");
    }
}

TEST(HyperParameters, CountsOutOfRangeAreRefused) {
    for (const char* key :
         {"context_length", "embedding_length", "block_count", "feed_forward_length",
          "attention.head_count", "attention.head_count_kv", "attention.key_length",
          "attention.value_length", "rope.dimension_count"}) {
        for (const uint32_t value : {0u, UINT32_MAX, 1u << 31}) {
            ModelFile file = small_file();
            file.set(std::string("llama.") + key, value);
            expect_refused(file, PUNA_ERROR_MODEL, key, "is " + std::to_string(value) + "; 1 to ");
        }
        ModelFile negative = small_file();
        negative.set(std::string("llama.") + key, -1);
        expect_refused(negative, PUNA_ERROR_FORMAT, key, "the value -1 does not fit");
        ModelFile text = small_file();
        text.set(std::string("llama.") + key, std::string("8"));
        expect_refused(text, PUNA_ERROR_FORMAT, key, "is string; ");
    }
}

TEST(HyperParameters, FractionsOutOfRangeAreRefused) {
    const float infinity = std::numeric_limits<float>::infinity();
    for (const char* key : {"attention.layer_norm_rms_epsilon", "rope.freq_base",
                            "rope.scaling.attn_factor", "rope.scaling.factor"}) {
        for (const float value : {-1.0f, infinity, -infinity, std::nanf("")}) {
            ModelFile file = small_file();
            file.set(std::string("llama.") + key, value);
            expect_refused(file, PUNA_ERROR_MODEL, key, "a number above 0");
        }
    }
    ModelFile file = small_file();
    file.set("llama.attention.layer_norm_rms_epsilon", 0.0f);
    expect_refused(file, PUNA_ERROR_MODEL, "attention.layer_norm_rms_epsilon", "is 0; ");
}

TEST(HyperParameters, ContradictionsAreRefused) {
    ModelFile heads = small_file();
    heads.set("llama.attention.head_count_kv", 3u);
    expect_refused(heads, PUNA_ERROR_MODEL, "attention.head_count_kv",
                   "3 does not divide the head count 8");
    ModelFile more = small_file();
    more.set("llama.attention.head_count_kv", 16u);
    expect_refused(more, PUNA_ERROR_MODEL, "attention.head_count_kv", "16 does not divide");
    ModelFile shared = small_file();
    shared.set("llama.attention.head_count", 7u);
    expect_refused(shared, PUNA_ERROR_MODEL, "attention.key_length",
                   "is missing, and 7 heads do not share 64 dimensions");
    for (const uint32_t n_rot : {7u, 10u, 16384u}) {
        ModelFile rope = small_file();
        rope.set("llama.rope.dimension_count", n_rot);
        expect_refused(rope, PUNA_ERROR_MODEL, "rope.dimension_count",
                       "an even number up to the head size 8");
    }
}

TEST(HyperParameters, WhatIsNotComputedIsRefused) {
    ModelFile experts = small_file();
    experts.set("llama.expert_count", 0u);
    EXPECT_TRUE(Reading(experts).result.ok());
    experts.set("llama.expert_count", 8u);
    expect_refused(experts, PUNA_ERROR_MODEL_UNSUPPORTED, "expert_count", "8 experts");
    ModelFile causal = small_file();
    causal.set("llama.attention.causal", false);
    expect_refused(causal, PUNA_ERROR_MODEL_UNSUPPORTED, "attention.causal", "later tokens");
    ModelFile window = small_file();
    window.set("llama.attention.sliding_window", 512u);
    EXPECT_TRUE(Reading(window).result.ok());
    window.set("llama.attention.sliding_window", 511u);
    expect_refused(window, PUNA_ERROR_MODEL_UNSUPPORTED, "attention.sliding_window", "window");
    for (const char* type : {"yarn", "longrope", "dynamic", ""}) {
        ModelFile scaling = small_file();
        scaling.set("llama.rope.scaling.type", std::string(type));
        expect_refused(scaling, PUNA_ERROR_MODEL_UNSUPPORTED, "rope.scaling.type",
                       std::string("the scaling '") + type + "' is not supported");
    }
}

TEST(HyperParameters, LinearScalingHasThreeSpellings) {
    ModelFile typed = small_file();
    typed.set("llama.rope.scaling.type", std::string("linear"));
    typed.set("llama.rope.scaling.factor", 4.0f);
    ModelFile untyped = small_file();
    untyped.set("llama.rope.scaling.factor", 4.0f);
    ModelFile old = small_file();
    old.set("llama.rope.scale_linear", 4.0f);
    for (const ModelFile& file : {typed, untyped, old}) {
        EXPECT_EQ(read(file).rope_scaling, RopeScaling::kLinear);
        EXPECT_EQ(read(file).rope_factor, 4);
    }
    old.set("llama.rope.scale_linear", 0.0f);
    EXPECT_EQ(read(old).rope_scaling, RopeScaling::kNone);
    typed.set("llama.rope.scaling.type", std::string("none"));
    EXPECT_EQ(read(typed).rope_scaling, RopeScaling::kNone);
}

ModelFile llama3_file() {
    ModelFile file = small_file();
    file.set("llama.attention.key_length", 64u);
    file.set("llama.rope.freq_base", 500000.0f);
    file.set("llama.rope.scaling.type", std::string("llama3"));
    file.set("llama.rope.scaling.factor", 8.0f);
    file.set("llama.rope.scaling.low_freq_factor", 1.0f);
    file.set("llama.rope.scaling.high_freq_factor", 4.0f);
    file.set("llama.rope.scaling.original_context_length", 8192u);
    return file;
}

TEST(HyperParameters, Llama3ScalingNeedsItsKeys) {
    EXPECT_EQ(read(llama3_file()).rope_scaling, RopeScaling::kLlama3);
    for (const char* key :
         {"rope.scaling.factor", "rope.scaling.low_freq_factor", "rope.scaling.high_freq_factor",
          "rope.scaling.original_context_length"}) {
        ModelFile file = llama3_file();
        file.erase(std::string("llama.") + key);
        expect_refused(file, PUNA_ERROR_MODEL, key, "is missing");
    }
    ModelFile equal = llama3_file();
    equal.set("llama.rope.scaling.low_freq_factor", 4.0f);
    expect_refused(equal, PUNA_ERROR_MODEL, "rope.scaling.high_freq_factor", "is not above");
}

TEST(RopeFrequencies, Unscaled) {
    const auto frequencies = rope_frequencies(read(small_file()), {});
    ASSERT_EQ(frequencies.size(), 4u);
    const double expected[] = {1, 0.1, 0.01, 0.001};
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(frequencies[i], expected[i], 1e-15);
}

TEST(RopeFrequencies, LinearScalingAndDivisorsMultiply) {
    ModelFile file = small_file();
    file.set("llama.rope.scale_linear", 4.0f);
    const float divisors[] = {1, 2, 5, 10};
    const auto frequencies = rope_frequencies(read(file), divisors);
    const double expected[] = {1 / 4.0, 0.1 / 8, 0.01 / 20, 0.001 / 40};
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(frequencies[i], expected[i], 1e-15);
}

TEST(RopeFrequencies, Llama3BlendsBetweenWavelengths) {
    const HyperParameters h = read(llama3_file());
    HyperParameters plain = h;
    plain.rope_scaling = RopeScaling::kNone;
    const auto scaled = rope_frequencies(h, {});
    const auto unscaled = rope_frequencies(plain, {});
    ASSERT_EQ(scaled.size(), 32u);
    int n_kept = 0;
    int n_divided = 0;
    for (size_t i = 0; i < scaled.size(); ++i) {
        const double wavelength = 2 * 3.14159265358979323846 / unscaled[i];
        const double ratio = unscaled[i] / scaled[i];
        if (wavelength < 8192 / 4.0) {
            EXPECT_EQ(ratio, 1);
            ++n_kept;
        } else if (wavelength > 8192) {
            EXPECT_NEAR(ratio, 8, 1e-12);
            ++n_divided;
        } else {
            const double smooth = (8192 / wavelength - 1) / 3;
            EXPECT_NEAR(scaled[i], ((1 - smooth) / 8 + smooth) * unscaled[i], 1e-15);
        }
    }
    EXPECT_GT(n_kept, 0);
    EXPECT_GT(n_divided, 0);
    EXPECT_LT(n_kept + n_divided, 32);
}

TEST(RopeFrequencies, DivisorsOfAFileHoldTheLlama3Scaling) {
    const HyperParameters h = read(llama3_file());
    HyperParameters plain = h;
    plain.rope_scaling = RopeScaling::kNone;
    const std::vector<float> divisors(32, 3.0f);
    EXPECT_EQ(rope_frequencies(h, divisors), rope_frequencies(plain, divisors));
}

TEST(Family, UnknownOnesAreRefusedByName) {
    ModelFile file;
    file.set("general.architecture", std::string("gpt2"));
    const Reading reading(file);
    const auto family = family_of(reading.headers.front());
    EXPECT_EQ(family.status().code(), PUNA_ERROR_MODEL_UNSUPPORTED);
    EXPECT_STREQ(family.status().text(),
                 "m.gguf: key 'general.architecture' at byte 24: the family 'gpt2' is not "
                 "supported");
}

}  // namespace
}  // namespace puna::core
