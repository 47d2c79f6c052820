#include "text/spm_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/utf8.h"
#include "support/random_numbers.h"
#include "support/random_vocabulary.h"
#include "support/shared_files.h"
#include "support/vocabulary_file.h"
#include "text/detokenizer.h"

namespace puna::core {
namespace {

using test::load_vocabulary;
using test::VocabularyFile;

using Ids = std::vector<int32_t>;
using Options = SpmTokenizer::Options;

constexpr Options kPlain = {.add_special = false, .parse_special = false};
constexpr Options kParse = {.add_special = false, .parse_special = true};
constexpr Options kAdd = {.add_special = true, .parse_special = false};
constexpr Options kAddParse = {.add_special = true, .parse_special = true};

constexpr int32_t kUnk = 0;
constexpr int32_t kBos = 1;
constexpr int32_t kEos = 2;

Ids tokenize(const Vocabulary& vocabulary, std::string_view text, Options options = kPlain) {
    const auto tokenizer = SpmTokenizer::create(vocabulary);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().text();
    Ids ids;
    const Status status = tokenizer->tokenize(text, options, ids);
    EXPECT_TRUE(status.ok()) << status.text();
    return ids;
}

std::string detokenize_raw(const Vocabulary& vocabulary, const Ids& ids) {
    std::string text;
    EXPECT_TRUE(detokenize(vocabulary, ids, {.raw_bytes = true}, text).ok());
    return text;
}

// Letters, and "ab", "bc", "abc" to be merged from them; no byte tokens.
struct Letters {
    VocabularyFile tokens;
    int32_t space = tokens.add(" ", -9);
    int32_t a = tokens.add("a", -9);
    int32_t b = tokens.add("b", -9);
    int32_t c = tokens.add("c", -9);
    int32_t ab = tokens.add("ab", -2);
    int32_t bc = tokens.add("bc", -1);
    int32_t space_a = tokens.add(" a", -3);
};

test::ModelFile without_prefix(const VocabularyFile& tokens) {
    test::ModelFile file = tokens.file();
    file.set("tokenizer.ggml.add_space_prefix", false);
    return file;
}

TEST(SpmTokenizer, MergesTheBestScoreFirst) {
    const Letters letters;
    const Vocabulary vocabulary = load_vocabulary(without_prefix(letters.tokens));
    EXPECT_EQ(tokenize(vocabulary, "abc"), (Ids{letters.a, letters.bc}));
    EXPECT_EQ(tokenize(vocabulary, "ab"), (Ids{letters.ab}));
    EXPECT_EQ(tokenize(vocabulary, "abab"), (Ids{letters.ab, letters.ab}));
    EXPECT_EQ(tokenize(vocabulary, ""), Ids{});
}

TEST(SpmTokenizer, MergesTheLeftmostOfEqualScores) {
    VocabularyFile tokens;
    const int32_t a = tokens.add("a", -9);
    const int32_t aa = tokens.add("aa", -1);
    const int32_t aaaa = tokens.add("aaaa", -1);
    const Vocabulary vocabulary = load_vocabulary(without_prefix(tokens));
    EXPECT_EQ(tokenize(vocabulary, "aaa"), (Ids{aa, a}));
    EXPECT_EQ(tokenize(vocabulary, "aaaaa"), (Ids{aaaa, a}));
    EXPECT_EQ(tokenize(vocabulary, "aaaaaaa"), (Ids{aaaa, aa, a}));
}

TEST(SpmTokenizer, ReachesOnlyWhatMergesLeadTo) {
    VocabularyFile tokens;
    const int32_t a = tokens.add("a");
    const int32_t b = tokens.add("b");
    const int32_t c = tokens.add("c");
    tokens.add("abc");
    EXPECT_EQ(tokenize(load_vocabulary(without_prefix(tokens)), "abc"), (Ids{a, b, c}));
    const int32_t bc = tokens.add("bc", -5);
    EXPECT_EQ(tokenize(load_vocabulary(without_prefix(tokens)), "abc"), (Ids{bc - 1}));
}

TEST(SpmTokenizer, PutsASpaceBeforeTextWhereTheRulesSay) {
    const Letters letters;
    const Vocabulary prefix = load_vocabulary(letters.tokens.file());
    EXPECT_EQ(tokenize(prefix, "a"), (Ids{letters.space_a}));
    EXPECT_EQ(tokenize(prefix, " a"), (Ids{letters.space, letters.space_a}));
    EXPECT_EQ(tokenize(prefix, ""), Ids{});
    EXPECT_EQ(tokenize(prefix, " "), (Ids{letters.space, letters.space}));
    const Vocabulary no_prefix = load_vocabulary(without_prefix(letters.tokens));
    EXPECT_EQ(tokenize(no_prefix, "a"), (Ids{letters.a}));
    EXPECT_EQ(tokenize(no_prefix, " a"), (Ids{letters.space_a}));
}

TEST(SpmTokenizer, MergesAcrossSpacesWhereAVocabularyDoes) {
    Letters letters;
    const int32_t a_space = letters.tokens.add("a ", -0.5f);
    const Vocabulary vocabulary = load_vocabulary(without_prefix(letters.tokens));
    EXPECT_EQ(tokenize(vocabulary, "a a"), (Ids{a_space, letters.a}));
}

TEST(SpmTokenizer, AddsBosAndEosByTheRules) {
    const Letters letters;
    test::ModelFile file = letters.tokens.file();
    EXPECT_EQ(tokenize(load_vocabulary(file), "a", kAdd), (Ids{kBos, letters.space_a}));
    EXPECT_EQ(tokenize(load_vocabulary(file), "", kAdd), (Ids{kBos}));
    file.set("tokenizer.ggml.add_eos_token", true);
    EXPECT_EQ(tokenize(load_vocabulary(file), "a", kAdd), (Ids{kBos, letters.space_a, kEos}));
    EXPECT_EQ(tokenize(load_vocabulary(file), "a", kPlain), (Ids{letters.space_a}));
    file.set("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(tokenize(load_vocabulary(file), "a", kAdd), (Ids{letters.space_a, kEos}));
}

TEST(SpmTokenizer, NeverAddsASecondBos) {
    const Letters letters;
    test::ModelFile file = letters.tokens.file();
    const Vocabulary vocabulary = load_vocabulary(file);
    EXPECT_EQ(tokenize(vocabulary, "<s>a", kAddParse), (Ids{kBos, letters.space_a}));
    EXPECT_EQ(tokenize(vocabulary, "<s>", kAddParse), (Ids{kBos}));
    EXPECT_EQ(tokenize(vocabulary, "a<s>", kAddParse), (Ids{kBos, letters.space_a, kBos}));
    EXPECT_EQ(tokenize(vocabulary, "</s>a", kAddParse), (Ids{kBos, kEos, letters.space_a}));
    const Ids plain = tokenize(vocabulary, "<s>a", kAdd);
    EXPECT_EQ(plain.front(), kBos);
    EXPECT_GT(plain.size(), 2u) << "text that is not parsed holds no BOS";
    file.set("tokenizer.ggml.add_bos_token", false);
    EXPECT_EQ(tokenize(load_vocabulary(file), "<s>a", kAddParse), (Ids{kBos, letters.space_a}));
}

TEST(SpmTokenizer, CutsSpecialTokensOutFirst) {
    Letters letters;
    const int32_t tool = letters.tokens.add("bca", 0, TokenKind::kUserDefined);
    const int32_t mark = letters.tokens.add("cab", 0, TokenKind::kControl);
    const Vocabulary vocabulary = load_vocabulary(letters.tokens.file());
    const auto [space, a, b, c] = std::tuple(letters.space, letters.a, letters.b, letters.c);

    EXPECT_EQ(tokenize(vocabulary, "abcab"), (Ids{letters.space_a, tool, space, b}))
        << "user-defined tokens always, and a space before what follows";
    EXPECT_EQ(tokenize(vocabulary, "cab"), (Ids{space, c, letters.ab}));
    EXPECT_EQ(tokenize(vocabulary, "cab", kParse), (Ids{mark}));
    EXPECT_EQ(tokenize(vocabulary, "cabcab", kParse), (Ids{mark, mark}));
    EXPECT_EQ(tokenize(vocabulary, "bcab", kParse), (Ids{tool, space, b})) << "leftmost";
    EXPECT_EQ(tokenize(vocabulary, "a<unk>a", kParse),
              (Ids{letters.space_a, kUnk, letters.space_a}));
    EXPECT_EQ(tokenize(vocabulary, "a</s> a", kParse),
              (Ids{letters.space_a, kEos, space, letters.space_a}));
    EXPECT_EQ(tokenize(vocabulary, "</s></s>", kParse), (Ids{kEos, kEos}));
}

TEST(SpmTokenizer, TakesTheLongestSpecialToken) {
    VocabularyFile tokens;
    const int32_t two = tokens.add("--", 0, TokenKind::kUserDefined);
    const int32_t four = tokens.add("----", 0, TokenKind::kUserDefined);
    const Vocabulary vocabulary = load_vocabulary(tokens.file());
    EXPECT_EQ(tokenize(vocabulary, "------"), (Ids{four, two}));
    EXPECT_EQ(tokenize(vocabulary, "--------"), (Ids{four, four}));
}

// Tokens whose parts are tokens too, so that merging would reach them were it allowed.
TEST(SpmTokenizer, NeverMakesControlUnknownOrByteTokensOfPlainText) {
    for (const TokenKind kind : {TokenKind::kControl, TokenKind::kUnknown, TokenKind::kByte}) {
        VocabularyFile tokens;
        tokens.add_bytes();
        for (const char* text : {"<", "0", "x", "7", "a", ">", "<0", "x7", "<0x7", "a>"}) {
            tokens.add(text);
        }
        const int32_t id = tokens.add("<0x7a>", 0, kind);
        const Vocabulary vocabulary = load_vocabulary(without_prefix(tokens));
        EXPECT_EQ(tokenize(vocabulary, "<0x7a>"),
                  (Ids{vocabulary.find("<0x7"), vocabulary.find("a>")}));
        EXPECT_EQ(tokenize(vocabulary, "<0x7a>", kParse).front() == id, kind != TokenKind::kByte);
    }
}

TEST(SpmTokenizer, MakesUnusedTokens) {
    Letters letters;
    const int32_t unused = letters.tokens.add("cc", -1, TokenKind::kUnused);
    EXPECT_EQ(tokenize(load_vocabulary(without_prefix(letters.tokens)), "acc"),
              (Ids{letters.a, unused}));
}

TEST(SpmTokenizer, FallsBackToBytes) {
    Letters letters;
    const int32_t first_byte = kEos + 1 + 7;
    letters.tokens.add_bytes();
    const Vocabulary vocabulary = load_vocabulary(without_prefix(letters.tokens));
    const auto byte = [&](int value) { return first_byte + value; };
    EXPECT_EQ(tokenize(vocabulary, "aäb"), (Ids{letters.a, byte(0xC3), byte(0xA4), letters.b}));
    EXPECT_EQ(tokenize(vocabulary, std::string_view("a\0b", 3)),
              (Ids{letters.a, byte(0), letters.b}));
    // Invalid UTF-8: each byte for itself, what follows is text again.
    EXPECT_EQ(tokenize(vocabulary,
                       "\xE2\x96"
                       "ab"),
              (Ids{byte(0xE2), byte(0x96), letters.ab}));
    EXPECT_EQ(tokenize(vocabulary,
                       "\xF0"
                       "abc"),
              (Ids{byte(0xF0), letters.a, letters.bc}));
    EXPECT_EQ(tokenize(vocabulary, "\xFF\x80"), (Ids{byte(0xFF), byte(0x80)}));
    EXPECT_EQ(tokenize(vocabulary, "a\xC3"), (Ids{letters.a, byte(0xC3)}));
}

TEST(SpmTokenizer, UsesTheUnknownTokenForCharactersWithoutBytes) {
    Letters letters;
    const int32_t c3 = letters.tokens.add("<0xC3>", 0, TokenKind::kByte);
    test::ModelFile file = without_prefix(letters.tokens);
    const Vocabulary vocabulary = load_vocabulary(file);
    EXPECT_EQ(tokenize(vocabulary, "aäb"), (Ids{letters.a, kUnk, letters.b}))
        << "one for the character, though it has a token for its first byte";
    EXPECT_EQ(tokenize(vocabulary, "\xC3\xFF"), (Ids{c3, kUnk}));
    EXPECT_EQ(tokenize(vocabulary, "xy"), (Ids{kUnk, kUnk}));
}

TEST(SpmTokenizer, AppendsAndLeavesTheOutputAloneOnFailure) {
    const Letters letters;
    const Vocabulary vocabulary = load_vocabulary(letters.tokens.file());
    const auto tokenizer = SpmTokenizer::create(vocabulary);
    ASSERT_TRUE(tokenizer.ok());
    Ids ids = {77};
    ASSERT_TRUE(tokenizer->tokenize("a", kPlain, ids).ok());
    EXPECT_EQ(ids, (Ids{77, letters.space_a}));
    constexpr size_t kTooMuch = SpmTokenizer::kMaxTextBytes + 1;
    const std::unique_ptr<char[]> text(new char[kTooMuch]);
    const Status status = tokenizer->tokenize({text.get(), kTooMuch}, kPlain, ids);
    EXPECT_EQ(status.code(), PUNA_ERROR_ARGUMENT);
    EXPECT_NE(std::string(status.text()).find("67108865 bytes"), std::string::npos);
    EXPECT_EQ(ids, (Ids{77, letters.space_a}));
}

TEST(SpmTokenizer, RefusesOtherTokenizersByName) {
    test::ModelFile file = Letters().tokens.file();
    file.set("tokenizer.ggml.model", "gpt2");
    const auto tokenizer = SpmTokenizer::create(load_vocabulary(file));
    ASSERT_FALSE(tokenizer.ok());
    EXPECT_EQ(tokenizer.status().code(), PUNA_ERROR_MODEL_UNSUPPORTED);
    EXPECT_NE(std::string(tokenizer.status().text()).find("'gpt2'"), std::string::npos);
}

// Merging by its definition: look at every pair, take the best, begin again.
Ids merge_naively(const Vocabulary& vocabulary, std::string text) {
    std::vector<std::string> symbols;
    std::string_view rest = text;
    while (!rest.empty()) {
        const size_t size = rest[0] == ' ' ? 1 : decode_utf8(rest).length;
        symbols.emplace_back(rest[0] == ' ' ? kSpaceMark : rest.substr(0, size));
        rest.remove_prefix(size);
    }
    for (;;) {
        size_t best = symbols.size();
        float best_score = 0;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
            const int32_t id = vocabulary.find(symbols[i] + symbols[i + 1]);
            if (id == kNoToken) continue;
            if (best != symbols.size() && vocabulary.score(id) <= best_score) continue;
            best = i;
            best_score = vocabulary.score(id);
        }
        if (best == symbols.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    Ids ids;
    for (const std::string& symbol : symbols) {
        const int32_t id = vocabulary.find(symbol);
        if (id != kNoToken) {
            ids.push_back(id);
            continue;
        }
        for (const char c : symbol) ids.push_back(vocabulary.byte_token(static_cast<uint8_t>(c)));
    }
    return ids;
}

std::string random_text(test::RandomNumbers& random, size_t n_chars) {
    constexpr std::string_view kChars[] = {"a", "b", " ", " ", "é", "€", "\n"};
    std::string text;
    for (size_t i = 0; i < n_chars; ++i) text += kChars[random.below(std::size(kChars))];
    return text;
}

TEST(SpmTokenizer, MergesAsDefined) {
    test::RandomNumbers random(11);
    for (int round = 0; round < 400; ++round) {
        VocabularyFile tokens;
        tokens.add_bytes();
        std::vector<std::string> seen;
        const bool spaces_within = round % 2 == 0;
        for (uint64_t n = random.below(40); n > 0; --n) {
            std::string text = random_text(random, 1 + random.below(4));
            if (!spaces_within && text.find(' ', 1) != text.npos) continue;
            if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
            seen.push_back(text);
            tokens.add(text, -static_cast<float>(random.below(8)));  // many ties
        }
        const Vocabulary vocabulary = load_vocabulary(without_prefix(tokens));
        const auto tokenizer = SpmTokenizer::create(vocabulary);
        ASSERT_TRUE(tokenizer.ok());
        for (int i = 0; i < 20; ++i) {
            const std::string text = random_text(random, random.below(24));
            Ids ids;
            ASSERT_TRUE(tokenizer->tokenize(text, kPlain, ids).ok());
            ASSERT_EQ(ids, merge_naively(vocabulary, text)) << text;
        }
    }
}

Vocabulary random_vocabulary(uint32_t n_vocab) {
    test::ModelFile file;
    test::set_random_vocabulary(n_vocab, 3, file);
    return load_vocabulary(file);
}

TEST(SpmTokenizer, DetokenizesToTheSameBytes) {
    const Vocabulary vocabulary = random_vocabulary(1024);
    test::RandomNumbers random(12);
    for (int round = 0; round < 2000; ++round) {
        std::string text(random.below(40), ' ');
        const uint64_t range = round % 2 == 0 ? 256 : 128;
        for (char& c : text) c = static_cast<char>(random.below(range));
        const Ids ids = tokenize(vocabulary, text, kAdd);
        ASSERT_EQ(detokenize_raw(vocabulary, ids), text);
    }
}

// The work is counted in look-ups: at most a few for each character, however long the text.
TEST(SpmTokenizer, WorksInLinearTime) {
    const Vocabulary words = random_vocabulary(4096);
    VocabularyFile tokens;
    for (size_t n = 1; n <= 64; n *= 2) tokens.add(std::string(n, 'a'), static_cast<float>(n));
    tokens.add("b a");
    const Vocabulary no_words = load_vocabulary(tokens.file());

    const auto expect_linear = [](const Vocabulary& vocabulary, std::string_view line) {
        const auto tokenizer = SpmTokenizer::create(vocabulary);
        ASSERT_TRUE(tokenizer.ok());
        std::string text;
        while (text.size() < 1 << 20) text += line;
        Ids ids;
        uint64_t n_lookups = 0;
        ASSERT_TRUE(tokenizer->tokenize(text, kPlain, ids, &n_lookups).ok());
        EXPECT_GE(n_lookups, ids.size());
        EXPECT_LE(n_lookups, 4 * text.size());
    };
    expect_linear(words, "the man or the dog went to bed, no doubt. ");
    expect_linear(words, "nothing-but-one-word");
    expect_linear(words, " ");
    expect_linear(words, "\xFF");
    expect_linear(no_words, "a");
    expect_linear(no_words, "b a");
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
    std::vector<std::string> parts;
    size_t begin = 0;
    for (size_t end; (end = text.find(separator, begin)) != text.npos;) {
        parts.push_back(text.substr(begin, end - begin));
        begin = end + separator.size();
    }
    parts.push_back(text.substr(begin));
    return parts;
}

Ids parse_ids(const std::string& line) {
    std::istringstream numbers(line);
    Ids ids;
    for (int32_t id; numbers >> id;) ids.push_back(id);
    return ids;
}

class SharedVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(SharedVocabulary, GivesTheExpectedIdsAndTextsBack) {
    const std::string path =
        test::shared_file("vocab/ggml-vocab-" + std::string(GetParam()) + ".gguf");
    if (path.empty()) GTEST_SKIP() << "no shared test material (PUNA_SHARED_DIR)";
    const Vocabulary vocabulary = load_vocabulary(path);
    auto texts = split(test::read_file(path + ".inp"), "\n__ggml_vocab_test__\n");
    auto lines = split(test::read_file(path + ".out"), "\n");
    texts.pop_back();  // nothing follows the last separator, and the last line end
    lines.pop_back();
    ASSERT_GE(texts.size(), 40u);
    ASSERT_EQ(lines.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
        const Ids ids = tokenize(vocabulary, texts[i]);
        EXPECT_EQ(ids, parse_ids(lines[i])) << texts[i];
        EXPECT_EQ(detokenize_raw(vocabulary, ids), texts[i]);
        EXPECT_EQ(detokenize_raw(vocabulary, tokenize(vocabulary, texts[i], kAdd)), texts[i]);
    }
}

INSTANTIATE_TEST_SUITE_P(Spm, SharedVocabulary, testing::Values("llama-spm", "phi-3"),
                         [](const auto& spec) {
                             return std::string(spec.param).substr(0, spec.param[0] == 'l' ? 5 : 3);
                         });

TEST(SpmTokenizer, ParsesThePromptFormatOfAModel) {
    const std::string path = test::shared_file("vocab/ggml-vocab-phi-3.gguf");
    if (path.empty()) GTEST_SKIP() << "no shared test material (PUNA_SHARED_DIR)";
    const Vocabulary vocabulary = load_vocabulary(path);
    const int32_t user = vocabulary.find("<|user|>");
    const int32_t end = vocabulary.find("<|end|>");
    ASSERT_NE(user, kNoToken);
    ASSERT_NE(end, kNoToken);
    EXPECT_TRUE(vocabulary.is_end(end));
    const Ids hello = tokenize(vocabulary, "Hello world");
    Ids wanted = {kBos, user};
    wanted.insert(wanted.end(), hello.begin(), hello.end());
    wanted.push_back(end);
    EXPECT_EQ(tokenize(vocabulary, "<s><|user|>Hello world<|end|>", kAddParse), wanted);
    for (const int32_t id : tokenize(vocabulary, "<s><|user|></s><|end|><unk>")) {
        EXPECT_EQ(vocabulary.kind(id), TokenKind::kNormal) << vocabulary.text(id);
    }
}

nlohmann::json read_json(const std::string& path) {
    return nlohmann::json::parse(test::read_file(path));
}

struct GoldenPrompts {
    std::string model;
    std::string golden;
};

class SpmTokenizerPrompts : public testing::TestWithParam<GoldenPrompts> {};

TEST_P(SpmTokenizerPrompts, AreThoseOfTheGoldenFile) {
    const auto& [model, golden] = GetParam();
    if (model.empty() || golden.empty()) {
        GTEST_SKIP() << "no shared test material (PUNA_SHARED_DIR)";
    }
    const Vocabulary vocabulary = load_vocabulary(model);
    const auto cases = read_json(golden).at("cases");
    ASSERT_GE(cases.size(), 4u);
    for (const auto& item : cases) {
        const std::string prompt = item.at("prompt");
        Ids ids = tokenize(vocabulary, prompt, kAddParse);
        EXPECT_EQ(ids, item.at("prompt_ids").get<Ids>()) << prompt;
        std::string text;
        const Ids greedy = item.at("greedy_ids");
        ASSERT_TRUE(detokenize(vocabulary, greedy, {.strip_space_prefix = false}, text).ok());
        EXPECT_EQ(text, item.at("text").get<std::string>());
    }
}

INSTANTIATE_TEST_SUITE_P(
    Models, SpmTokenizerPrompts,
    testing::Values(GoldenPrompts{test::project_file("examples/demo_model/demo-f16.gguf"),
                                  test::project_file("tests/golden/data/demo.json")},
                    GoldenPrompts{test::shared_file("models/stories260K.gguf"),
                                  test::shared_file("golden/stories260K.json")}),
    [](const auto& test) { return std::string(test.index == 0 ? "demo" : "stories260K"); });

// Prose, chats, and texts of strange spaces, scripts and markup, with the ids that SentencePiece
// itself gives them.
TEST(SpmTokenizer, GivesTheIdsOfSentencePiece) {
    const Vocabulary vocabulary =
        load_vocabulary(test::project_file("examples/demo_model/demo.gguf"));
    const auto cases = read_json(test::project_file("tests/unit/data/sentencepiece_ids.json"));
    ASSERT_GE(cases.size(), 500u);
    for (const auto& item : cases) {
        std::string text = item.at("text");
        const Ids ids = tokenize(vocabulary, text);
        EXPECT_EQ(ids, item.at("ids").get<Ids>()) << text;
        // A space mark in a text comes back as a space.
        constexpr std::string_view kMark = "\u2581";
        for (size_t at; (at = text.find(kMark)) != text.npos;) text.replace(at, kMark.size(), " ");
        EXPECT_EQ(detokenize_raw(vocabulary, ids), text);
    }
}

}  // namespace
}  // namespace puna::core
