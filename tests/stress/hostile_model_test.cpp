// A complete model, damaged in every way: a status or a working model each time, never a signal,
// and no more memory than the file warrants.
#include <chrono>
#include <cstring>

#include "stress/counted_new.h"
#include "stress/stress_fixture.h"
#include "support/model_source.h"
#include "support/temp_folder.h"

namespace puna::test {
namespace {

constexpr int64_t kMemoryLimit = int64_t{64} << 20;  // beyond the file

ModelShape tiny_shape() {
    ModelShape shape;
    shape.n_embd = 8;
    shape.n_layer = 2;
    shape.n_head = 2;
    shape.n_head_kv = 1;
    shape.n_ff = 8;
    shape.n_vocab = 40;
    shape.n_ctx_train = 64;
    shape.matrix_encoding = Encoding::kF16;
    shape.embedding_encoding = Encoding::kF16;
    shape.biases = true;
    shape.rope_scaling = RopeScaling::kLlama3;
    shape.tied_output = true;
    return shape;
}

class HostileModelTest : public testing::Test {
  protected:
    HostileModelTest() {
        const puna_runtime_options options = hooks_.options(1);
        EXPECT_EQ(puna_runtime_create(&options, &runtime_, nullptr), PUNA_OK);
    }
    ~HostileModelTest() override {
        puna_runtime_destroy(runtime_);
        EXPECT_EQ(hooks_.n_live_bytes, 0);
    }

    // Loads it, says three tokens if that works, and checks that everything comes back.
    puna_status use(const puna_source& source) {
        const int64_t blocks = live_new_blocks();
        const int64_t bytes = live_new_bytes();
        reset_peak_new_bytes();
        hooks_.peak_bytes = hooks_.n_live_bytes.load();
        const auto begin = std::chrono::steady_clock::now();
        puna_error error = PUNA_ERROR_INIT;
        puna_model* model = nullptr;
        const puna_status status = puna_model_load(runtime_, &source, 1, nullptr, &model, &error);
        if (status == PUNA_OK) {
            ++n_loaded_;
            generate(model);
        } else {
            // The text of a refusal is one line and says something.
            EXPECT_NE(error.message[0], '\0') << status;
            EXPECT_EQ(std::strchr(error.message, '\n'), nullptr);
        }
        puna_model_destroy(model);
        // What goes through the hook comes from operator new, so that this is both.
        EXPECT_LT(peak_new_bytes() - bytes, static_cast<int64_t>(source.length) + kMemoryLimit);
        EXPECT_EQ(live_new_blocks(), blocks);
        EXPECT_EQ(hooks_.n_live_bytes, 0);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
        EXPECT_LT(spent.count(), 10.0);
        return status;
    }
    puna_status use(AlignedBytes& bytes) {
        puna_source source = PUNA_SOURCE_INIT;
        source.memory = bytes.data();
        source.length = bytes.size();
        return use(source);
    }

    void generate(puna_model* model) {
        puna_model_info info = PUNA_MODEL_INFO_INIT;
        EXPECT_EQ(puna_model_get_info(model, &info, nullptr), PUNA_OK);
        look_around(model, info);
        puna_context_options options = PUNA_CONTEXT_OPTIONS_INIT;
        options.n_ctx = 16;
        puna_context* context = nullptr;
        puna_sequence* sequence = nullptr;
        puna_generation* generation = nullptr;
        if (puna_context_create(model, &options, &context, nullptr) == PUNA_OK) {
            EXPECT_EQ(puna_sequence_create(context, &sequence, nullptr), PUNA_OK);
            const puna_generation_options greedily = greedy(3);
            const int32_t prompt[] = {0, info.n_vocab - 1, info.n_vocab / 2};
            if (puna_generation_start_text(sequence, "hello", 5, PUNA_TOKENIZE_PARSE_SPECIAL,
                                           &greedily, &generation, nullptr) != PUNA_OK) {
                EXPECT_EQ(
                    puna_generation_start(sequence, prompt, 3, &greedily, &generation, nullptr),
                    PUNA_OK);
            }
            puna_event event = PUNA_EVENT_INIT;
            for (int i = 0; i < 8 && event.kind != PUNA_EVENT_DONE; ++i) {
                if (puna_generation_next(generation, 0, &event, nullptr) != PUNA_OK) break;
            }
        }
        puna_generation_destroy(generation);
        puna_sequence_destroy(sequence);
        puna_context_destroy(context);
    }

    // The getters, which must not trust the file either.
    static void look_around(puna_model* model, const puna_model_info& info) {
        char text[256];
        int32_t tokens[64];
        int32_t n = 0;
        puna_tensor_info tensor = PUNA_TENSOR_INFO_INIT;
        for (int32_t i = 0; i < puna_model_n_tensors(model); ++i) {
            EXPECT_EQ(puna_model_tensor(model, i, &tensor, nullptr), PUNA_OK);
        }
        for (int32_t i = 0; i < puna_model_n_metadata(model); ++i) {
            size_t size = 0;
            if (puna_model_metadata_key(model, i, text, sizeof text, &size, nullptr) != PUNA_OK) {
                continue;
            }
            char value[64];
            puna_model_metadata_value(model, text, size, value, sizeof value, &size, nullptr);
        }
        puna_model_tokenize(model, "a b<s>\xFF", 7, PUNA_TOKENIZE_PARSE_SPECIAL, tokens, 64, &n,
                            nullptr);
        const int32_t last = info.n_vocab - 1;
        puna_model_detokenize(model, &last, 1, PUNA_DETOKENIZE_SPECIAL, text, sizeof text, nullptr,
                              nullptr);
    }

    Hooks hooks_;
    puna_runtime* runtime_ = nullptr;
    AlignedBytes bytes_ = make_random_model(tiny_shape()).bytes();
    int n_loaded_ = 0;
};

TEST_F(HostileModelTest, TheWholeModelIsSmallAndWorks) {
    EXPECT_LE(bytes_.size(), size_t{8192});
    EXPECT_EQ(use(bytes_), PUNA_OK);
}

TEST_F(HostileModelTest, EveryTruncation) {
    for (size_t size = 0; size < bytes_.size(); ++size) {
        // In a block of its own size, so that a read behind the end is one of the heap.
        AlignedBytes cut(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(size));
        const puna_status status = use(cut);
        ASSERT_FALSE(HasFailure()) << size;
        ASSERT_TRUE(status == PUNA_ERROR_TRUNCATED || status == PUNA_ERROR_ARGUMENT ||
                    status == PUNA_ERROR_FORMAT || status == PUNA_OK)
            << size << ": " << status;
        // Only the padding behind the last tensor may be missing.
        if (status == PUNA_OK) {
            ASSERT_GT(size + 32, bytes_.size());
        }
    }
}

TEST_F(HostileModelTest, TwentyThousandRandomBytes) {
    RandomNumbers random(1);
    for (int round = 0; round < 20000; ++round) {
        AlignedBytes damaged = bytes_;
        const uint64_t n_changes = 1 + random.below(round % 4 == 0 ? 8 : 1);
        for (uint64_t i = 0; i < n_changes; ++i) {
            damaged[random.below(damaged.size())] = static_cast<uint8_t>(random.next());
        }
        use(damaged);
        ASSERT_FALSE(HasFailure()) << round;
    }
    EXPECT_GT(n_loaded_, 1000);  // weights and texts that are other ones, but no nonsense
}

// Numbers of the header become the ones that break sums: every aligned and unaligned word in turn.
TEST_F(HostileModelTest, EveryWordOfTheHeaderBecomesAnExtreme) {
    // The header ends at the weights, which fill the last part; all of it is tried.
    const uint64_t extremes[] = {0,
                                 1,
                                 0x7f,
                                 0x80,
                                 0xff,
                                 0xffff,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x100000000,
                                 0x7fffffffffffffff,
                                 0xffffffffffffffff};
    RandomNumbers random(2);
    for (size_t at = 0; at + 8 <= bytes_.size(); ++at) {
        // One width and two values per place keep it quick; the seed makes it the same each time.
        const size_t width = size_t{1} << random.below(4);
        for (int pick = 0; pick < 2; ++pick) {
            AlignedBytes damaged = bytes_;
            const uint64_t value = extremes[random.below(std::size(extremes))];
            for (size_t i = 0; i < width; ++i) {
                damaged[at + i] = static_cast<uint8_t>(value >> 8 * i);
            }
            use(damaged);
            ASSERT_FALSE(HasFailure()) << at << " " << width << " " << value;
        }
    }
}

// Hyper-parameters that contradict nothing in the file and are as large as they can be.
TEST_F(HostileModelTest, HugeNumbersThatAreConsistent) {
    const uint32_t sizes[] = {0,       1,        2,          3,          64,         0xffff,
                              0x10000, 0xffffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (const char* key :
         {"llama.context_length", "llama.embedding_length", "llama.block_count",
          "llama.feed_forward_length", "llama.attention.head_count",
          "llama.attention.head_count_kv", "llama.attention.key_length",
          "llama.attention.value_length", "llama.rope.dimension_count", "llama.vocab_size",
          "llama.rope.scaling.original_context_length", "general.alignment",
          "tokenizer.ggml.bos_token_id", "tokenizer.ggml.unknown_token_id", "split.count"}) {
        for (const uint32_t size : sizes) {
            ModelFile file = make_random_model(tiny_shape());
            file.set(key, size);
            AlignedBytes bytes = file.bytes();
            use(bytes);
            ASSERT_FALSE(HasFailure()) << key << " " << size;
        }
    }
    // A vocabulary far larger than the embedding, and an embedding far larger than the vocabulary.
    ModelFile file = make_random_model(tiny_shape());
    file.set("tokenizer.ggml.tokens", std::vector<std::string>(60000));
    AlignedBytes bytes = file.bytes();
    EXPECT_NE(use(bytes), PUNA_OK);
}

TEST_F(HostileModelTest, ADefaultContextOfAModelWithTheLongestContext) {
    ModelFile file = make_random_model(tiny_shape());
    file.set("llama.context_length", uint32_t{1} << 24);
    MemorySource memory(file);
    const puna_source source = memory.in_place();
    puna_model* model = nullptr;
    ASSERT_EQ(puna_model_load(runtime_, &source, 1, nullptr, &model, nullptr), PUNA_OK);
    reset_peak_new_bytes();
    const int64_t before = live_new_bytes();
    puna_context* context = nullptr;
    EXPECT_EQ(puna_context_create(model, nullptr, &context, nullptr), PUNA_OK);
    EXPECT_LT(peak_new_bytes() - before, kMemoryLimit);
    puna_context_destroy(context);
    puna_model_destroy(model);
}

TEST_F(HostileModelTest, TheSameFromAFileAndByCallback) {
    const core::test::TempFolder folder;
    RandomNumbers random(3);
    for (int round = 0; round < 400; ++round) {
        AlignedBytes damaged = bytes_;
        if (round % 3 == 0) {
            damaged.resize(random.below(damaged.size() - 1) + 1);
        } else {
            damaged[random.below(damaged.size() / 2)] = static_cast<uint8_t>(random.next());
        }
        const TemporaryFile file(folder.path("model.gguf"), damaged);
        MemorySource memory(damaged);
        puna_source by_path = PUNA_SOURCE_INIT;
        by_path.path = file.path().c_str();
        const puna_status in_place = use(memory.in_place());
        EXPECT_EQ(use(memory.by_callback()), in_place) << round;
        EXPECT_EQ(use(by_path), in_place) << round;
        ASSERT_FALSE(HasFailure()) << round;
    }
}

}  // namespace
}  // namespace puna::test
