// Models of many shapes against the double precision reference.
#include <gtest/gtest.h>

#include <ostream>

#include "support/engine_fixture.h"
#include "support/kernel_tables.h"

namespace puna::test {
namespace {

struct ShapeCase {
    const char* name;
    ModelShape shape;
    size_t n_prompt;
};

void PrintTo(const ShapeCase& test, std::ostream* out) {
    *out << test.name;
}

ModelShape small() {
    ModelShape shape;
    shape.n_embd = 48;
    shape.n_head = 3;
    shape.n_head_kv = 3;
    shape.n_ff = 70;
    shape.n_vocab = 300;
    shape.n_ctx_train = 512;
    return shape;
}

template <class Change>
ModelShape with(Change change) {
    ModelShape shape = small();
    change(shape);
    return shape;
}

ModelShape heads(uint32_t n_embd, uint32_t n_head, uint32_t n_head_kv, uint32_t key_dim,
                 uint32_t value_dim, uint32_t rope_dim = 0) {
    return with([=](ModelShape& shape) {
        shape.n_embd = n_embd;
        shape.n_head = n_head;
        shape.n_head_kv = n_head_kv;
        shape.head_dim = key_dim;
        shape.value_dim = value_dim;
        shape.rope_dim = rope_dim;
    });
}

ModelShape encoded(ModelShape shape, Encoding matrices, Encoding embedding, Encoding output) {
    shape.matrix_encoding = matrices;
    shape.embedding_encoding = embedding;
    shape.output_encoding = output;
    return shape;
}

ModelShape rotated(RopeScaling scaling, float base, float factor) {
    return with([=](ModelShape& shape) {
        shape.rope_scaling = scaling;
        shape.rope_base = base;
        shape.rope_factor = factor;
    });
}

// Widths of whole blocks, so that every matrix can have every encoding.
ModelShape in_blocks() {
    ModelShape shape = small();
    shape.n_embd = 96;
    shape.n_head = 6;
    shape.n_head_kv = 2;
    shape.head_dim = 16;
    shape.n_ff = 160;
    return shape;
}

std::vector<ShapeCase> shape_cases() {
    using enum Encoding;
    return {
        {"one_of_everything", heads(1, 1, 1, 2, 1), 5},
        {"one_layer_one_token", with([](ModelShape& s) { s.n_layer = 1; }), 1},
        {"width_36", heads(36, 3, 1, 12, 12), 40},
        {"width_100", heads(100, 5, 5, 20, 20), 33},
        {"width_176", heads(176, 11, 1, 16, 16), 31},
        {"seven_heads_of_2", heads(14, 7, 7, 2, 2), 64},
        {"heads_of_4", heads(32, 8, 4, 4, 4), 65},
        {"heads_of_6_and_10", heads(48, 5, 1, 6, 10), 300},
        {"heads_of_10_and_6", heads(50, 7, 1, 10, 6), 129},
        {"heads_of_33_and_31", heads(66, 2, 2, 33, 31, 32), 50},
        {"heads_of_64", heads(128, 2, 1, 64, 64), 100},
        {"heads_of_80_and_96", heads(80, 3, 1, 80, 96), 70},
        {"heads_of_128", heads(64, 4, 2, 128, 128), 130},
        {"twelve_heads_share_one", heads(48, 12, 1, 4, 4), 128},
        {"odd_ff_and_vocabulary", with([](ModelShape& s) {
             s.n_ff = 77;
             s.n_vocab = 277;
         }),
         32},
        {"smallest_ff", with([](ModelShape& s) {
             s.n_ff = 1;
             s.n_vocab = 3;
         }),
         9},
        {"tied", with([](ModelShape& s) { s.tied_output = true; }), 20},
        {"biases", with([](ModelShape& s) {
             s.biases = true;
             s.ffn_biases = true;
         }),
         45},
        {"partial_rope", heads(48, 3, 3, 16, 16, 6), 200},
        {"rope_base", rotated(RopeScaling::kNone, 500000.0f, 1), 150},
        {"rope_linear", rotated(RopeScaling::kLinear, 10000.0f, 4), 150},
        {"rope_llama3", rotated(RopeScaling::kLlama3, 500000.0f, 8), 300},
        {"large_epsilon", with([](ModelShape& s) { s.eps = 0.1f; }), 12},
        {"six_layers", with([](ModelShape& s) { s.n_layer = 6; }), 60},
        {"f16", encoded(in_blocks(), kF16, kF16, kF16), 60},
        {"f16_odd_rows", encoded(heads(36, 3, 1, 12, 12), kF16, kF32, kF16), 30},
        {"q8_0", encoded(in_blocks(), kQ8_0, kQ8_0, kQ8_0), 60},
        {"mixed", encoded(in_blocks(), kQ8_0, kF16, kF32), 60},
        {"mixed_tied",
         [] {
             ModelShape shape = encoded(in_blocks(), kF16, kQ8_0, kQ8_0);
             shape.tied_output = true;
             return shape;
         }(),
         60},
    };
}

// How far logits may be from the reference: relative, and in mean KL divergence. What is rounded on
// the way costs what its bits say: 24 for F32, 11 for a cache in F16, 8 where BF16 is multiplied, 16
// for the activations that meet weights in bytes.
struct Bound {
    double relative_error;
    double kl_mean;
};

Bound bound_of(const std::string& kernels, int32_t kv_type) {
    if (kernels == "amx") return {0.02, 1e-3};
    if (kv_type == PUNA_KV_F16) return {2e-3, 1e-5};
    if (rounded_group(kernels) > 0) return {2e-4, 3e-8};
    return {3e-6, 2e-11};
}

class ShapesTest : public testing::TestWithParam<ShapeCase> {};

TEST_P(ShapesTest, LogitsAreThoseOfTheReference) {
    const ShapeCase& test = GetParam();
    Engine scalar(test.shape, "scalar");
    const std::vector<Token> prompt = random_tokens(scalar.n_vocab(), test.n_prompt, 7);
    const std::vector<double> expected = reference_logits(scalar.reference(), prompt);
    for (const std::string& kernels : machine_kernels()) {
        const Engine engine(test.shape, kernels);
        for (const int32_t n_batch : {1, 7, 512}) {
            for (const int32_t kv_type : {PUNA_KV_F32, PUNA_KV_F16}) {
                SCOPED_TRACE(testing::Message()
                             << kernels << ", batch " << n_batch << ", kv " << kv_type);
                Context context =
                    engine.context({.n_batch = n_batch, .kv_type = kv_type, .deterministic = true});
                Sequence sequence = context.sequence();
                const auto logits = logits_of(sequence, prompt, engine.n_vocab());
                const LogitDifference found =
                    kl_divergence(expected, logits, static_cast<size_t>(engine.n_vocab()));
                const Bound bound = bound_of(kernels, kv_type);
                EXPECT_LE(found.relative_error, bound.relative_error);
                EXPECT_LE(found.kl_mean, bound.kl_mean);
            }
        }
    }
}

TEST_P(ShapesTest, GreedyTextIsThatOfTheReference) {
    constexpr size_t kTokens = 24;
    constexpr double kClear = 1e-3;  // logits have deviation 3; errors in F32 are below 1e-4
    const ShapeCase& test = GetParam();
    Engine scalar(test.shape, "scalar");
    const std::vector<Token> prompt = random_tokens(scalar.n_vocab(), test.n_prompt, 8);
    const GreedyRun expected = reference_greedy(scalar.reference(), prompt, kTokens);
    ASSERT_GE(expected.smallest_gap, kClear) << "two tokens are equally likely: take another seed";
    for (const std::string& kernels : machine_kernels()) {
        if (bound_of(kernels, PUNA_KV_F32).relative_error > 1e-3) continue;
        SCOPED_TRACE(kernels);
        const Engine engine(test.shape, kernels);
        Context context = engine.context({.deterministic = true});
        Sequence sequence = context.sequence();
        EXPECT_EQ(generate(sequence, prompt, greedy(kTokens)).tokens, expected.tokens);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, ShapesTest, testing::ValuesIn(shape_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace puna::test
