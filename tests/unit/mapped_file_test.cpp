#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "support/temp_folder.h"

#if !defined(_WIN32)
#include <sys/stat.h>
#endif

namespace puna::core {
namespace {

std::string_view text_of(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.data()), file.size()};
}

std::string numbers(size_t size) {
    std::string text;
    for (size_t i = 0; text.size() < size; ++i) text += std::to_string(i * i) + ' ';
    text.resize(size);
    return text;
}

TEST(MappedFile, MapsAWholeFile) {
    const test::TempFolder folder;
    for (const size_t size :
         {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{200000}}) {
        const std::string text = numbers(size);
        const Result<MappedFile> file = MappedFile::open(folder.write("a", text));
        ASSERT_TRUE(file.ok()) << file.status().text();
        EXPECT_EQ(text_of(*file), text);
        EXPECT_EQ(file->bytes().size(), size);
    }
}

TEST(MappedFile, MapsAnyRange) {
    const test::TempFolder folder;
    const std::string text = numbers(200000);
    const std::string path = folder.write("a", text);
    for (const uint64_t offset : {0, 1, 4095, 4096, 65535, 65537, 199999}) {
        for (const uint64_t length : {0, 1, 4096, 100000}) {
            const Result<MappedFile> file = MappedFile::open(path, offset, length);
            if (offset + length > text.size()) {
                EXPECT_EQ(file.status().code(), PUNA_ERROR_TRUNCATED);
                continue;
            }
            ASSERT_TRUE(file.ok()) << file.status().text();
            EXPECT_EQ(text_of(*file), std::string_view(text).substr(offset, length));
        }
    }
}

TEST(MappedFile, RangesBeyondTheEndAreTruncated) {
    const test::TempFolder folder;
    const std::string path = folder.write("a.gguf", "0123456789");
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    EXPECT_TRUE(MappedFile::open(path, 10, 0).ok());
    EXPECT_EQ(MappedFile::open(path, 11, 0).status().code(), PUNA_ERROR_TRUNCATED);
    EXPECT_EQ(MappedFile::open(path, 1, kMax).status().code(), PUNA_ERROR_TRUNCATED);
    EXPECT_EQ(MappedFile::open(path, kMax, 2).status().code(), PUNA_ERROR_TRUNCATED);
    const Result<MappedFile> file = MappedFile::open(path, 4, 7);
    EXPECT_NE(std::string(file.status().text()).find("a.gguf"), std::string::npos);
}

TEST(MappedFile, AnEmptyFileIsEmpty) {
    const test::TempFolder folder;
    const Result<MappedFile> file = MappedFile::open(folder.write("a", ""));
    ASSERT_TRUE(file.ok()) << file.status().text();
    EXPECT_EQ(file->size(), 0u);
    EXPECT_TRUE(file->bytes().empty());
    file->prefetch(0, 100);
}

TEST(MappedFile, MovesWithoutMappingAgain) {
    const test::TempFolder folder;
    Result<MappedFile> a = MappedFile::open(folder.write("a", "first"));
    Result<MappedFile> b = MappedFile::open(folder.write("b", "second"));
    ASSERT_TRUE(a.ok() && b.ok());
    const std::byte* data = a->data();
    *b = std::move(*a);
    EXPECT_EQ(b->data(), data);
    EXPECT_EQ(text_of(*b), "first");
    EXPECT_EQ(a->size(), 0u);
}

TEST(MappedFile, PrefetchIsAHintForAnyRange) {
    const test::TempFolder folder;
    const std::string text = numbers(50000);
    const std::string path = folder.write("a", text);
    const Result<MappedFile> file = MappedFile::open(path, 5000, 40000);
    ASSERT_TRUE(file.ok());
    constexpr size_t kMax = std::numeric_limits<size_t>::max();
    file->prefetch(0, 40000);
    file->prefetch(12345, 1);
    file->prefetch(39999, kMax);
    file->prefetch(40000, 1);
    file->prefetch(kMax, kMax);
    EXPECT_EQ(text_of(*file), std::string_view(text).substr(5000, 40000));
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
    const test::TempFolder folder;
    EXPECT_EQ(MappedFile::open(folder.path("missing")).status().code(), PUNA_ERROR_IO);
    EXPECT_EQ(MappedFile::open(folder.path()).status().code(), PUNA_ERROR_IO);
#if !defined(_WIN32)
    const std::string fifo = folder.path("fifo");
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_EQ(MappedFile::open(fifo).status().code(), PUNA_ERROR_IO);
#endif
}

}  // namespace
}  // namespace puna::core
