// Models in every block format and every published mix against the double precision reference,
// whose weights are dequantised by lib/format; block_format_test compares that with the gguf package.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "format/block_format.h"
#include "format/random_blocks.h"
#include "puna/puna.hpp"
#include "support/engine_fixture.h"
#include "support/temp_folder.h"

namespace puna::test {
namespace {

using core::test::TempFolder;

struct Shape {
    int32_t n_embd, n_head, n_head_kv, head_dim, n_ff, n_vocab;
    bool is_tied;
};
// Rows of whole blocks in every format, and rows that make mixes fall back for some matrices.
constexpr Shape kInBlocks = {256, 4, 1, 64, 512, 301, false};
constexpr Shape kFallingBack = {288, 9, 3, 32, 256, 300, true};
constexpr Shape kOddWidths = {100, 5, 5, 20, 77, 270, false};

// The mixes that are no format's name; Q2_K, Q4_0, Q5_0, Q6_K and Q8_0 are both.
const std::vector<std::string> kMixes = {"Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S",
                                         "Q4_K_M", "Q5_K_S", "Q5_K_M"};

std::vector<std::string> all_types() {
    std::vector<std::string> types = kMixes;
    for (const core::BlockFormatInfo& info : core::block_formats()) {
        if (core::is_supported(info.format)) types.push_back(info.name);
    }
    return types;
}

std::vector<float> logits_in_batches(const Engine& engine, const std::vector<Token>& prompt,
                                     int32_t n_batch, bool deterministic) {
    Context context = engine.context({.n_batch = n_batch, .deterministic = deterministic});
    Sequence sequence = context.sequence();
    return logits_of(sequence, prompt, engine.n_vocab());
}

// Small batches, and all in deterministic mode, keep at least 16 bits of activations, so every
// set comes as near as the scalar one; larger ones may keep 8.
void expect_reference_logits(const std::string& path, double bound_of_8_bits = 3e-4) {
    constexpr double kBound = 1e-8;
    Engine scalar(path, "scalar");
    const std::vector<Token> prompt = random_tokens(scalar.n_vocab(), 13, 9);
    const auto expected = reference_logits(scalar.reference(), prompt);
    for (const std::string& kernels : machine_kernels()) {
        const Engine engine(path, kernels);
        std::vector<float> first;
        for (const int32_t n_batch : {1, 5, 512}) {
            SCOPED_TRACE(testing::Message() << kernels << ", batch " << n_batch);
            const auto logits = logits_in_batches(engine, prompt, n_batch, true);
            const auto n_vocab = static_cast<size_t>(engine.n_vocab());
            EXPECT_LE(kl_divergence(expected, logits, n_vocab).kl_mean, kBound);
            if (first.empty()) first = logits;
            EXPECT_EQ(logits, first);  // the same bits in any batch
            const auto rounded = logits_in_batches(engine, prompt, n_batch, false);
            EXPECT_LE(kl_divergence(expected, rounded, n_vocab).kl_mean, bound_of_8_bits);
            if (n_batch == 1) {
                EXPECT_EQ(rounded, first);
            }
        }
    }
}

class FormatsTest : public testing::TestWithParam<std::string> {
  protected:
    std::string write(const Shape& shape, bool pure) const {
        SyntheticModelOptions options;
        options.n_embd = shape.n_embd;
        options.n_layer = 2;
        options.n_head = shape.n_head;
        options.n_head_kv = shape.n_head_kv;
        options.head_dim = shape.head_dim;
        options.n_ff = shape.n_ff;
        options.n_vocab = shape.n_vocab;
        options.tied_output = shape.is_tied;
        options.seed = 11;
        options.pure = pure;
        options.type = GetParam().c_str();
        std::string path = folder_.path("m.gguf");
        write_synthetic_model(options, path);
        return path;
    }

    TempFolder folder_;
};

TEST_P(FormatsTest, LogitsAreThoseOfTheReference) {
    expect_reference_logits(write(kInBlocks, false));
    expect_reference_logits(write(kFallingBack, false));
    expect_reference_logits(write(kOddWidths, false));
}

// In the default mode too, where large batches round activations: batches of 20 are large.
TEST_P(FormatsTest, ThreadsAndSplitsIntoLargeBatchesDoNotChangeBits) {
    const std::string path = write(kInBlocks, false);
    for (const std::string& kernels : machine_kernels()) {
        std::vector<float> first;
        for (const int32_t n_threads : {1, 2, 3}) {
            const Engine engine(path, kernels, n_threads);
            const std::vector<Token> prompt = random_tokens(engine.n_vocab(), 60, 10);
            for (const int32_t n_batch : {512, 20}) {
                const auto logits = logits_in_batches(engine, prompt, n_batch, false);
                if (first.empty()) first = logits;
                EXPECT_EQ(logits, first)
                    << kernels << ", " << n_threads << " threads, batch " << n_batch;
            }
        }
    }
}

TEST_P(FormatsTest, WhatRunsCanBeRead) {
    const bool is_mix = std::find(kMixes.begin(), kMixes.end(), GetParam()) != kMixes.end();
    const Engine engine(write(kInBlocks, !is_mix));
    std::map<std::string, std::string> kernels;
    for (int32_t i = 0; i < engine.model().n_formats(); ++i) {
        const puna_format_info info = engine.model().format(i);
        kernels[info.format] = info.kernels;
    }
    EXPECT_EQ(kernels.size() > 1, is_mix);
    constexpr const char* kSets[] = {"scalar",
                                     "avx2",
                                     "avx2_vnni",
                                     "avx512",
                                     "avx512+amx",
                                     "avx512+avx512_gfni",
                                     "avx512_gfni+avx512",
                                     "avx512_gfni+amx",
                                     "avx512+avx512_bf16",
                                     "neon",
                                     "neon+neon_i8mm"};
    for (const auto& [format, set] : kernels) {
        EXPECT_NE(std::find(std::begin(kSets), std::end(kSets), set), std::end(kSets))
            << format << " " << set;
    }
}

// In the file of a random model, a matrix in another format.
void replace_matrix(ModelFile& file, const std::string& name, int32_t n_in, int32_t n_out,
                    core::BlockFormat format) {
    std::vector<uint8_t> bytes(static_cast<size_t>(n_out) *
                               *core::block_format_bytes(format, static_cast<uint64_t>(n_in)));
    core::RandomBits bits(12);
    // Unit inputs give outputs of deviation 1.
    const float deviation = 1.0f / std::sqrt(static_cast<float>(n_in));
    core::random_blocks(format, bits, deviation, bytes.data(), int64_t{n_in} * n_out);
    file.erase_tensor(name);
    file.add_raw_tensor(name, {static_cast<uint64_t>(n_in), static_cast<uint64_t>(n_out)},
                        static_cast<uint32_t>(format), std::move(bytes));
}

// Kernels may want the input of Q, K and V, or that of gate and up, in one packing for each.
TEST(MixedFormats, MatricesOfOnePhaseNeedNotAgree) {
    ModelShape shape;
    shape.n_embd = 256;
    shape.n_head = 4;
    shape.n_head_kv = 1;
    shape.n_ff = 512;
    shape.n_vocab = 301;
    shape.matrix_encoding = Encoding::kF16;
    ModelFile file = make_random_model(shape);
    replace_matrix(file, "blk.0.attn_k.weight", 256, 64, core::BlockFormat::kQ8_0);
    replace_matrix(file, "blk.0.attn_v.weight", 256, 64, core::BlockFormat::kQ4_K);
    replace_matrix(file, "blk.0.ffn_up.weight", 256, 512, core::BlockFormat::kQ6_K);
    replace_matrix(file, "blk.1.attn_k.weight", 256, 64, core::BlockFormat::kBF16);
    replace_matrix(file, "blk.1.attn_v.weight", 256, 64, core::BlockFormat::kQ5_0);
    replace_matrix(file, "blk.1.ffn_gate.weight", 256, 512, core::BlockFormat::kIQ2_XS);
    const TempFolder folder;
    const std::string path = folder.path("m.gguf");
    file.save(path);
    // Attention is sharper here than in synthetic models: with AVX-512, 8 bits cost 5e-4.
    expect_reference_logits(path, 2e-3);
}

INSTANTIATE_TEST_SUITE_P(Types, FormatsTest, testing::ValuesIn(all_types()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace puna::test
