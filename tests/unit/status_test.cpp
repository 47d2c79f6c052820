#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/utf8.h"

namespace puna::core {
namespace {

TEST(Status, IsOkByDefault) {
    const Status status;
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(status.code(), PUNA_OK);
    EXPECT_STREQ(status.text(), "");
}

TEST(Status, FormatsItsText) {
    const Status status = make_status(PUNA_ERROR_IO, "%s: %zu bytes", "a.gguf", size_t{7});
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.code(), PUNA_ERROR_IO);
    EXPECT_STREQ(status.text(), "a.gguf: 7 bytes");
}

TEST(Status, CopiesBothWays) {
    const Status failure = make_status(PUNA_ERROR_MODEL, "no tensor");
    Status copy = failure;
    EXPECT_STREQ(copy.text(), "no tensor");
    copy = Status();
    EXPECT_TRUE(copy.ok());
    copy = failure;
    EXPECT_EQ(copy.code(), PUNA_ERROR_MODEL);
    EXPECT_STREQ(copy.text(), "no tensor");
}

TEST(Status, TextIsOneCleanLine) {
    EXPECT_STREQ(make_status(PUNA_ERROR_IO, "a\nb\tc\x1b[31md\x7f").text(), "a?b?c?[31md?");
    // NEXT LINE, LINE SEPARATOR and PARAGRAPH SEPARATOR break lines too.
    EXPECT_STREQ(make_status(PUNA_ERROR_IO, "a\xC2\x85z\xE2\x80\xA8z\xE2\x80\xA9z").text(),
                 "a?z?z?z");
}

TEST(Status, TextIsValidUtf8) {
    EXPECT_STREQ(make_status(PUNA_ERROR_IO, "\xC3\xA9 \xFF \xE2\x82 x").text(), "\xC3\xA9 ? ? x");
    EXPECT_STREQ(make_status(PUNA_ERROR_IO, "end\xE2\x82").text(), "end?");
}

TEST(Status, LongTextLosesItsMiddleBetweenCharacters) {
    const std::string euro = "\xE2\x82\xAC";
    for (size_t lead = 0; lead < 4; ++lead) {
        for (size_t size : {PUNA_ERROR_MESSAGE_SIZE, 2 * PUNA_ERROR_MESSAGE_SIZE, 20000}) {
            std::string text(lead, 'a');
            while (text.size() < size) text += euro;
            text += ": the cause";
            const std::string cut = make_status(PUNA_ERROR_IO, "%s", text.c_str()).text();
            EXPECT_LE(cut.size(), PUNA_ERROR_MESSAGE_SIZE - 1u);
            EXPECT_GT(cut.size(), PUNA_ERROR_MESSAGE_SIZE - 6u);
            EXPECT_TRUE(is_valid_utf8(cut)) << cut;
            const size_t gap = cut.find("...");
            ASSERT_NE(gap, cut.npos);
            EXPECT_GT(gap, PUNA_ERROR_MESSAGE_SIZE / 4u);
            EXPECT_TRUE(text.starts_with(cut.substr(0, gap)));
            if (size < 6000) {
                EXPECT_TRUE(text.ends_with(cut.substr(gap + 3)));
            }
        }
    }
}

TEST(Status, TextThatJustFitsIsKept) {
    const std::string text(PUNA_ERROR_MESSAGE_SIZE - 1, 'x');
    EXPECT_EQ(make_status(PUNA_ERROR_IO, "%s", text.c_str()).text(), text);
}

TEST(Status, WithinNamesTheContext) {
    const Status status = make_status(PUNA_ERROR_FORMAT, "100%% bad key");
    const Status outer = status.within("model %s.gguf");
    EXPECT_EQ(outer.code(), PUNA_ERROR_FORMAT);
    EXPECT_STREQ(outer.text(), "model %s.gguf: 100% bad key");
    EXPECT_TRUE(Status().within("anything").ok());
}

Result<std::unique_ptr<int>> make_int(int value) {
    if (value < 0) return make_status(PUNA_ERROR_ARGUMENT, "%d is negative", value);
    return std::make_unique<int>(value);
}

Result<int> add(int a, int b) {
    PUNA_TRY_ASSIGN(const std::unique_ptr<int> left, make_int(a));
    PUNA_TRY_ASSIGN(const std::unique_ptr<int> right, make_int(b));
    return *left + *right;
}

Status check(int value) {
    PUNA_TRY(make_int(value).status());
    return Status();
}

TEST(Result, CarriesAValueOrAFailure) {
    const Result<int> sum = add(2, 3);
    ASSERT_TRUE(sum.ok());
    EXPECT_EQ(*sum, 5);
    const Result<int> bad = add(2, -3);
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.status().code(), PUNA_ERROR_ARGUMENT);
    EXPECT_STREQ(bad.status().text(), "-3 is negative");
}

TEST(Result, TryReturnsTheFailure) {
    EXPECT_TRUE(check(1).ok());
    EXPECT_EQ(check(-1).code(), PUNA_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace puna::core
