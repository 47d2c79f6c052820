#include "model/model_loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "format/gguf_reader.h"
#include "format/half.h"
#include "support/model_source.h"
#include "support/random_model.h"
#include "support/random_numbers.h"
#include "support/shared_files.h"

namespace puna::core {
namespace {

using test::Encoding;
using test::MemorySource;
using test::ModelFile;
using test::ModelShape;
using test::TemporaryFile;

ModelShape small_shape() {
    ModelShape shape;
    shape.n_embd = 32;
    shape.n_layer = 2;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_ff = 48;
    shape.n_vocab = 300;
    return shape;
}

class ModelLoaderTest : public testing::Test {
  protected:
    Result<std::unique_ptr<LoadedModel>> load(std::span<const puna_source> sources,
                                              const LoadOptions& options = {}) {
        LoadProgress progress;
        return load_model(sources, options, allocator_, progress);
    }
    Result<std::unique_ptr<LoadedModel>> load(MemorySource& memory) {
        const puna_source source = memory.in_place();
        return load({&source, 1});
    }

    void expect_refused(const ModelFile& file, puna_status code, const std::string& text) {
        MemorySource memory(file);
        const auto model = load(memory);
        ASSERT_FALSE(model.ok()) << text;
        EXPECT_EQ(model.status().code(), code) << model.status().text();
        EXPECT_EQ(model.status().text(), "source 0: " + text);
        EXPECT_EQ(memory.n_released(), 1);
    }

    Allocator allocator_;
};

const puna_tensor* find_tensor(const LoadedModel& model, int32_t role, int32_t layer = -1) {
    const auto at =
        std::find_if(model.tensors.begin(), model.tensors.end(),
                     [&](const puna_tensor& t) { return t.role == role && t.layer == layer; });
    return at == model.tensors.end() ? nullptr : &*at;
}

// Descriptors and bytes of all tensors as one string, to compare ways of loading.
std::string weights_text(const LoadedModel& model) {
    std::string out;
    for (const puna_tensor& t : model.tensors) {
        out += std::string(t.name) + " " + std::to_string(t.role) + " " + std::to_string(t.layer) +
               " " + std::to_string(t.format) + " " + std::to_string(t.rows) + " " +
               std::to_string(t.columns) + " ";
        out.append(static_cast<const char*>(t.data), static_cast<size_t>(t.size_bytes));
    }
    return out;
}

// --- what comes out -----------------------------------------------------------------------------

TEST_F(ModelLoaderTest, DescribesTheModel) {
    ModelShape shape = small_shape();
    shape.head_dim = 12;
    shape.value_dim = 7;
    shape.rope_dim = 6;
    shape.biases = true;
    MemorySource memory(make_random_model(shape));
    const auto result = load(memory);
    ASSERT_TRUE(result.ok()) << result.status().text();
    const LoadedModel& model = **result;
    const puna_model_spec& spec = model.spec;
    EXPECT_EQ(spec.struct_size, sizeof spec);
    EXPECT_EQ(spec.n_vocab, 300);
    EXPECT_EQ(spec.n_embd, 32);
    EXPECT_EQ(spec.n_layer, 2);
    EXPECT_EQ(spec.n_head, 4);
    EXPECT_EQ(spec.n_head_kv, 2);
    EXPECT_EQ(spec.head_dim_k, 12);
    EXPECT_EQ(spec.head_dim_v, 7);
    EXPECT_EQ(spec.n_ff, 48);
    EXPECT_EQ(spec.norm, PUNA_NORM_RMS);
    EXPECT_EQ(spec.activation, PUNA_ACTIVATION_SILU);
    EXPECT_EQ(spec.rope, PUNA_ROPE_PAIRS);
    EXPECT_EQ(spec.rope_dim, 6);
    EXPECT_FLOAT_EQ(spec.attention_scale, 1 / std::sqrt(12.0f));
    EXPECT_NEAR(spec.rope_frequencies[1], std::pow(10000.0, -1.0 / 3), 1e-15);
    EXPECT_STREQ(spec.family, "llama");

    const puna_tensor* values = find_tensor(model, PUNA_TENSOR_ATTN_V, 1);
    ASSERT_NE(values, nullptr);
    EXPECT_EQ(values->rows, 14);
    EXPECT_EQ(values->columns, 32);
    EXPECT_STREQ(values->name, "blk.1.attn_v.weight");
    EXPECT_EQ(values->size_bytes, 14u * 32 * 4);
    EXPECT_EQ(find_tensor(model, PUNA_TENSOR_ATTN_Q_BIAS, 0)->columns, 48);
    EXPECT_EQ(find_tensor(model, PUNA_TENSOR_ATTN_Q_BIAS, 0)->rows, 1);
    EXPECT_EQ(find_tensor(model, PUNA_TENSOR_FFN_UP_BIAS, 0), nullptr);
    EXPECT_FALSE(model.tied_output);
    EXPECT_EQ(allocator_.live_bytes(), 0u);  // everything in place
}

TEST_F(ModelLoaderTest, TiedOutputIsTheEmbedding) {
    ModelShape shape = small_shape();
    shape.tied_output = true;
    MemorySource memory(make_random_model(shape));
    const auto model = load(memory);
    ASSERT_TRUE(model.ok()) << model.status().text();
    const puna_tensor* output = find_tensor(**model, PUNA_TENSOR_OUTPUT);
    ASSERT_NE(output, nullptr);
    EXPECT_EQ(output->data, find_tensor(**model, PUNA_TENSOR_TOKEN_EMBD)->data);
    EXPECT_TRUE((*model)->tied_output);
}

TEST_F(ModelLoaderTest, EverySourceGivesTheSameWeights) {
    const ModelFile file = make_random_model(small_shape());
    MemorySource memory(file);
    const TemporaryFile on_disk(testing::TempDir() + "puna_loader.gguf", memory.bytes());
    const TemporaryFile packed(testing::TempDir() + "puna_loader.pack", memory.bytes(), 100);
    puna_source by_path = PUNA_SOURCE_INIT;
    by_path.path = on_disk.path().c_str();
    puna_source in_pack = PUNA_SOURCE_INIT;
    in_pack.path = packed.path().c_str();
    in_pack.offset = 100;
    const puna_source in_place = memory.in_place();
    const puna_source by_callback = memory.by_callback();

    const auto expected = load({&in_place, 1});
    ASSERT_TRUE(expected.ok());
    LoadOptions no_mmap;
    no_mmap.disable_mmap = true;
    for (const auto& model : {load({&by_path, 1}), load({&by_path, 1}, no_mmap),
                              load({&in_pack, 1}), load({&by_callback, 1})}) {
        ASSERT_TRUE(model.ok()) << model.status().text();
        EXPECT_EQ(weights_text(**model), weights_text(**expected));
        for (const puna_tensor& tensor : (*model)->tensors) {
            EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 32, 0u) << tensor.name;
        }
    }
}

TEST_F(ModelLoaderTest, NormsAndBiasesBecomeF32) {
    ModelFile file = make_random_model(small_shape());
    test::RandomNumbers random(5);
    std::vector<float> gains(32);
    for (float& gain : gains) gain = static_cast<float>(random.normal());
    file.add_tensor("blk.0.attn_norm.weight", {32}, gains, Encoding::kF16);
    file.add_tensor("blk.1.ffn_norm.weight", {32}, gains, Encoding::kBF16);
    file.add_tensor("blk.1.attn_q.bias", {32}, gains, Encoding::kF16);
    MemorySource memory(file);
    const auto model = load(memory);
    ASSERT_TRUE(model.ok()) << model.status().text();
    const puna_tensor* half = find_tensor(**model, PUNA_TENSOR_ATTN_NORM, 0);
    const puna_tensor* brain = find_tensor(**model, PUNA_TENSOR_FFN_NORM, 1);
    for (size_t i = 0; i < gains.size(); ++i) {
        EXPECT_EQ(static_cast<const float*>(half->data)[i], half_to_float(float_to_half(gains[i])));
        EXPECT_EQ(static_cast<const float*>(brain->data)[i],
                  bfloat16_to_float(float_to_bfloat16(gains[i])));
    }
    EXPECT_EQ(half->format, PUNA_FORMAT_F32);
    EXPECT_EQ(half->size_bytes, 128u);
    EXPECT_EQ(find_tensor(**model, PUNA_TENSOR_ATTN_Q_BIAS, 1)->format, PUNA_FORMAT_F32);
    EXPECT_EQ(allocator_.live_bytes(), (*model)->converted_bytes);
}

TEST_F(ModelLoaderTest, RopeDivisorsOfTheFileAreUsed) {
    ModelFile file = make_random_model(small_shape());  // heads of 8
    file.add_tensor("rope_freqs.weight", {4}, std::vector<float>{1, 2, 4, 8}, Encoding::kF32);
    MemorySource memory(file);
    const auto model = load(memory);
    ASSERT_TRUE(model.ok()) << model.status().text();
    EXPECT_NEAR((*model)->spec.rope_frequencies[3], 0.001 / 8, 1e-15);
    for (const float wrong : {0.0f, -1.0f, std::nanf(""), INFINITY}) {
        file.add_tensor("rope_freqs.weight", {4}, std::vector<float>{1, 2, wrong, 8},
                        Encoding::kF32);
        MemorySource bad(file);
        EXPECT_EQ(load(bad).status().code(), PUNA_ERROR_MODEL) << wrong;
    }
    file.add_tensor("rope_freqs.weight", {3}, std::vector<float>{1, 2, 4}, Encoding::kF32);
    expect_refused(file, PUNA_ERROR_MODEL,
                   "tensor 'rope_freqs.weight': has the shape [3, 1, 1, 1]; [4, 1] is wanted");
}

// --- refusals -----------------------------------------------------------------------------------

TEST_F(ModelLoaderTest, MissingTensorsAreNamed) {
    for (const char* name :
         {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
          "blk.1.attn_q.weight", "blk.1.attn_k.weight", "blk.0.attn_v.weight",
          "blk.1.attn_output.weight", "blk.0.ffn_norm.weight", "blk.1.ffn_gate.weight",
          "blk.0.ffn_up.weight", "blk.1.ffn_down.weight"}) {
        ModelFile file = make_random_model(small_shape());
        file.erase_tensor(name);
        expect_refused(file, PUNA_ERROR_MODEL, "tensor '" + std::string(name) + "' is missing");
    }
    // Without a tokenizer the embedding is also where the size of the vocabulary stands.
    ModelShape shape = small_shape();
    shape.with_tokenizer = false;
    ModelFile file = make_random_model(shape);
    file.erase("llama.vocab_size");
    file.erase_tensor("token_embd.weight");
    expect_refused(file, PUNA_ERROR_MODEL, "tensor 'token_embd.weight' is missing");
}

TEST_F(ModelLoaderTest, WrongShapesAreNamed) {
    struct Case {
        const char* name;
        std::vector<uint64_t> shape;
        const char* wanted;
    };
    for (const Case& c : {Case{"token_embd.weight", {32, 299}, "[32, 299, 1, 1]; [32, 300]"},
                          {"output.weight", {300, 32}, "[300, 32, 1, 1]; [32, 300]"},
                          {"output_norm.weight", {31}, "[31, 1, 1, 1]; [32, 1]"},
                          {"blk.1.attn_k.weight", {32, 32}, "[32, 32, 1, 1]; [32, 16]"},
                          {"blk.0.ffn_down.weight", {32, 48}, "[32, 48, 1, 1]; [48, 32]"},
                          {"blk.0.attn_q.weight", {32, 32, 2}, "[32, 32, 2, 1]; [32, 32]"},
                          {"blk.0.attn_v.bias", {32}, "[32, 1, 1, 1]; [16, 1]"}}) {
        ModelFile file = make_random_model(small_shape());
        size_t n = 1;
        for (const uint64_t side : c.shape) n *= side;
        file.add_tensor(c.name, c.shape, std::vector<float>(n), Encoding::kF32);
        expect_refused(
            file, PUNA_ERROR_MODEL,
            "tensor '" + std::string(c.name) + "': has the shape " + c.wanted + " is wanted");
    }
}

TEST_F(ModelLoaderTest, WrongTypesAreNamed) {
    ModelFile norm = make_random_model(small_shape());
    norm.add_tensor("output_norm.weight", {32}, std::vector<float>(32), Encoding::kQ8_0);
    expect_refused(norm, PUNA_ERROR_MODEL_UNSUPPORTED,
                   "tensor 'output_norm.weight': is of type Q8_0; norms and biases are F32, F16 or "
                   "BF16");
    ModelFile matrix = make_random_model(small_shape());
    matrix.add_raw_tensor("blk.0.attn_q.weight", {32, 32}, 26, std::vector<uint8_t>(4096));
    expect_refused(matrix, PUNA_ERROR_MODEL_UNSUPPORTED,
                   "tensor 'blk.0.attn_q.weight': is of type I32, which is not supported");
}

TEST_F(ModelLoaderTest, UnknownTensorsAreNamed) {
    for (const char* name : {"extra.weight", "blk.2.attn_q.weight", "blk.0.ffn_gate_exps.weight",
                             "blk.00.attn_q.weight", "blk.2.attn_rot_embd", "blk.-1.attn_rot_embd",
                             "blk.", "blk.0", "blk.0.attn_rot_embd.bias"}) {
        ModelFile file = make_random_model(small_shape());
        file.add_tensor(name, {32, 32}, std::vector<float>(1024), Encoding::kF32);
        expect_refused(
            file, PUNA_ERROR_MODEL_UNSUPPORTED,
            "tensor '" + std::string(name) + "' is not known to the family 'llama' of 2 layers");
    }
    ModelFile file = make_random_model(small_shape());
    file.add_tensor("blk.1.attn_rot_embd", {4}, std::vector<float>(4), Encoding::kF32);
    file.add_tensor("blk.0.attn_rot_embd.weight", {4}, std::vector<float>(4), Encoding::kF32);
    MemorySource memory(file);
    EXPECT_TRUE(load(memory).ok());
}

TEST_F(ModelLoaderTest, NoSourcesAndForeignFamilies) {
    EXPECT_EQ(load(std::span<const puna_source>()).status().code(), PUNA_ERROR_ARGUMENT);
    ModelFile file = make_random_model(small_shape());
    file.set("general.architecture", std::string("qwen2"));
    MemorySource memory(file);
    EXPECT_EQ(load(memory).status().code(), PUNA_ERROR_MODEL_UNSUPPORTED);
}

// A damaged file ends in a status, whichever way it is read, and lets go of everything.
TEST_F(ModelLoaderTest, RandomChangesEndInAStatus) {
    const test::AlignedBytes original = make_random_model(small_shape()).bytes();
    SpanSource source(std::as_bytes(std::span(original)));
    const uint64_t n_header = read_gguf(source, "m")->data_offset();
    test::RandomNumbers random(3);
    int n_refused = 0;
    for (int i = 0; i < 600; ++i) {
        test::AlignedBytes bytes = original;
        bytes[random.below(n_header)] = static_cast<uint8_t>(random.next());
        MemorySource memory(bytes);
        const puna_source sources[] = {memory.in_place(), memory.by_callback()};
        const auto a = load({&sources[0], 1});
        const auto b = load({&sources[1], 1});
        ASSERT_EQ(a.status().code(), b.status().code());
        ASSERT_STREQ(a.status().text(), b.status().text());
        n_refused += !a.ok();
    }
    EXPECT_GT(n_refused, 100);
    EXPECT_EQ(allocator_.live_bytes(), 0u);
}

// --- vocabulary-only files and loads ------------------------------------------------------------

TEST_F(ModelLoaderTest, FilesWithoutTensorsLoadForTheirMetadata) {
    ModelFile file;
    file.set("general.architecture", std::string("gpt2"));  // a tokenizer needs no known family
    file.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
    MemorySource memory(file);
    const auto model = load(memory);
    ASSERT_TRUE(model.ok()) << model.status().text();
    EXPECT_FALSE((*model)->has_weights());
    EXPECT_EQ((*model)->metadata().get_strings("tokenizer.ggml.tokens")->size(), 2u);
    EXPECT_TRUE((*model)->tensors.empty());
}

TEST_F(ModelLoaderTest, VocabularyOnlyLooksAtNoTensors) {
    ModelFile file = make_random_model(small_shape());
    file.erase_tensor("output_norm.weight");
    file.erase("llama.block_count");
    MemorySource memory(file);
    const puna_source source = memory.by_callback();
    LoadOptions options;
    options.contents = ModelContents::kVocabulary;
    const auto model = load({&source, 1}, options);
    ASSERT_TRUE(model.ok()) << model.status().text();
    EXPECT_FALSE((*model)->has_weights());
    EXPECT_EQ(allocator_.live_bytes(), 0u);
}

TEST_F(ModelLoaderTest, SharedFilesLoad) {
    const std::string vocabulary = test::shared_file("vocab/ggml-vocab-llama-spm.gguf");
    const std::string stories = test::shared_file("models/stories260K.gguf");
    const std::string tiny = test::shared_file("models/tiny-q8_0.gguf");
    if (vocabulary.empty() || stories.empty() || tiny.empty()) {
        GTEST_SKIP() << "needs the shared test material (PUNA_SHARED_DIR)";
    }
    puna_source source = PUNA_SOURCE_INIT;
    source.path = vocabulary.c_str();
    const auto vocabulary_model = load({&source, 1});
    ASSERT_TRUE(vocabulary_model.ok()) << vocabulary_model.status().text();
    EXPECT_EQ((*vocabulary_model)->metadata().get_strings("tokenizer.ggml.tokens")->size(), 32000u);

    source.path = stories.c_str();
    const auto stories_model = load({&source, 1});
    ASSERT_TRUE(stories_model.ok()) << stories_model.status().text();
    EXPECT_EQ((*stories_model)->spec.n_layer, 5);
    EXPECT_EQ((*stories_model)->spec.n_vocab, 512);
    EXPECT_TRUE((*stories_model)->tied_output);

    source.path = tiny.c_str();
    const auto tiny_model = load({&source, 1});
    ASSERT_TRUE(tiny_model.ok()) << tiny_model.status().text();
    EXPECT_EQ(find_tensor(**tiny_model, PUNA_TENSOR_FFN_DOWN, 1)->format, PUNA_FORMAT_Q8_0);
}

// The sizes of all block formats are right if the tensors of real files lie end to end.
TEST_F(ModelLoaderTest, TensorsOfFilesLieEndToEnd) {
    std::vector<std::string> paths = {test::project_file("examples/demo_model/demo.gguf"),
                                      test::project_file("examples/demo_model/demo-f16.gguf")};
    for (const char* type :
         {"f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k",
          "q6_k", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4"}) {
        paths.push_back(test::shared_file(std::string("models/tiny-") + type + ".gguf"));
    }
    for (const std::string& path : paths) {
        if (path.empty()) continue;  // no shared test material
        auto mapped = MappedFile::open(path);
        ASSERT_TRUE(mapped.ok()) << mapped.status().text();
        SpanSource source(mapped->bytes());
        const auto header = read_gguf(source, path.c_str());
        ASSERT_TRUE(header.ok()) << header.status().text();
        uint64_t at = header->data_offset();
        for (const GgufTensor& tensor : header->tensors()) {
            EXPECT_EQ(tensor.offset, at) << path << " " << tensor.name;
            at = (tensor.offset + tensor.n_bytes + 31) / 32 * 32;
        }
        EXPECT_EQ(at, source.size()) << path;
    }
}

TEST_F(ModelLoaderTest, TheDemoModelLoads) {
    const std::string path = test::project_file("examples/demo_model/demo.gguf");
    puna_source source = PUNA_SOURCE_INIT;
    source.path = path.c_str();
    const auto model = load({&source, 1});
    ASSERT_TRUE(model.ok()) << model.status().text();
    EXPECT_EQ((*model)->spec.n_vocab, 2048);
    EXPECT_LT((*model)->spec.n_head_kv, (*model)->spec.n_head);
    EXPECT_FALSE((*model)->tied_output);
    EXPECT_EQ(find_tensor(**model, PUNA_TENSOR_FFN_DOWN, 1)->format, PUNA_FORMAT_Q8_0);
    EXPECT_TRUE((*model)->metadata().get_string("tokenizer.chat_template").ok());
}

// --- split files --------------------------------------------------------------------------------

// Part `index` of a model cut by tensor name: the first layer, the second, the rest.
ModelFile part_of(const ModelFile& whole, uint16_t index, uint16_t n_parts, int32_t n_tensors) {
    ModelFile part = whole;
    MemorySource memory(whole);
    SpanSource source(std::as_bytes(std::span(memory.bytes())));
    const auto header = read_gguf(source, "whole");
    for (const GgufTensor& tensor : header->tensors()) {
        const uint16_t home = tensor.name.starts_with("blk.0.") ? 0
                              : tensor.name.starts_with("blk.") ? 1
                                                                : 2;
        if (home != index) part.erase_tensor(tensor.name);
    }
    part.set("split.no", index);
    part.set("split.count", n_parts);
    part.set("split.tensors.count", n_tensors);
    if (index != 0) part.erase("general.architecture");  // metadata stands in the first part
    return part;
}

TEST_F(ModelLoaderTest, SplitFilesAreMerged) {
    const ModelFile whole = make_random_model(small_shape());
    MemorySource memory(whole);
    const auto expected = load(memory);
    ASSERT_TRUE(expected.ok()) << expected.status().text();
    const int32_t n = 2 * 9 + 3;

    MemorySource a(part_of(whole, 0, 3, n));
    MemorySource b(part_of(whole, 1, 3, n));
    MemorySource c(part_of(whole, 2, 3, n));
    const puna_source good[] = {a.in_place(), b.by_callback(), c.in_place()};
    const auto model = load(good);
    ASSERT_TRUE(model.ok()) << model.status().text();
    EXPECT_EQ(weights_text(**model), weights_text(**expected));

    const puna_source swapped[] = {a.in_place(), c.in_place(), b.in_place()};
    const auto refused = load(swapped);
    EXPECT_EQ(refused.status().code(), PUNA_ERROR_MODEL);
    EXPECT_NE(std::strstr(refused.status().text(), "is part 2 in place of part 1"), nullptr)
        << refused.status().text();
    const puna_source alone[] = {a.in_place()};
    EXPECT_NE(std::strstr(load(alone).status().text(), "the model has 3 parts, 1 were given"),
              nullptr);
    ModelFile unmarked_part = part_of(whole, 1, 3, n);
    unmarked_part.erase("split.count");
    MemorySource unmarked(unmarked_part);
    const puna_source mixed[] = {a.in_place(), unmarked.in_place(), c.in_place()};
    EXPECT_NE(std::strstr(load(mixed).status().text(), "key 'split.count' is missing"), nullptr);
    MemorySource counted(part_of(whole, 2, 3, n + 1));
    const puna_source wrong[] = {a.in_place(), b.in_place(), counted.in_place()};
    EXPECT_NE(std::strstr(load(wrong).status().text(), "is 22, the parts hold 21 tensors"),
              nullptr);
    EXPECT_EQ(a.n_released(), 4);  // of `good` not yet
}

TEST_F(ModelLoaderTest, ATensorInTwoPartsIsRefused) {
    const ModelFile whole = make_random_model(small_shape());
    ModelFile second = part_of(whole, 1, 3, 22);
    second.add_tensor("output_norm.weight", {32}, std::vector<float>(32), Encoding::kF32);
    MemorySource a(part_of(whole, 0, 3, 22));
    MemorySource b(second);
    MemorySource c(part_of(whole, 2, 3, 22));
    const puna_source sources[] = {a.in_place(), b.in_place(), c.in_place()};
    const auto model = load(sources);
    EXPECT_STREQ(model.status().text(),
                 "source 2: tensor 'output_norm.weight' stands in source 1 too");
}

// --- progress -----------------------------------------------------------------------------------

struct Listener {
    static int32_t PUNA_CALL hear(float fraction, void* user) {
        auto& self = *static_cast<Listener*>(user);
        self.fractions.push_back(fraction);
        return fraction >= self.stop_at;
    }
    static int32_t PUNA_CALL interrupted(void* user) {
        auto& self = *static_cast<Listener*>(user);
        return ++self.n_polls > self.max_polls;
    }

    std::vector<float> fractions;
    float stop_at = 2;
    int n_polls = 0;
    int max_polls = INT32_MAX;
};

TEST_F(ModelLoaderTest, ProgressRisesFrom0To1) {
    ModelShape shape = small_shape();
    shape.n_ff = 5000;  // a few megabytes
    MemorySource memory(make_random_model(shape));
    for (const puna_source& source : {memory.in_place(), memory.by_callback()}) {
        Listener listener;
        LoadProgress progress(Listener::hear, &listener, nullptr, nullptr);
        const auto model = load_model({&source, 1}, {}, allocator_, progress);
        ASSERT_TRUE(model.ok()) << model.status().text();
        EXPECT_GE(listener.fractions.size(), 20u);
        EXPECT_EQ(listener.fractions.front(), 0.0f);
        EXPECT_EQ(listener.fractions.back(), 1.0f);
        EXPECT_TRUE(std::is_sorted(listener.fractions.begin(), listener.fractions.end()));
    }
}

TEST_F(ModelLoaderTest, TheCallbackStopsTheLoad) {
    ModelShape shape = small_shape();
    shape.n_ff = 20000;
    MemorySource memory(make_random_model(shape));
    const uint64_t size = memory.bytes().size();
    const puna_source source = memory.by_callback();
    Listener listener;
    listener.stop_at = 0.25f;
    LoadProgress progress(Listener::hear, &listener, nullptr, nullptr);
    const auto model = load_model({&source, 1}, {}, allocator_, progress);
    EXPECT_EQ(model.status().code(), PUNA_ERROR_CALLBACK_STOPPED);
    EXPECT_EQ(listener.fractions.back(), 0.25f);
    EXPECT_LT(memory.n_bytes_read(), size / 2);
    EXPECT_EQ(memory.n_released(), 1);
    EXPECT_EQ(allocator_.live_bytes(), 0u);
}

TEST_F(ModelLoaderTest, AReadThatFailsNamesTheSourceOnce) {
    for (int n_good = 0;; ++n_good) {
        MemorySource memory(make_random_model(small_shape()));
        memory.fail_from_read(n_good);
        const puna_source source = memory.by_callback();
        const auto model = load({&source, 1});
        if (model.ok()) {
            EXPECT_GE(n_good, 2);  // at least one for the header and one for the weights
            return;
        }
        EXPECT_EQ(model.status().code(), PUNA_ERROR_CALLBACK_STOPPED);
        const std::string text = model.status().text();
        EXPECT_TRUE(text.starts_with("source 0: the read callback failed on ")) << text;
    }
}

TEST_F(ModelLoaderTest, InterruptionCancelsTheLoad) {
    ModelShape shape = small_shape();
    shape.n_ff = 20000;
    MemorySource memory(make_random_model(shape));
    const puna_source source = memory.by_callback();
    Listener listener;
    listener.max_polls = 3;
    LoadProgress progress(nullptr, nullptr, Listener::interrupted, &listener);
    const auto model = load_model({&source, 1}, {}, allocator_, progress);
    EXPECT_EQ(model.status().code(), PUNA_ERROR_CANCELLED);
    EXPECT_EQ(memory.n_released(), 1);
    EXPECT_EQ(listener.n_polls, 4);
}

TEST(LoadProgress, StagesShareOneRise) {
    Listener listener;
    LoadProgress progress(Listener::hear, &listener, nullptr, nullptr);
    progress.set_stage(0, 0.5f);
    ASSERT_TRUE(progress.report(1).ok());
    EXPECT_EQ(listener.fractions.back(), 0.5f);
    progress.set_stage(0.5f, 1);
    ASSERT_TRUE(progress.report(0.5).ok());
    EXPECT_EQ(listener.fractions.back(), 0.75f);
    ASSERT_TRUE(progress.report(1).ok());
    EXPECT_EQ(listener.fractions.size(), 33u);
    EXPECT_EQ(listener.fractions.back(), 1.0f);
}

// Failing every allocation in turn leaves nothing behind.
struct FailingMemory {
    static void* alloc(void* user, size_t size, size_t alignment) {
        auto& self = *static_cast<FailingMemory*>(user);
        if (self.n_left-- == 0) return nullptr;
        return ::operator new(size, std::align_val_t(alignment));
    }
    static void free(void*, void* memory, size_t, size_t alignment) {
        ::operator delete(memory, std::align_val_t(alignment));
    }
    int n_left = 0;
};

TEST(ModelLoaderMemory, AFailedAllocationIsAStatus) {
    ModelFile file = make_random_model(small_shape());
    file.add_tensor("output_norm.weight", {32}, std::vector<float>(32, 1), Encoding::kF16);
    for (int n = 0;; ++n) {
        ASSERT_LT(n, 10);
        MemorySource memory(file);
        FailingMemory failing{n};
        Allocator allocator({FailingMemory::alloc, FailingMemory::free, &failing});
        {
            LoadProgress progress;
            const puna_source source = memory.by_callback();
            const auto model = load_model({&source, 1}, {}, allocator, progress);
            if (model.ok()) {
                EXPECT_EQ(n, 2);  // the weights and the converted norm
                return;
            }
            EXPECT_EQ(model.status().code(), PUNA_ERROR_OUT_OF_MEMORY);
        }
        EXPECT_EQ(allocator.live_bytes(), 0u);
        EXPECT_EQ(memory.n_released(), 1);
    }
}

}  // namespace
}  // namespace puna::core
