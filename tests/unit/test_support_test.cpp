// The test support has to be right on its own: the library is judged by it.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/little_endian.h"
#include "support/model_file.h"
#include "support/random_model.h"
#include "support/random_numbers.h"
#include "support/reference_file.h"
#include "support/reference_forward.h"
#include "support/shared_files.h"
#include "support/tensor_encoding.h"

namespace puna::test {
namespace {

using Tokens = std::vector<int32_t>;

Tokens random_tokens(size_t count, uint32_t n_vocab, uint64_t seed) {
    RandomNumbers random(seed);
    Tokens tokens;
    while (tokens.size() < count) tokens.push_back(static_cast<int32_t>(random.below(n_vocab)));
    return tokens;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// --- encodings

TEST(TensorEncoding, HalvesAreRoundedToNearestEven) {
    for (uint32_t half = 0; half < 0x7c00; ++half) {
        const float value = from_half(static_cast<uint16_t>(half));
        ASSERT_EQ(to_half(value), half);
        ASSERT_EQ(to_half(-value), half | 0x8000u);
        // The next half up is a step away; what lies between goes to the nearer one.
        const float next = half == 0x7bff ? 65536.0f : from_half(static_cast<uint16_t>(half + 1));
        const float middle = (value + next) / 2;
        const uint32_t even = half + half % 2;
        ASSERT_EQ(to_half(middle), even);
        ASSERT_EQ(to_half(std::nextafter(middle, 0.0f)), half);
        ASSERT_EQ(to_half(std::nextafter(middle, 1e9f)), half + 1);
    }
    EXPECT_EQ(from_half(0x3c00), 1.0f);
    EXPECT_EQ(from_half(0x0001), 0x1p-24f);
    EXPECT_EQ(from_half(0xfbff), -65504.0f);
    EXPECT_EQ(from_half(0x7c00), std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(from_half(to_half(std::nanf("")))));
}

TEST(TensorEncoding, BfloatsAreRoundedToNearestEven) {
    EXPECT_EQ(to_bfloat16(1.0f), 0x3f80);
    EXPECT_EQ(to_bfloat16(-2.0f), 0xc000);
    EXPECT_EQ(to_bfloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
    EXPECT_EQ(to_bfloat16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
    EXPECT_EQ(to_bfloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
    EXPECT_EQ(from_bfloat16(0x3f82), 1.015625f);
    EXPECT_TRUE(std::isnan(from_bfloat16(to_bfloat16(std::nanf("")))));
}

TEST(TensorEncoding, BlocksHaveTheBytesOfTheFormat) {
    std::vector<float> ramp(32);
    std::iota(ramp.begin(), ramp.end(), -16.0f);  // -16 to 15

    // Steps of 1/8 for a largest magnitude of 127/8.
    std::vector<float> scaled = ramp;
    for (float& value : scaled) value *= 127.0f / 128.0f;
    const std::vector<uint8_t> q8_0 = encode(Encoding::kQ8_0, scaled);
    ASSERT_EQ(q8_0.size(), 34u);
    EXPECT_EQ(q8_0[0] | q8_0[1] << 8, 0x3000);  // 2^-3
    EXPECT_EQ(static_cast<int8_t>(q8_0[2]), -127);
    EXPECT_EQ(static_cast<int8_t>(q8_0[2 + 16]), 0);
    EXPECT_EQ(static_cast<int8_t>(q8_0[2 + 31]), 119);

    // Steps of 2, stored with 8 added; number 0 shares its byte with number 16.
    const std::vector<uint8_t> q4_0 = encode(Encoding::kQ4_0, ramp);
    ASSERT_EQ(q4_0.size(), 18u);
    EXPECT_EQ(q4_0[0] | q4_0[1] << 8, 0x4000);
    EXPECT_EQ(q4_0[2], 0 | 8 << 4);
    EXPECT_EQ(q4_0[2 + 15], 8 | 15 << 4);
}

TEST(TensorEncoding, DecodingGivesBackWithinHalfAStep) {
    RandomNumbers random(5);
    std::vector<float> values(32 * 20);
    for (float& value : values) value = static_cast<float>(random.normal());
    std::fill_n(values.begin() + 32, 32, 0.0f);
    const struct {
        Encoding encoding;
        float error;  // relative to the largest magnitude of the block
    } cases[] = {{Encoding::kF32, 0.0f},
                 {Encoding::kF16, 0x1p-11f},
                 {Encoding::kBF16, 0x1p-8f},
                 {Encoding::kQ8_0, 0.51f / 127},
                 // The far end of the scale has seven steps where the near one has eight.
                 {Encoding::kQ4_0, 1.01f / 8}};
    for (const auto& [encoding, error] : cases) {
        const std::vector<float> stored = decode(encoding, encode(encoding, values));
        ASSERT_EQ(stored.size(), values.size());
        for (size_t block = 0; block < values.size(); block += 32) {
            float largest = 0.0f;
            for (size_t i = 0; i < 32; ++i) {
                largest = std::max(largest, std::fabs(values[block + i]));
            }
            for (size_t i = block; i < block + 32; ++i) {
                ASSERT_LE(std::fabs(stored[i] - values[i]), error * largest)
                    << static_cast<uint32_t>(encoding) << " at " << i;
            }
        }
        EXPECT_EQ(decode(encoding, encode(encoding, stored)), stored);
    }
    EXPECT_THROW(encode(Encoding::kQ8_0, std::span(values).first(31)), std::invalid_argument);
}

// --- files

void append_text(std::vector<uint8_t>& out, std::string_view text) {
    append_little_endian(out, static_cast<uint64_t>(text.size()));
    out.insert(out.end(), text.begin(), text.end());
}

// The bytes of a small file, written down from the format's description.
TEST(ModelFileTest, WritesTheBytesOfTheFormat) {
    ModelFile file;
    file.set("n", uint32_t{7});
    file.set("list", std::vector<std::string>{"a", "bc"});
    file.set("gone", true);
    file.set("n", int8_t{-1});
    file.erase("gone");
    const float values[] = {1.0f, -2.0f};
    file.add_tensor("t", {2, 1}, values, Encoding::kF16);
    file.add_tensor("u", {1}, std::span(values).first(1), Encoding::kF32);

    std::vector<uint8_t> expected = {'G', 'G', 'U', 'F', 3, 0, 0, 0};
    append_little_endian(expected, uint64_t{2});  // tensors
    append_little_endian(expected, uint64_t{2});  // keys
    append_text(expected, "n");
    append_little_endian(expected, uint32_t{1});  // int8
    expected.push_back(0xff);
    append_text(expected, "list");
    append_little_endian(expected, uint32_t{9});  // array
    append_little_endian(expected, uint32_t{8});  // of strings
    append_little_endian(expected, uint64_t{2});
    append_text(expected, "a");
    append_text(expected, "bc");
    append_text(expected, "t");
    append_little_endian(expected, uint32_t{2});  // dimensions
    append_little_endian(expected, uint64_t{2});
    append_little_endian(expected, uint64_t{1});
    append_little_endian(expected, uint32_t{1});  // F16
    append_little_endian(expected, uint64_t{0});  // offset
    append_text(expected, "u");
    append_little_endian(expected, uint32_t{1});
    append_little_endian(expected, uint64_t{1});
    append_little_endian(expected, uint32_t{0});   // F32
    append_little_endian(expected, uint64_t{32});  // offset
    expected.resize((expected.size() + 31) / 32 * 32);
    append_little_endian(expected, uint32_t{0xc0003c00});  // 1, -2
    expected.resize(expected.size() + 28);
    append_little_endian(expected, uint32_t{0x3f800000});  // 1
    expected.resize(expected.size() + 28);

    const AlignedBytes bytes = file.bytes();
    EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.end()), expected);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 64, 0u);
}

TEST(ModelFileTest, ValueTypesHaveTheirNumbers) {
    const std::pair<MetadataValue, uint32_t> cases[] = {
        {uint8_t{1}, 0},   {int8_t{1}, 1},
        {uint16_t{1}, 2},  {int16_t{1}, 3},
        {uint32_t{1}, 4},  {int32_t{1}, 5},
        {1.0f, 6},         {true, 7},
        {"text", 8},       {std::vector<float>{1.0f}, 9},
        {uint64_t{1}, 10}, {int64_t{1}, 11},
        {1.0, 12}};
    const size_t type_at = 4 + 4 + 8 + 8 + 8 + 1;  // after the prologue and the key "k"
    for (const auto& [value, type] : cases) {
        ModelFile file;
        file.set("k", value);
        EXPECT_EQ(load_little_endian<uint32_t>(file.bytes().data() + type_at), type);
    }
}

TEST(ModelFileTest, AlignmentAndVersionAreWritten) {
    ModelShape shape;
    shape.seed = 3;
    ModelFile file = make_random_model(shape);
    const std::vector<double> expected = reference_logits(read_reference(file), Tokens{1, 2, 3});
    file.set_version(2);
    file.set_alignment(256);
    const AlignedBytes bytes = file.bytes();
    EXPECT_EQ(bytes[4], 2);
    EXPECT_EQ(bytes.size() % 256, 0u);
    EXPECT_EQ(reference_logits(read_reference(bytes), Tokens{1, 2, 3}), expected);
}

TEST(ModelFileTest, SavesWhatItHolds) {
    const ModelFile file = make_random_model({});
    const std::string path = testing::TempDir() + "puna_model_file_test.gguf";
    file.save(path);
    const std::string saved = read_text(path);
    std::remove(path.c_str());
    const AlignedBytes bytes = file.bytes();
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), saved.begin(), saved.end(),
                           [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); }));
    EXPECT_THROW(file.save(testing::TempDir() + "no/such/folder/file"), std::runtime_error);
}

TEST(ModelFileTest, RefusesMisuse) {
    ModelFile file;
    const float values[] = {1.0f, 2.0f};
    EXPECT_THROW(file.add_tensor("t", {3}, values, Encoding::kF32), std::invalid_argument);
    EXPECT_THROW(file.add_tensor("t", {2}, values, Encoding::kQ8_0), std::invalid_argument);
    EXPECT_THROW(file.erase("none"), std::invalid_argument);
    EXPECT_THROW(file.erase_tensor("none"), std::invalid_argument);
    file.add_tensor("t", {2}, values, Encoding::kF32);
    file.rename_tensor("t", "u");
    EXPECT_FALSE(file.has_tensor("t"));
    EXPECT_TRUE(file.has_tensor("u"));
}

// --- the forward pass

ReferenceLinear square(std::vector<float> weight) {
    return {2, 2, std::move(weight), {}};
}

// Two numbers wide, one layer, one head, all of attention the identity, so that every figure can
// be worked out by hand.
ReferenceModel tiny_model() {
    const std::vector<float> identity = {1, 0, 0, 1};
    ReferenceModel model;
    model.n_embd = 2;
    model.n_head = model.n_head_kv = 1;
    model.key_dim = model.value_dim = 2;
    model.rope_frequencies = {1.0};
    model.eps = 0.75;
    model.token_embedding = {0.5f, 0.5f, 0.5f, -0.5f};
    model.output_norm = {1, 2};
    model.output = square(identity);
    ReferenceLayer layer;
    // The mean square 1/4 and eps make 1, so attention reads (1, 1) and (1, -1).
    layer.attn_norm = {2, 2};
    layer.ffn_norm = {1, 1};
    layer.q = layer.k = layer.v = layer.attn_output = square(identity);
    layer.gate = {2, 1, {1, 0}, {}};
    layer.up = {2, 1, {0, 1}, {}};
    layer.down = {1, 2, {1, 0}, {0, 0.5f}};
    model.layers = {layer};
    return model;
}

// What tiny_model makes of the numbers (a, b) that leave its attention.
void expect_head_of(double a, double b, const double* logits) {
    const double scale = 1 / std::sqrt((a * a + b * b) / 2 + 0.75);
    const double gate = a * scale;
    const double x = a + gate / (1 + std::exp(-gate)) * (b * scale);
    const double y = b + 0.5;
    const double out = 1 / std::sqrt((x * x + y * y) / 2 + 0.75);
    EXPECT_NEAR(logits[0], x * out, 1e-13);
    EXPECT_NEAR(logits[1], 2 * y * out, 1e-13);
}

TEST(ReferenceForward, AgreesWithTheSumDoneByHand) {
    const std::vector<double> logits = reference_logits(tiny_model(), Tokens{0, 1});
    ASSERT_EQ(logits.size(), 4u);
    // The first token sees itself alone: (0.5, 0.5) + (1, 1).
    expect_head_of(1.5, 1.5, logits.data());
    // The second is (1, -1) turned by one radian. Its product with itself is 2, with the first
    // token's key (1, 1) at angle 0 it is (cos 1 + sin 1) + (sin 1 - cos 1) = 2 sin 1.
    const double own = std::exp(2 / std::sqrt(2.0));
    const double first = std::exp(2 * std::sin(1.0) / std::sqrt(2.0));
    const double weight = own / (own + first);
    expect_head_of(1.5, -0.5 + (1 - weight) - weight, logits.data() + 2);
}

// Query head h reads KV head h / group.
TEST(ReferenceForward, GroupsHeads) {
    ReferenceModel model = tiny_model();
    ReferenceLayer& layer = model.layers[0];
    model.n_head = 4;
    model.n_head_kv = 2;
    model.value_dim = 1;
    layer.q = {2, 8, std::vector<float>(16, 0.0f), {}};
    layer.k = {2, 4, std::vector<float>(8, 0.0f), {}};
    // All scores are 0, so each head gives the mean of its KV head: value head 0 is the constant
    // 3, head 1 the second number of the input.
    layer.v = {2, 2, {0, 0, 0, 1}, {3, 0}};
    layer.attn_output = {4, 2, {1, 10, 0, 0, 0, 0, 100, 1000}, {}};
    const std::vector<double> logits = reference_logits(model, Tokens{0, 1});
    expect_head_of(0.5 + 33, 0.5 + 1100, logits.data());
    expect_head_of(0.5 + 33, -0.5, logits.data() + 2);
}

// Two pairs turn at their own speeds, the number beyond them keeps its value, and scores are
// divided by the root of the key's size, not the value's.
TEST(ReferenceForward, RotatesInPart) {
    ReferenceModel model = tiny_model();
    ReferenceLayer& layer = model.layers[0];
    model.key_dim = 5;
    model.rope_frequencies = {1.0, 0.5};
    layer.q = layer.k = {2, 5, {1, 0, 0, 1, 1, 0, 0, 1, 1, 0}, {}};
    const std::vector<double> logits = reference_logits(model, Tokens{0, 1});
    expect_head_of(1.5, 1.5, logits.data());
    const double own = std::exp((2 + 2 + 1) / std::sqrt(5.0));
    const double first = std::exp((2 * std::sin(1.0) + 2 * std::sin(0.5) + 1) / std::sqrt(5.0));
    const double weight = own / (own + first);
    expect_head_of(1.5, -0.5 + (1 - weight) - weight, logits.data() + 2);
}

std::vector<ModelShape> assorted_shapes() {
    std::vector<ModelShape> shapes(5);
    shapes[1].n_head_kv = 1;
    shapes[1].tied_output = true;
    shapes[1].matrix_encoding = Encoding::kQ8_0;
    shapes[2].head_dim = 24;
    shapes[2].value_dim = 12;
    shapes[2].rope_dim = 10;
    shapes[2].biases = shapes[2].ffn_biases = true;
    shapes[2].matrix_encoding = Encoding::kF16;
    shapes[3].n_embd = 90;
    shapes[3].n_head = 6;
    shapes[3].n_head_kv = 3;
    shapes[3].n_ff = 77;
    shapes[3].n_vocab = 131;
    shapes[3].head_dim = 16;
    shapes[3].rope_scaling = RopeScaling::kLlama3;
    shapes[3].matrix_encoding = Encoding::kQ4_0;
    shapes[4].rope_scaling = RopeScaling::kLinear;
    shapes[4].with_tokenizer = false;
    shapes[4].embedding_encoding = shapes[4].output_encoding = Encoding::kBF16;
    return shapes;
}

TEST(ReferenceForward, TokensOneByOneGiveTheSameBits) {
    for (const ModelShape& shape : assorted_shapes()) {
        const ReferenceModel model = read_reference(make_random_model(shape));
        const Tokens tokens = random_tokens(12, shape.n_vocab, 7);
        std::vector<double> steps;
        ReferenceSequence sequence(model);
        for (const int32_t& token : tokens) {
            const std::vector<double> row = sequence.append(std::span(&token, 1));
            steps.insert(steps.end(), row.begin(), row.end());
        }
        EXPECT_EQ(steps, reference_logits(model, tokens));
    }
}

// In a model of one layer, keys before rotation and values depend on their own token alone, so a
// shifted sequence is one that never had the dropped tokens. With two layers it remembers them.
TEST(ReferenceForward, DroppingTokensShiftsTheRest) {
    ModelShape shape;
    shape.n_layer = 1;
    const Tokens tokens = random_tokens(20, shape.n_vocab, 8);
    Tokens kept(tokens.begin(), tokens.begin() + 4);
    kept.insert(kept.end(), tokens.begin() + 11, tokens.end());
    for (const uint32_t n_layer : {1u, 2u}) {
        shape.n_layer = n_layer;
        const ReferenceModel model = read_reference(make_random_model(shape));
        ReferenceSequence sequence(model);
        sequence.append(std::span(tokens).first(19));
        sequence.drop(4, 7);
        EXPECT_EQ(sequence.size(), 12u);
        const std::vector<double> shifted = sequence.append(std::span(tokens).last(1));
        std::vector<double> fresh = reference_logits(model, kept);
        fresh.erase(fresh.begin(), fresh.end() - shape.n_vocab);
        if (n_layer == 1) {
            EXPECT_EQ(shifted, fresh);
        } else {
            EXPECT_NE(shifted, fresh);
        }
    }
}

// The shift policy against a plain loop over token lists, for the model of one layer in which
// that is the same thing.
TEST(ReferenceForward, GreedyWithShiftDropsTheOlderHalf) {
    ModelShape shape;
    shape.n_layer = 1;
    const ReferenceModel model = read_reference(make_random_model(shape));
    const Tokens prompt = {1, 9, 17, 30, 77};
    for (const size_t keep : {0, 1, 8, 9}) {
        const size_t n_ctx = 10;
        Tokens window = prompt;
        Tokens expected;
        while (expected.size() < 40) {
            expected.push_back(reference_greedy(model, window, 1).tokens[0]);
            if (window.size() == n_ctx) {
                const auto first = window.begin() + static_cast<std::ptrdiff_t>(keep);
                window.erase(first, first + static_cast<std::ptrdiff_t>(
                                                std::max<size_t>(1, (n_ctx - keep) / 2)));
            }
            window.push_back(expected.back());
        }
        EXPECT_EQ(reference_greedy_with_shift(model, prompt, 40, n_ctx, keep).tokens, expected);
    }
    EXPECT_NE(reference_greedy_with_shift(model, prompt, 40, 10, 0).tokens,
              reference_greedy(model, prompt, 40).tokens);
    EXPECT_THROW(reference_greedy_with_shift(model, prompt, 1, 4, 0), std::invalid_argument);
    EXPECT_THROW(reference_greedy_with_shift(model, prompt, 1, 10, 10), std::invalid_argument);
}

TEST(ReferenceForward, KlDivergenceOfKnownRows) {
    const double log_3 = std::log(3.0);
    // p = (3/4, 1/4) against q = (1/2, 1/2), then equal rows up to a constant.
    const std::vector<double> reference = {log_3, 0.0, 1.0, 2.0};
    const std::vector<float> logits = {0.0f, 0.0f, 3.0f, 4.0f};
    const double kl = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
    const LogitDifference difference = kl_divergence(reference, logits, 2);
    EXPECT_NEAR(difference.kl_max, kl, 1e-14);
    EXPECT_NEAR(difference.kl_mean, kl / 2, 1e-14);
    EXPECT_EQ(difference.top1_agreement, 1.0);
    EXPECT_NEAR(difference.relative_error, std::sqrt((log_3 * log_3 + 8) / (log_3 * log_3 + 5)),
                1e-14);
    const std::vector<float> broken = {0.0f, std::nanf(""), 3.0f, 4.0f};
    EXPECT_FALSE(kl_divergence(reference, broken, 2).kl_max < 1e9);
    EXPECT_FALSE(kl_divergence(reference, broken, 2).kl_mean < 1e9);
    EXPECT_THROW(kl_divergence(reference, std::span(logits).first(2), 2), std::invalid_argument);
}

// --- random models

TEST(RandomModel, HasLogitsOfAFewUnitsAndLooksBack) {
    for (const ModelShape& shape : assorted_shapes()) {
        const ReferenceModel model = read_reference(make_random_model(shape));
        Tokens tokens = random_tokens(100, shape.n_vocab, 9);
        const std::vector<double> logits = reference_logits(model, tokens);
        double sum_of_squares = 0.0;
        for (const double logit : logits) sum_of_squares += logit * logit;
        const double deviation = std::sqrt(sum_of_squares / static_cast<double>(logits.size()));
        EXPECT_GT(deviation, 2.0);
        EXPECT_LT(deviation, 4.5);

        // The distribution after the last token depends on what stood before it.
        std::reverse(tokens.begin(), tokens.end() - 1);
        const std::vector<double> other = reference_logits(model, tokens);
        const std::vector<float> last(other.end() - shape.n_vocab, other.end());
        EXPECT_GT(kl_divergence(std::span(logits).last(shape.n_vocab), last, shape.n_vocab).kl_max,
                  0.1);

        // Greedy text does not stand still.
        const Tokens text = reference_greedy(model, Tokens{1}, 40).tokens;
        const std::vector<int32_t> distinct = [&] {
            Tokens sorted = text;
            std::sort(sorted.begin(), sorted.end());
            sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
            return sorted;
        }();
        EXPECT_GT(distinct.size(), 10u);
    }
}

// A change of a bit here changes every expectation that another machine computed.
TEST(RandomModel, HasTheSameBytesOnEveryMachine) {
    RandomNumbers random(1);
    EXPECT_EQ(random.next(), 0x910a2dec89025cc1u);  // published for SplitMix64
    ModelShape shape;
    shape.n_vocab = 600;
    shape.matrix_encoding = Encoding::kQ8_0;
    uint64_t hash = 0xcbf29ce484222325u;
    for (const uint8_t byte : make_random_model(shape).bytes()) {
        hash = (hash ^ byte) * 0x100000001b3u;
    }
    EXPECT_EQ(hash, 0x1ea21d67620daa55u);
    ModelShape other = shape;
    other.seed = 2;
    EXPECT_NE(make_random_model(shape).bytes(), make_random_model(other).bytes());
}

TEST(RandomModel, RopeFrequenciesFollowTheScaling) {
    ModelShape shape;
    shape.rope_dim = 8;
    shape.rope_base = 10000.0f;  // frequencies 1, 0.1, 0.01, 0.001
    shape.rope_factor = 8.0f;
    const auto expect = [&shape](std::vector<double> expected) {
        const std::vector<double> actual =
            read_reference(make_random_model(shape)).rope_frequencies;
        ASSERT_EQ(actual.size(), expected.size());
        for (size_t i = 0; i < actual.size(); ++i) {
            EXPECT_NEAR(actual[i] / expected[i], 1.0, 1e-6) << "pair " << i;
        }
    };
    expect({1, 0.1, 0.01, 0.001});
    shape.rope_scaling = RopeScaling::kLinear;
    expect({1 / 8.0, 0.1 / 8, 0.01 / 8, 0.001 / 8});
    // 64 positions are 10.2 turns of the first pair, 1.02 of the second, less than one of the
    // others: it stays, is interpolated between 1 and 4 turns, or is divided by 8.
    shape.rope_scaling = RopeScaling::kLlama3;
    const double turns = 64 * 0.1 / (2 * 3.14159265358979);
    const double smooth = (turns - 1) / (4 - 1);
    expect({1, 0.1 * ((1 - smooth) / 8 + smooth), 0.01 / 8, 0.001 / 8});
}

TEST(RandomModel, EncodingsAreRoundingsOfTheSameWeights) {
    ModelShape shape;
    const ReferenceModel exact = read_reference(make_random_model(shape));
    shape.n_ff = 160;
    shape.matrix_encoding = Encoding::kQ8_0;
    const ReferenceModel rounded = read_reference(make_random_model(shape));
    ASSERT_EQ(exact.layers.size(), 2u);
    const std::vector<float>& a = exact.layers[1].down.weight;
    const std::vector<float>& b = rounded.layers[1].down.weight;
    EXPECT_NE(a, b);
    EXPECT_EQ(decode(Encoding::kQ8_0, encode(Encoding::kQ8_0, a)), b);

    // Rows of 77 numbers cannot be blocks of 32.
    shape.n_ff = 77;
    const ReferenceModel odd = read_reference(make_random_model(shape));
    const std::vector<float>& c = odd.layers[0].down.weight;
    EXPECT_EQ(decode(Encoding::kF16, encode(Encoding::kF16, c)), c);
    EXPECT_NE(decode(Encoding::kQ8_0, encode(Encoding::kQ8_0, std::span(c).first(32))),
              std::vector<float>(c.begin(), c.begin() + 32));
}

TEST(RandomModel, RefusesShapesThatContradictThemselves) {
    const auto refused = [](auto change) {
        ModelShape shape;
        change(shape);
        EXPECT_THROW(make_random_model(shape), std::invalid_argument);
    };
    refused([](ModelShape& shape) { shape.n_embd = 0; });
    refused([](ModelShape& shape) { shape.n_head_kv = 3; });
    refused([](ModelShape& shape) { shape.n_embd = 66; });
    refused([](ModelShape& shape) { shape.rope_dim = 18; });
    refused([](ModelShape& shape) { shape.rope_dim = 7; });
    refused([](ModelShape& shape) { shape.n_vocab = 2; });
}

// The strings of an array in a file, found by its key.
std::vector<std::string> string_array(const ModelFile& file, const std::string& key) {
    const AlignedBytes bytes = file.bytes();
    const auto found = std::search(bytes.begin(), bytes.end(), key.begin(), key.end());
    if (found == bytes.end()) return {};
    const uint8_t* at = &*found + key.size() + 4 + 4;  // the types: array, string
    std::vector<std::string> strings(static_cast<size_t>(load_little_endian<uint64_t>(at)));
    at += 8;
    for (std::string& text : strings) {
        const uint64_t size = load_little_endian<uint64_t>(at);
        text.assign(at + 8, at + 8 + size);
        at += 8 + size;
    }
    return strings;
}

TEST(RandomModel, HasAVocabularyOfAnySize) {
    for (const uint32_t n_vocab : {3u, 4u, 40u, 258u, 259u, 280u, 3000u}) {
        ModelShape shape;
        shape.n_vocab = n_vocab;
        shape.n_layer = 0;
        std::vector<std::string> tokens =
            string_array(make_random_model(shape), "tokenizer.ggml.tokens");
        ASSERT_EQ(tokens.size(), n_vocab);
        EXPECT_EQ(tokens[2], "</s>");
        const bool has_bytes = n_vocab >= 259;
        EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<0xFF>"), has_bytes ? 1 : 0);
        EXPECT_EQ(std::find(tokens.begin(), tokens.end(), "<0x00>") - tokens.begin(),
                  has_bytes ? 3 : n_vocab);
        std::sort(tokens.begin(), tokens.end());
        EXPECT_EQ(std::unique(tokens.begin(), tokens.end()), tokens.end());
    }
    ModelShape shape;
    shape.with_tokenizer = false;
    EXPECT_TRUE(string_array(make_random_model(shape), "tokenizer.ggml.").empty());
}

// --- the shared material

// All lists of integers under a key, from JSON that is known to be plain.
std::vector<Tokens> integer_lists(const std::string& json, const std::string& key) {
    std::vector<Tokens> lists;
    const std::string quoted = "\"" + key + "\"";
    for (size_t at = json.find(quoted); at != std::string::npos; at = json.find(quoted, at + 1)) {
        Tokens& list = lists.emplace_back();
        const char* text = json.c_str() + json.find('[', at) + 1;
        for (char* end = nullptr;; text = end + (*end == ',')) {
            const long value = std::strtol(text, &end, 10);
            if (end == text) break;
            list.push_back(static_cast<int32_t>(value));
        }
    }
    return lists;
}

std::vector<float> read_floats(const std::string& path) {
    const std::string data = read_text(path);
    return decode(Encoding::kF32, {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
}

TEST(ReferenceForward, AgreesWithTheFrameworkThatTrainedTheDemoModel) {
    const std::string golden = project_file("tests/golden/data/");
    const Tokens tokens = integer_lists(read_text(golden + "demo.json"), "tokens").at(0);
    ASSERT_GE(tokens.size(), 16u);
    for (const std::string name : {"demo-f16", "demo"}) {
        const ReferenceModel model =
            load_reference(project_file("examples/demo_model/" + name + ".gguf"));
        const LogitDifference difference =
            kl_divergence(reference_logits(model, tokens),
                          read_floats(golden + name + ".logits.f32"), model.n_vocab());
        // The framework computes in float32.
        EXPECT_LT(difference.relative_error, 1e-5) << name;
        EXPECT_LT(difference.kl_max, 1e-9) << name;
    }
}

TEST(ReferenceForward, AgreesWithTheSharedLogits) {
    const std::string json = shared_file("golden/tiny.json");
    if (json.empty()) GTEST_SKIP() << "no shared test material: set PUNA_SHARED_DIR";
    const Tokens tokens = integer_lists(read_text(json), "tokens").at(0);
    ASSERT_EQ(tokens.size(), 32u);
    for (const std::string name : {"tiny-f16", "tiny-bf16", "tiny-q8_0", "tiny-q4_0"}) {
        const ReferenceModel model = load_reference(shared_file("models/" + name + ".gguf"));
        const auto logits = read_floats(shared_file("golden/" + name + ".logits.f32"));
        const LogitDifference difference =
            kl_divergence(reference_logits(model, tokens), logits, model.n_vocab());
        // What rounding the golden figures to floats costs.
        EXPECT_LT(difference.relative_error, 5e-8) << name;
        EXPECT_LT(difference.kl_max, 1e-12) << name;
    }
}

TEST(ReferenceForward, TellsTheSharedStories) {
    const std::string json = shared_file("golden/stories260K.json");
    if (json.empty()) GTEST_SKIP() << "no shared test material: set PUNA_SHARED_DIR";
    const ReferenceModel model = load_reference(shared_file("models/stories260K.gguf"));
    const std::vector<Tokens> prompts = integer_lists(read_text(json), "prompt_ids");
    const std::vector<Tokens> stories = integer_lists(read_text(json), "greedy_ids");
    ASSERT_EQ(prompts.size(), 4u);
    for (size_t i = 0; i < prompts.size(); ++i) {
        ASSERT_EQ(stories.at(i).size(), 160u);
        EXPECT_EQ(reference_greedy(model, prompts[i], 160).tokens, stories[i]);
    }
}

}  // namespace
}  // namespace puna::test
