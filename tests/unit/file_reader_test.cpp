#include "base/file_reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>

#include "support/temp_folder.h"

#if !defined(_WIN32)
#include <sys/stat.h>
#endif

namespace puna::core {
namespace {

std::string read(const FileReader& file, uint64_t offset, size_t size) {
    std::string text(size, '?');
    const Status status = file.read_at(offset, std::as_writable_bytes(std::span(text)));
    return status.ok() ? text : std::string("failed: ") + status.text();
}

TEST(FileReader, ReadsAtAnyOffset) {
    const test::TempFolder folder;
    Result<FileReader> file = FileReader::open(folder.write("a", "0123456789"));
    ASSERT_TRUE(file.ok()) << file.status().text();
    EXPECT_EQ(file->size(), 10u);
    EXPECT_EQ(read(*file, 0, 10), "0123456789");
    EXPECT_EQ(read(*file, 7, 3), "789");
    EXPECT_EQ(read(*file, 2, 1), "2");
    EXPECT_EQ(read(*file, 10, 0), "");
    const FileReader moved = std::move(*file);
    EXPECT_EQ(read(moved, 2, 2), "23");
}

TEST(FileReader, TheEndOfTheFileIsTruncated) {
    const test::TempFolder folder;
    Result<FileReader> file = FileReader::open(folder.write("short.bin", "0123456789"));
    ASSERT_TRUE(file.ok());
    std::byte bytes[8];
    for (const uint64_t offset :
         {uint64_t{3}, uint64_t{10}, uint64_t{1} << 40, std::numeric_limits<uint64_t>::max() - 3}) {
        const Status status = file->read_at(offset, bytes);
        EXPECT_EQ(status.code(), PUNA_ERROR_TRUNCATED) << offset;
        EXPECT_EQ(std::string(status.text()).find("short.bin"), std::string::npos);
    }
}

TEST(FileReader, AFileThatShrankIsTruncated) {
    const test::TempFolder folder;
    const std::string path = folder.write("a", std::string(5000, 'x'));
    Result<FileReader> file = FileReader::open(path);
    ASSERT_TRUE(file.ok());
    std::filesystem::resize_file(path, 100);
    std::byte bytes[200];
    EXPECT_EQ(file->size(), 5000u);
    EXPECT_EQ(file->read_at(0, bytes).code(), PUNA_ERROR_TRUNCATED);
}

TEST(FileReader, ErrorsNameThePathAndTheReason) {
    const test::TempFolder folder;
    const Result<FileReader> file = FileReader::open(folder.path("missing.gguf"));
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.status().code(), PUNA_ERROR_IO);
    const std::string text = file.status().text();
    EXPECT_NE(text.find("missing.gguf"), std::string::npos) << text;
    EXPECT_NE(text.find("(2)"), std::string::npos) << text;  // ENOENT, ERROR_FILE_NOT_FOUND
}

TEST(FileReader, RefusesPathsNoSystemCanTake) {
    EXPECT_EQ(FileReader::open("").status().code(), PUNA_ERROR_ARGUMENT);
    const test::TempFolder folder;
    const std::string path = folder.write("a", "x") + std::string("\0.gguf", 6);
    EXPECT_EQ(FileReader::open(path).status().code(), PUNA_ERROR_ARGUMENT);
}

TEST(FileReader, OpensPathsBeyondAscii) {
    const test::TempFolder folder;
    const std::string name = "\xD0\xBC\xD0\xBE\xD0\xB4\xE6\xA8\xA1\xF0\x9F\x98\x80.gguf";
    const Result<FileReader> file = FileReader::open(folder.write(name, "abc"));
    ASSERT_TRUE(file.ok()) << file.status().text();
    EXPECT_EQ(read(*file, 0, 3), "abc");
}

TEST(FileReader, RefusesFolders) {
    const test::TempFolder folder;
    EXPECT_EQ(FileReader::open(folder.path()).status().code(), PUNA_ERROR_IO);
}

#if !defined(_WIN32)
TEST(FileReader, RefusesAFifoWithoutWaiting) {
    const test::TempFolder folder;
    const std::string path = folder.path("fifo");
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    const Result<FileReader> file = FileReader::open(path);
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.status().code(), PUNA_ERROR_IO);
    EXPECT_NE(std::string(file.status().text()).find("not a regular file"), std::string::npos);
    EXPECT_EQ(FileReader::open("/dev/zero").status().code(), PUNA_ERROR_IO);
}
#endif

TEST(ReadTextFile, ReadsAllUpToTheBound) {
    const test::TempFolder folder;
    std::string text;
    for (int i = 0; i < 5000; ++i) text += std::to_string(i);
    const std::string path = folder.write("a", text);
    const Result<std::string> whole = read_text_file(path, text.size());
    ASSERT_TRUE(whole.ok()) << whole.status().text();
    EXPECT_EQ(*whole, text);
    EXPECT_EQ(read_text_file(path, text.size() - 1).status().code(), PUNA_ERROR_IO);
    const Result<std::string> empty = read_text_file(folder.write("b", ""), 0);
    ASSERT_TRUE(empty.ok());
    EXPECT_EQ(*empty, "");
}

#if defined(__linux__)
TEST(ReadTextFile, ReadsFilesThatClaimNoSize) {
    const Result<std::string> text = read_text_file("/proc/self/maps", 1 << 24);
    ASSERT_TRUE(text.ok());
    EXPECT_FALSE(text->empty());
}
#endif

}  // namespace
}  // namespace puna::core
