#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/random_numbers.h"
#include "support/vocabulary_file.h"

namespace puna::core {
namespace {

using test::load_vocabulary;
using test::ModelFile;
using test::VocabularyFile;

void expect_refused(const ModelFile& file, puna_status code, const std::string& reason) {
    const auto vocabulary = test::try_load_vocabulary(file);
    ASSERT_FALSE(vocabulary.ok()) << "wanted: " << reason;
    const std::string text = vocabulary.status().text();
    EXPECT_EQ(vocabulary.status().code(), code) << text;
    EXPECT_NE(text.find(reason), std::string::npos) << text << "\nwanted: " << reason;
    EXPECT_EQ(text.rfind("test.gguf: ", 0), 0u) << text;
}

TEST(Vocabulary, MeansSpmDefaultsWhereKeysAreMissing) {
    const Vocabulary vocabulary = load_vocabulary(VocabularyFile().file());
    EXPECT_EQ(vocabulary.tokenizer_kind(), TokenizerKind::kSpm);
    EXPECT_TRUE(vocabulary.check_tokenizer().ok());
    EXPECT_EQ(vocabulary.n_vocab(), 3u);
    EXPECT_EQ(vocabulary.special().unk, 0);
    EXPECT_EQ(vocabulary.special().bos, 1);
    EXPECT_EQ(vocabulary.special().eos, 2);
    EXPECT_EQ(vocabulary.special().eot, kNoToken);
    EXPECT_EQ(vocabulary.special().eom, kNoToken);
    EXPECT_EQ(vocabulary.special().pad, kNoToken);
    EXPECT_TRUE(vocabulary.rules().add_bos);
    EXPECT_FALSE(vocabulary.rules().add_eos);
    EXPECT_TRUE(vocabulary.rules().add_space_prefix);
}

TEST(Vocabulary, ReadsSpecialTokensAndRules) {
    VocabularyFile tokens;
    for (const char* text : {"a", "b", "c", "d", "e", "f"}) tokens.add(text);
    ModelFile file = tokens.file();
    file.set("tokenizer.ggml.bos_token_id", uint32_t{3});
    file.set("tokenizer.ggml.eos_token_id", uint32_t{4});
    file.set("tokenizer.ggml.eot_token_id", uint32_t{5});
    file.set("tokenizer.ggml.eom_token_id", uint32_t{6});
    file.set("tokenizer.ggml.unknown_token_id", uint32_t{7});
    file.set("tokenizer.ggml.padding_token_id", uint32_t{8});
    file.set("tokenizer.ggml.add_bos_token", false);
    file.set("tokenizer.ggml.add_eos_token", true);
    file.set("tokenizer.ggml.add_space_prefix", false);
    const Vocabulary vocabulary = load_vocabulary(file);
    EXPECT_EQ(vocabulary.special().bos, 3);
    EXPECT_EQ(vocabulary.special().eos, 4);
    EXPECT_EQ(vocabulary.special().eot, 5);
    EXPECT_EQ(vocabulary.special().eom, 6);
    EXPECT_EQ(vocabulary.special().unk, 7);
    EXPECT_EQ(vocabulary.special().pad, 8);
    EXPECT_FALSE(vocabulary.rules().add_bos);
    EXPECT_TRUE(vocabulary.rules().add_eos);
    EXPECT_FALSE(vocabulary.rules().add_space_prefix);
    // </s> by its text, the others by the keys; BOS, the unknown token and padding are no end.
    for (int32_t id = 0; id < 9; ++id) {
        EXPECT_EQ(vocabulary.is_end(id), id == 2 || id == 4 || id == 5 || id == 6) << id;
    }
    EXPECT_FALSE(vocabulary.is_end(kNoToken));
    EXPECT_FALSE(vocabulary.is_end(9));
}

TEST(Vocabulary, KnowsEachKindOfToken) {
    VocabularyFile tokens;
    const int32_t normal = tokens.add(" word", -1.5f);
    const int32_t user = tokens.add("<tool>", 0.0f, TokenKind::kUserDefined);
    const int32_t unused = tokens.add("later", -7.0f, TokenKind::kUnused);
    const int32_t byte = tokens.add("<0xaB>", 0.0f, TokenKind::kByte);
    const int32_t empty = tokens.add("");
    tokens.add("");
    const Vocabulary vocabulary = load_vocabulary(tokens.file());

    EXPECT_EQ(vocabulary.text(normal), "\xE2\x96\x81word");
    EXPECT_EQ(vocabulary.score(normal), -1.5f);
    EXPECT_EQ(vocabulary.score(unused), -7.0f);
    EXPECT_EQ(vocabulary.byte_value(byte), 0xAB);
    EXPECT_EQ(vocabulary.text(empty), "");
    EXPECT_EQ(vocabulary.kind(0), TokenKind::kUnknown);
    EXPECT_EQ(vocabulary.kind(1), TokenKind::kControl);
    EXPECT_EQ(vocabulary.kind(normal), TokenKind::kNormal);
    EXPECT_EQ(vocabulary.kind(user), TokenKind::kUserDefined);
    EXPECT_EQ(vocabulary.kind(unused), TokenKind::kUnused);
    EXPECT_EQ(vocabulary.kind(byte), TokenKind::kByte);
    EXPECT_TRUE(vocabulary.contains(empty + 1));
    EXPECT_FALSE(vocabulary.contains(empty + 2));
    EXPECT_FALSE(vocabulary.contains(-1));

    for (int32_t id = 0; id < empty; ++id) {
        EXPECT_EQ(vocabulary.find(vocabulary.text(id)), id);
        const bool plain = id == normal || id == user || id == unused;
        EXPECT_EQ(vocabulary.find_plain(vocabulary.text(id)), plain ? id : kNoToken);
    }
    EXPECT_EQ(vocabulary.find(""), kNoToken);
    EXPECT_EQ(vocabulary.find("wor"), kNoToken);
    EXPECT_EQ(vocabulary.byte_token(0xAB), byte);
    EXPECT_EQ(vocabulary.byte_token(0xAC), kNoToken);
}

TEST(Vocabulary, MapsBytesToByteTokensOrSingleByteTexts) {
    VocabularyFile tokens;
    const int32_t x = tokens.add("x");
    tokens.add("y");
    const int32_t y_byte = tokens.add("<0x79>", 0.0f, TokenKind::kByte);
    tokens.add("z", 0.0f, TokenKind::kControl);
    const Vocabulary vocabulary = load_vocabulary(tokens.file());
    EXPECT_EQ(vocabulary.byte_token('x'), x);
    EXPECT_EQ(vocabulary.byte_token('y'), y_byte);
    EXPECT_EQ(vocabulary.byte_token('z'), kNoToken);
}

TEST(Vocabulary, InfersKindsThatTheFileLacks) {
    VocabularyFile tokens;
    tokens.add_bytes();
    const int32_t word = tokens.add("word");
    const int32_t near_byte = tokens.add("<0x1>");
    ModelFile file = tokens.file();
    file.erase("tokenizer.ggml.token_type");
    const Vocabulary vocabulary = load_vocabulary(file);
    EXPECT_EQ(vocabulary.kind(0), TokenKind::kUnknown);
    EXPECT_EQ(vocabulary.kind(1), TokenKind::kControl);
    EXPECT_EQ(vocabulary.kind(2), TokenKind::kControl);
    EXPECT_EQ(vocabulary.kind(3), TokenKind::kByte);
    EXPECT_EQ(vocabulary.byte_value(3 + 0x0A), 0x0A);
    EXPECT_EQ(vocabulary.byte_token(0xFF), 3 + 0xFF);
    EXPECT_EQ(vocabulary.kind(word), TokenKind::kNormal);
    EXPECT_EQ(vocabulary.kind(near_byte), TokenKind::kNormal);
}

TEST(Vocabulary, EndsAtKnownMarkersWhateverTheirType) {
    const char* markers[] = {"<|im_end|>",      "<|eot_id|>",        "<|eom_id|>", "<|end|>",
                             "<end_of_turn>",   "<|endoftext|>",     "<EOT>",      " <EOT>",
                             "<|end_of_text|>", "<end_of_utterance>"};
    for (const char* marker : markers) {
        VocabularyFile tokens;
        const int32_t id = tokens.add(marker, 0.0f, TokenKind::kUserDefined);
        const int32_t other = tokens.add("<|im_start|>", 0.0f, TokenKind::kControl);
        const Vocabulary vocabulary = load_vocabulary(tokens.file());
        EXPECT_TRUE(vocabulary.is_end(id)) << marker;
        EXPECT_EQ(vocabulary.kind(id), TokenKind::kControl) << marker;
        EXPECT_TRUE(vocabulary.is_end(2));
        EXPECT_FALSE(vocabulary.is_end(other));
        const bool is_eom = std::string(marker) == "<|eom_id|>";
        EXPECT_EQ(vocabulary.special().eot, is_eom ? kNoToken : id) << marker;
        EXPECT_EQ(vocabulary.special().eom, is_eom ? id : kNoToken) << marker;
    }
}

TEST(Vocabulary, FindsTheLongestSpecialToken) {
    VocabularyFile tokens;
    const int32_t open = tokens.add("<|", 0.0f, TokenKind::kUserDefined);
    const int32_t user = tokens.add("<|user|>", 0.0f, TokenKind::kControl);
    const int32_t us = tokens.add("<|us", 0.0f, TokenKind::kControl);
    tokens.add("plain");
    tokens.add("", 0.0f, TokenKind::kUserDefined);
    const Vocabulary vocabulary = load_vocabulary(tokens.file());
    EXPECT_EQ(vocabulary.find_special("<|user|> hi", true), user);
    EXPECT_EQ(vocabulary.find_special("<|user|>", true), user);
    EXPECT_EQ(vocabulary.find_special("<|user|", true), us);
    EXPECT_EQ(vocabulary.find_special("<|u", true), open);
    EXPECT_EQ(vocabulary.find_special("<|user|> hi", false), open);
    EXPECT_EQ(vocabulary.find_special("<", true), kNoToken);
    EXPECT_EQ(vocabulary.find_special("", true), kNoToken);
    EXPECT_EQ(vocabulary.find_special("plain", true), kNoToken);
    EXPECT_EQ(vocabulary.find_special("<unk>", true), 0);
    EXPECT_EQ(vocabulary.find_special("<unk>", false), kNoToken);
    EXPECT_EQ(vocabulary.find_special("<s>", true), 1);
    EXPECT_EQ(vocabulary.find_special("\xFF", true), kNoToken);
}

TEST(Vocabulary, FindsEveryTextOfALargeVocabulary) {
    test::RandomNumbers random(7);
    VocabularyFile tokens;
    for (int i = 0; i < 20000; ++i) {
        std::string text = std::to_string(i) + "-";
        for (uint64_t n = random.below(6); n > 0; --n) {
            text += static_cast<char>(random.below(256));
        }
        tokens.add(text);
    }
    const Vocabulary vocabulary = load_vocabulary(tokens.file());
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.n_vocab()); ++id) {
        const std::string text(vocabulary.text(id));
        ASSERT_EQ(vocabulary.find(text), id);
        ASSERT_EQ(vocabulary.find(text + "~"), kNoToken);
    }
}

TEST(Vocabulary, KnowsOnlyTheSizeWithoutATokenizer) {
    for (const char* model : {"", "none", "no_vocab"}) {
        ModelFile file;
        file.set("general.architecture", "llama");
        if (*model != '\0') file.set("tokenizer.ggml.model", model);
        EXPECT_EQ(load_vocabulary(file).n_vocab(), 0u);
        file.set("llama.vocab_size", uint32_t{32000});
        const Vocabulary vocabulary = load_vocabulary(file);
        EXPECT_EQ(vocabulary.n_vocab(), 32000u);
        EXPECT_FALSE(vocabulary.has_texts());
        EXPECT_FALSE(vocabulary.contains(0));
        EXPECT_EQ(vocabulary.find("a"), kNoToken);
        EXPECT_EQ(vocabulary.find_special("a", true), kNoToken);
        EXPECT_EQ(vocabulary.byte_token(0), kNoToken);
        EXPECT_EQ(vocabulary.special().bos, kNoToken);
        const Status status = vocabulary.check_tokenizer();
        EXPECT_EQ(status.code(), PUNA_ERROR_MODEL_UNSUPPORTED);
        EXPECT_NE(std::string(status.text()).find("tokenizer.ggml.model"), std::string::npos);
        file.set("llama.vocab_size", Vocabulary::kMaxTokens + 1);
        expect_refused(file, PUNA_ERROR_MODEL_UNSUPPORTED, "llama.vocab_size");
    }
}

TEST(Vocabulary, ReadsTextsOfOtherTokenizers) {
    VocabularyFile tokens{VocabularyFile::Empty{}};
    tokens.add("hello");
    tokens.add("<|endoftext|>", 0.0f, TokenKind::kControl);
    ModelFile file = tokens.file();
    file.set("tokenizer.ggml.model", "gpt2");
    file.erase("tokenizer.ggml.scores");
    file.set("tokenizer.ggml.eos_token_id", uint32_t{1});
    const Vocabulary vocabulary = load_vocabulary(file);
    EXPECT_EQ(vocabulary.tokenizer_kind(), TokenizerKind::kOther);
    EXPECT_EQ(vocabulary.text(0), "hello");
    EXPECT_EQ(vocabulary.find("hello"), 0);
    EXPECT_TRUE(vocabulary.is_end(1));
    EXPECT_EQ(vocabulary.special().bos, kNoToken);
    EXPECT_EQ(vocabulary.special().unk, kNoToken);
    EXPECT_FALSE(vocabulary.rules().add_bos);
    EXPECT_FALSE(vocabulary.rules().add_space_prefix);
    const Status status = vocabulary.check_tokenizer();
    EXPECT_EQ(status.code(), PUNA_ERROR_MODEL_UNSUPPORTED);
    EXPECT_NE(std::string(status.text()).find("tokenizer.ggml.model is 'gpt2'"), std::string::npos);
}

TEST(Vocabulary, ParsesByteTokensStrictly) {
    EXPECT_EQ(parse_byte_token("<0x00>"), 0);
    EXPECT_EQ(parse_byte_token("<0xFf>"), 255);
    EXPECT_EQ(parse_byte_token("<0x1a>"), 26);
    for (const char* text : {"<0x-1>", "<0x+1>", "<0x 1>", "<0x1>", "<0x123>", "<0xG0>", "<0x0G>",
                             "<0X41>", "0x4100", "<0x41>>", "<0x41", "", "<0x0x>", "[0x41>"}) {
        EXPECT_EQ(parse_byte_token(text), -1) << text;
    }
}

TEST(Vocabulary, RefusesByteTokensThatAreNone) {
    for (const char* text : {"<0x-1>", "<0x+1>", "<0x1>", "<0x123>", "<0xG0>", "<0X41>", "A", ""}) {
        VocabularyFile tokens;
        tokens.add(text, 0.0f, TokenKind::kByte);
        expect_refused(tokens.file(), PUNA_ERROR_MODEL, "token 3 a byte");
    }
}

TEST(Vocabulary, RefusesArraysOfWrongTypeOrLength) {
    using Edit = std::function<void(ModelFile&)>;
    struct Case {
        const char* key;
        puna_status code;
        Edit edit;
    };
    static constexpr char kTokens[] = "tokenizer.ggml.tokens";
    static constexpr char kScores[] = "tokenizer.ggml.scores";
    static constexpr char kTypes[] = "tokenizer.ggml.token_type";
    const auto put = [](const char* key, const test::MetadataArray& values) {
        return Edit([=](ModelFile& file) { file.set(key, values); });
    };
    const Case cases[] = {
        {kTokens, PUNA_ERROR_MODEL, [](ModelFile& file) { file.erase(kTokens); }},
        {kTokens, PUNA_ERROR_MODEL, put(kTokens, std::vector<std::string>{})},
        {kTokens, PUNA_ERROR_FORMAT, put(kTokens, std::vector<uint64_t>(3))},
        {kTokens, PUNA_ERROR_FORMAT, [](ModelFile& file) { file.set(kTokens, "abc"); }},
        {kScores, PUNA_ERROR_MODEL, [](ModelFile& file) { file.erase(kScores); }},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<float>(2))},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<float>(4))},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<float>{})},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<uint8_t>(3))},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<double>(3))},
        {kScores, PUNA_ERROR_FORMAT, put(kScores, std::vector<std::string>(3))},
        {kTypes, PUNA_ERROR_FORMAT, put(kTypes, std::vector<int32_t>(2))},
        {kTypes, PUNA_ERROR_FORMAT, put(kTypes, std::vector<int32_t>(4))},
        {kTypes, PUNA_ERROR_FORMAT, put(kTypes, std::vector<float>(3))},
        {kTypes, PUNA_ERROR_FORMAT, put(kTypes, std::vector<std::string>(3))},
    };
    for (const Case& hostile : cases) {
        ModelFile file = VocabularyFile().file();
        hostile.edit(file);
        expect_refused(file, hostile.code, hostile.key);
    }
}

TEST(Vocabulary, RefusesScoresThatAreNoNumbers) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float score : {std::nanf(""), kInfinity, -kInfinity}) {
        VocabularyFile tokens;
        tokens.add("a", score);
        expect_refused(tokens.file(), PUNA_ERROR_MODEL, "token 3 a score");
    }
}

TEST(Vocabulary, RefusesUnknownTypes) {
    for (const int32_t type : {-1, 7, 99, INT32_MIN, INT32_MAX}) {
        ModelFile file = VocabularyFile().file();
        file.set("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, type});
        expect_refused(file, PUNA_ERROR_MODEL, "token 2 the type " + std::to_string(type));
    }
    ModelFile file = VocabularyFile().file();
    file.set("tokenizer.ggml.token_type", std::vector<int32_t>{2, 0, 3});
    EXPECT_EQ(load_vocabulary(file).kind(1), TokenKind::kNormal);
}

TEST(Vocabulary, RefusesSpecialTokensOutsideTheVocabulary) {
    for (const char* name : {"bos", "eos", "eot", "eom", "unknown", "padding"}) {
        const std::string key = "tokenizer.ggml." + std::string(name) + "_token_id";
        for (const uint32_t id : {3u, 0x80000000u, 0xFFFFFFFFu}) {
            ModelFile file = VocabularyFile().file();
            file.set(key, id);
            expect_refused(file, PUNA_ERROR_MODEL, key);
        }
        ModelFile file = VocabularyFile().file();
        file.set(key, int32_t{-1});
        expect_refused(file, PUNA_ERROR_FORMAT, key);
    }
}

TEST(Vocabulary, RefusesRulesItCannotFollow) {
    VocabularyFile tokens{VocabularyFile::Empty{}};
    tokens.add("a");
    ModelFile file = tokens.file();
    expect_refused(file, PUNA_ERROR_MODEL, "tokenizer.ggml.add_bos_token");
    file.set("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(load_vocabulary(file).special().bos, kNoToken);
    file.set("tokenizer.ggml.add_eos_token", true);
    expect_refused(file, PUNA_ERROR_MODEL, "tokenizer.ggml.add_eos_token");
    file.set("tokenizer.ggml.add_eos_token", uint32_t{1});
    expect_refused(file, PUNA_ERROR_FORMAT, "tokenizer.ggml.add_eos_token");
    file.set("tokenizer.ggml.model", uint32_t{1});
    expect_refused(file, PUNA_ERROR_FORMAT, "tokenizer.ggml.model");
}

TEST(Vocabulary, RefusesOneTextForTwoTokens) {
    VocabularyFile tokens;
    for (const char* text : {"one", "two", "three", "two"}) tokens.add(text);
    expect_refused(tokens.file(), PUNA_ERROR_MODEL, "two tokens, 4 and 6");
}

TEST(Vocabulary, RefusesTooMuchText) {
    VocabularyFile fits;
    fits.add(std::string(Vocabulary::kMaxTokenBytes, 'a'));
    EXPECT_EQ(load_vocabulary(fits.file()).text(3).size(), Vocabulary::kMaxTokenBytes);
    VocabularyFile too_long;
    too_long.add(std::string(Vocabulary::kMaxTokenBytes + 1, 'a'));
    expect_refused(too_long.file(), PUNA_ERROR_MODEL, "a token of 4097 bytes");

    VocabularyFile too_much;
    for (size_t n = 0; n <= Vocabulary::kMaxTextBytes / Vocabulary::kMaxTokenBytes; ++n) {
        std::string text = std::to_string(n);
        text.resize(Vocabulary::kMaxTokenBytes, 'a');
        too_much.add(text);
    }
    expect_refused(too_much.file(), PUNA_ERROR_MODEL, "all 16777216");

    ModelFile too_many = VocabularyFile().file();
    std::vector<uint8_t> array(4 + 8 + size_t{8} * (Vocabulary::kMaxTokens + 1));
    array[0] = 8;  // of strings, all of them empty
    array[4] = 1;
    static_assert(Vocabulary::kMaxTokens == 1u << 21);
    array[4 + 2] = 1 << 5;
    too_many.set_raw("tokenizer.ggml.tokens", 9, array);
    expect_refused(too_many, PUNA_ERROR_MODEL, "has 2097153 tokens");
}

}  // namespace
}  // namespace puna::core
