#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "support/random_numbers.h"
#include "support/vocabulary_file.h"

namespace puna::core {
namespace {

using test::load_vocabulary;
using test::VocabularyFile;

constexpr int32_t kBos = 1;
constexpr int32_t kFirstByte = 3;  // of "<0x00>"
constexpr int32_t kHello = kFirstByte + 256;
constexpr int32_t kWorld = kHello + 1;
constexpr int32_t kMark = kHello + 2;
constexpr int32_t kTwoSpaces = kHello + 3;
constexpr int32_t kTool = kHello + 4;
constexpr int32_t kUnused = kHello + 5;
constexpr int32_t kSmile = kHello + 6;
constexpr int32_t kBroken = kHello + 7;
constexpr int32_t kEmpty = kHello + 8;

int32_t byte_id(int byte) {
    return kFirstByte + byte;
}

VocabularyFile small_vocabulary() {
    VocabularyFile tokens;
    tokens.add_bytes();
    tokens.add(" Hello");
    tokens.add("wor ld");
    tokens.add(" ");
    tokens.add("  ");
    tokens.add("< tool>", 0.0f, TokenKind::kUserDefined);
    tokens.add(" un used", 0.0f, TokenKind::kUnused);
    tokens.add("\xF0\x9F\x98\x80");
    tokens.add("a\xF0\x9F");
    tokens.add("");
    return tokens;
}

std::string text_of(const Vocabulary& vocabulary, const std::vector<int32_t>& tokens,
                    DetokenizeOptions options = {}) {
    std::string text;
    const Status status = detokenize(vocabulary, tokens, options, text);
    EXPECT_TRUE(status.ok()) << status.text();
    return text;
}

TEST(Detokenizer, GivesTheBytesOfEachKindOfToken) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    const auto bytes = [&](int32_t id, bool control_text) {
        std::string out = "|";
        const Status status = append_token_bytes(vocabulary, id, control_text, out);
        EXPECT_TRUE(status.ok()) << status.text();
        return out;
    };
    EXPECT_EQ(bytes(kHello, false), "| Hello");
    EXPECT_EQ(bytes(kWorld, false), "|wor ld");
    EXPECT_EQ(bytes(kTwoSpaces, false), "|  ");
    EXPECT_EQ(bytes(byte_id(0), false), std::string("|\0", 2));
    EXPECT_EQ(bytes(byte_id(0xFE), false), "|\xFE");
    EXPECT_EQ(bytes(kBos, false), "|");
    EXPECT_EQ(bytes(kBos, true), "|<s>");
    EXPECT_EQ(bytes(0, false), "|");
    EXPECT_EQ(bytes(0, true), "|<unk>");
    EXPECT_EQ(bytes(kTool, false), "|<\xE2\x96\x81tool>") << "user-defined text is kept as it is";
    EXPECT_EQ(bytes(kUnused, false), "| un used");
    EXPECT_EQ(bytes(kEmpty, true), "|");
}

TEST(Detokenizer, RefusesIdsOutsideTheVocabulary) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    StreamingDetokenizer stream(vocabulary, {});
    for (const int32_t id : {-1, INT32_MIN, kEmpty + 1, INT32_MAX}) {
        std::string out = "kept";
        EXPECT_EQ(append_token_bytes(vocabulary, id, false, out).code(), PUNA_ERROR_ARGUMENT);
        EXPECT_EQ(detokenize(vocabulary, std::vector{kHello, id}, {}, out).code(),
                  PUNA_ERROR_ARGUMENT);
        EXPECT_EQ(stream.feed(id, out).code(), PUNA_ERROR_ARGUMENT);
        EXPECT_EQ(out, "kept");
    }
    std::string out;
    ASSERT_TRUE(stream.feed(kHello, out).ok());
    EXPECT_EQ(out, "Hello") << "failures do not use up the space prefix";
}

TEST(Detokenizer, RefusesVocabulariesItCannotRead) {
    test::ModelFile file = small_vocabulary().file();
    file.set("tokenizer.ggml.model", "gpt2");
    const Vocabulary vocabulary = load_vocabulary(file);
    std::string out;
    const Status status = detokenize(vocabulary, std::vector{kHello}, {}, out);
    EXPECT_EQ(status.code(), PUNA_ERROR_MODEL_UNSUPPORTED);
    EXPECT_NE(std::string(status.text()).find("gpt2"), std::string::npos);
}

TEST(Detokenizer, StripsOneSpaceOfTheFirstPlainToken) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    const DetokenizeOptions keep = {.strip_space_prefix = false};
    const DetokenizeOptions control = {.control_text = true};
    EXPECT_EQ(text_of(vocabulary, {}), "");
    EXPECT_EQ(text_of(vocabulary, {kHello, kHello}), "Hello Hello");
    EXPECT_EQ(text_of(vocabulary, {kHello, kHello}, keep), " Hello Hello");
    EXPECT_EQ(text_of(vocabulary, {kBos, kHello}), "Hello");
    EXPECT_EQ(text_of(vocabulary, {kBos, kHello}, control), "<s>Hello");
    EXPECT_EQ(text_of(vocabulary, {kTool, kHello}), "<\xE2\x96\x81tool>Hello");
    EXPECT_EQ(text_of(vocabulary, {kTwoSpaces, kHello}), "  Hello");
    EXPECT_EQ(text_of(vocabulary, {kMark, kMark}), " ");
    EXPECT_EQ(text_of(vocabulary, {kWorld, kHello}), "wor ld Hello");
    EXPECT_EQ(text_of(vocabulary, {byte_id('x'), kHello}), "x Hello");

    test::ModelFile file = small_vocabulary().file();
    file.set("tokenizer.ggml.add_space_prefix", false);
    EXPECT_EQ(text_of(load_vocabulary(file), {kHello}), " Hello");
}

TEST(Detokenizer, HoldsIncompleteCharactersBack) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    StreamingDetokenizer stream(vocabulary, {});
    const auto feed = [&](int32_t id) {
        std::string out;
        EXPECT_TRUE(stream.feed(id, out).ok());
        return out;
    };
    EXPECT_EQ(feed(kBroken), "a");
    EXPECT_EQ(feed(byte_id(0x98)), "");
    EXPECT_EQ(feed(byte_id(0x80)), "\xF0\x9F\x98\x80");
    EXPECT_EQ(feed(kSmile), "\xF0\x9F\x98\x80");
    EXPECT_EQ(feed(byte_id(0xE2)), "");
    EXPECT_EQ(feed(byte_id(0x82)), "");
    EXPECT_EQ(feed(kHello), "\xEF\xBF\xBD Hello") << "one U+FFFD for the maximal subpart";
    EXPECT_EQ(feed(byte_id(0x80)), "\xEF\xBF\xBD")
        << "a byte that begins nothing waits for nothing";
    EXPECT_EQ(feed(byte_id(0xC3)), "");
    std::string rest;
    stream.finish(rest);
    EXPECT_EQ(rest, "\xEF\xBF\xBD");
    rest.clear();
    stream.finish(rest);
    EXPECT_EQ(rest, "");
    EXPECT_EQ(feed(kHello), "Hello") << "a new text after finish()";
}

TEST(Detokenizer, GivesRawBytesAtOnce) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    StreamingDetokenizer stream(vocabulary, {.raw_bytes = true});
    std::string out;
    ASSERT_TRUE(stream.feed(kBroken, out).ok());
    EXPECT_EQ(out, "a\xF0\x9F");
    ASSERT_TRUE(stream.feed(byte_id(0xFF), out).ok());
    EXPECT_EQ(out, "a\xF0\x9F\xFF");
    stream.finish(out);
    EXPECT_EQ(out, "a\xF0\x9F\xFF");
}

// The bytes of all tokens, put together with nothing of the stream.
std::string plain_bytes(const Vocabulary& vocabulary, const std::vector<int32_t>& tokens,
                        DetokenizeOptions options) {
    std::string bytes;
    bool strip = options.strip_space_prefix;
    for (const int32_t id : tokens) {
        std::string piece;
        EXPECT_TRUE(append_token_bytes(vocabulary, id, options.control_text, piece).ok());
        const bool special = id < kFirstByte || id == kTool;
        if (strip && !special) {
            if (piece.starts_with(' ')) piece.erase(0, 1);
            strip = false;
        }
        bytes += piece;
    }
    return bytes;
}

TEST(Detokenizer, StreamsTheSameTextAsAtOnce) {
    const Vocabulary vocabulary = load_vocabulary(small_vocabulary().file());
    test::RandomNumbers random(20261120);
    // Bytes that begin, continue and cannot be in characters, so that all cuts happen often.
    const int bytes[] = {0x00, 'a',  0x7F, 0x80, 0x98, 0x9F, 0xA0, 0xBF, 0xC1, 0xC3,
                         0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
    for (int round = 0; round < 10000; ++round) {
        std::vector<int32_t> tokens(random.below(24));
        for (int32_t& id : tokens) {
            id = random.below(4) == 0 ? static_cast<int32_t>(random.below(vocabulary.n_vocab()))
                                      : byte_id(bytes[random.below(std::size(bytes))]);
        }
        const uint64_t bits = random.next();
        const DetokenizeOptions options = {.control_text = (bits & 1) != 0,
                                           .strip_space_prefix = (bits & 2) != 0,
                                           .raw_bytes = (bits & 4) != 0};
        StreamingDetokenizer stream(vocabulary, options);
        std::string streamed;
        std::string chunk;
        for (const int32_t id : tokens) {
            chunk.clear();
            ASSERT_TRUE(stream.feed(id, chunk).ok());
            ASSERT_TRUE(options.raw_bytes || is_valid_utf8(chunk));
            streamed += chunk;
        }
        chunk.clear();
        stream.finish(chunk);
        ASSERT_TRUE(options.raw_bytes || is_valid_utf8(chunk));
        streamed += chunk;

        const std::string raw = plain_bytes(vocabulary, tokens, options);
        ASSERT_EQ(streamed, options.raw_bytes ? raw : replace_invalid_utf8(raw));
        ASSERT_EQ(streamed, text_of(vocabulary, tokens, options));
    }
}

}  // namespace
}  // namespace puna::core
