#include "base/utf8.h"

#include <gtest/gtest.h>

namespace puna::core {
namespace {

using namespace std::string_literals;

TEST(Utf8, EncodesAndDecodesEveryCodePoint) {
    for (char32_t c = 0; c <= 0x110000; ++c) {
        char bytes[4];
        const size_t n = encode_utf8(c, bytes);
        const bool encodable = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        ASSERT_EQ(n != 0, encodable) << static_cast<uint32_t>(c);
        if (!encodable) continue;
        ASSERT_EQ(n, c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u);
        const Utf8Char decoded = decode_utf8(std::string_view(bytes, n));
        ASSERT_TRUE(decoded.valid);
        ASSERT_EQ(decoded.length, n);
        ASSERT_EQ(decoded.code_point, c);
    }
}

TEST(Utf8, DecodesOnlyTheFirstCharacter) {
    const Utf8Char c = decode_utf8("\xC3\xA9\xFF");
    EXPECT_TRUE(c.valid);
    EXPECT_EQ(c.code_point, 0xE9u);
    EXPECT_EQ(c.length, 2);
    EXPECT_EQ(decode_utf8("").length, 0);
    EXPECT_FALSE(decode_utf8("").valid);
}

// Validity of all sequences of two and three bytes, against the encoder: a sequence is valid
// exactly when it is what some code points encode to.
TEST(Utf8, AcceptsExactlyWhatTheEncoderWrites) {
    const auto encodes = [](std::string_view text) {
        // Decodes loosely, by bit pattern alone, and asks the encoder whether it agrees.
        std::string again;
        for (size_t i = 0; i < text.size();) {
            const auto at = [&](size_t k) { return static_cast<uint8_t>(text[i + k]); };
            const size_t n = at(0) < 0x80 ? 1 : at(0) < 0xE0 ? 2 : at(0) < 0xF0 ? 3 : 4;
            if (i + n > text.size()) return false;
            char32_t c = n == 1 ? at(0) : at(0) & (0x7Fu >> n);
            for (size_t k = 1; k < n; ++k) c = c << 6 | (at(k) & 0x3Fu);
            char bytes[4];
            again.append(bytes, encode_utf8(c, bytes));
            i += n;
        }
        return again == text;
    };
    for (uint32_t word = 0; word < 1u << 24; word += 7) {  // 7: a prime stride, to be quick
        const char bytes[3] = {static_cast<char>(word >> 16), static_cast<char>(word >> 8),
                               static_cast<char>(word)};
        const std::string_view text(bytes, 3);
        ASSERT_EQ(is_valid_utf8(text), encodes(text)) << word;
    }
}

TEST(Utf8, RefusesWhatLooksLikeACharacter) {
    EXPECT_FALSE(is_valid_utf8("\xC0\x80"));          // overlong NUL
    EXPECT_FALSE(is_valid_utf8("\xE0\x9F\xBF"));      // overlong U+07FF
    EXPECT_FALSE(is_valid_utf8("\xF0\x8F\xBF\xBF"));  // overlong U+FFFF
    EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));      // U+D800
    EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));  // U+110000
    EXPECT_FALSE(is_valid_utf8("\x80"));
    EXPECT_FALSE(is_valid_utf8("abc\xE2\x82"));
    EXPECT_TRUE(is_valid_utf8("a\0b"s));
    EXPECT_TRUE(is_valid_utf8(""));
}

TEST(Utf8, FindsAnIncompleteTail) {
    const std::string smile = "\xF0\x9F\x98\x80";
    for (size_t n = 1; n <= 3; ++n) {
        EXPECT_EQ(incomplete_utf8_tail("ab" + smile.substr(0, n)), n);
        EXPECT_EQ(incomplete_utf8_tail(smile + smile.substr(0, n)), n);
        EXPECT_EQ(incomplete_utf8_tail(smile.substr(0, n)), n);
    }
    EXPECT_EQ(incomplete_utf8_tail(smile), 0u);
    EXPECT_EQ(incomplete_utf8_tail(""), 0u);
    EXPECT_EQ(incomplete_utf8_tail("abc"), 0u);
    EXPECT_EQ(incomplete_utf8_tail("\xC3"), 1u);
    EXPECT_EQ(incomplete_utf8_tail("\xE2\x82"), 2u);
}

TEST(Utf8, ATailThatNothingCanCompleteIsNotIncomplete) {
    EXPECT_EQ(incomplete_utf8_tail("\x80"), 0u);
    EXPECT_EQ(incomplete_utf8_tail("\xFF"), 0u);
    EXPECT_EQ(incomplete_utf8_tail("\xC0"), 0u);
    EXPECT_EQ(incomplete_utf8_tail("\xED\xA0"), 0u);      // only a surrogate could follow
    EXPECT_EQ(incomplete_utf8_tail("\xE0\x80"), 0u);      // only an overlong form
    EXPECT_EQ(incomplete_utf8_tail("\xF4\x90\x80"), 0u);  // only beyond U+10FFFF
    EXPECT_EQ(incomplete_utf8_tail("\xC3\xA9\xA9"), 0u);
}

TEST(Utf8, ReplacesMaximalSubparts) {
    const std::string r = "\xEF\xBF\xBD";
    EXPECT_EQ(replace_invalid_utf8("caf\xC3\xA9"), "caf\xC3\xA9");
    // The example of Unicode chapter 3.9, table 3-8: 61 F1 80 80 E1 80 C2 62 80 63 80 BF 64.
    EXPECT_EQ(replace_invalid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
              "a" + r + r + r + "b" + r + "c" + r + r + "d");
    // Tables 3-9 to 3-11: bytes that begin no character count one by one.
    EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
              r + r + r + r + r + r + r + r + "A");
    EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
              r + r + r + r + r + r + r + r + "A");
    EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, AppendsAReplacementForWhatCannotBeEncoded) {
    std::string text;
    append_utf8(text, 0x20AC);
    append_utf8(text, 0xD800);
    append_utf8(text, 0x110000);
    EXPECT_EQ(text, "\xE2\x82\xAC\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace puna::core
