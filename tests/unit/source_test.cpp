#include "model/source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/model_source.h"

namespace puna::core {
namespace {

using test::AlignedBytes;
using test::MemorySource;
using test::TemporaryFile;

AlignedBytes some_bytes() {
    AlignedBytes bytes(3 * 1024 * 1024 + 77);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + (i >> 8));
    return bytes;
}

std::string temporary_path(const char* name) {
    return testing::TempDir() + "puna_source_" + name;
}

puna_source path_source(const std::string& path, uint64_t offset = 0, uint64_t length = 0) {
    puna_source source = PUNA_SOURCE_INIT;
    source.path = path.c_str();
    source.offset = offset;
    source.length = length;
    return source;
}

class SourceTest : public testing::Test {
  protected:
    // Opens the descriptor and compares everything it gives with the bytes.
    void expect_bytes(const puna_source& descriptor, bool disable_mmap, WeightPlace place) {
        auto sources = open_sources({&descriptor, 1}, disable_mmap);
        ASSERT_TRUE(sources.ok()) << sources.status().text();
        Source& source = *sources->front();
        EXPECT_EQ(source.size(), bytes_.size());
        EXPECT_EQ(source.place(), place);
        const auto header = source.byte_source();
        std::vector<uint8_t> start(1000);
        ASSERT_TRUE(header->read(start.data(), start.size()).ok());
        EXPECT_EQ(std::memcmp(start.data(), bytes_.data(), start.size()), 0);
        expect_weights(source);
        std::byte byte;
        EXPECT_TRUE(source.read_at(bytes_.size() - 1, &byte, 1).ok());
        EXPECT_EQ(source.read_at(bytes_.size(), &byte, 1).code(), PUNA_ERROR_TRUNCATED);
        EXPECT_EQ(source.read_at(UINT64_MAX, &byte, 1).code(), PUNA_ERROR_TRUNCATED);
    }

    void expect_weights(Source& source) {
        const uint64_t begin = 96;  // a multiple of 32, not of 64
        const uint64_t end = bytes_.size();
        uint64_t n_done = 0;
        const Status loaded = source.load(begin, end, allocator_, [&](uint64_t n) {
            EXPECT_GT(n, n_done);
            n_done = n;
            return Status();
        });
        ASSERT_TRUE(loaded.ok()) << loaded.text();
        const bool copied = source.place() == WeightPlace::kCopied;
        EXPECT_EQ(n_done, source.place() == WeightPlace::kBorrowed ? 0 : end - begin);
        EXPECT_EQ(allocator_.live_bytes(), source.buffer_bytes(begin, end));
        EXPECT_EQ(allocator_.live_bytes() != 0, copied);

        const auto view = source.tensor_bytes(begin, end - begin);
        ASSERT_TRUE(view.ok()) << view.status().text();
        EXPECT_EQ(std::memcmp(view->data, bytes_.data() + begin, end - begin), 0);
        EXPECT_EQ(view->is_mapped, source.place() == WeightPlace::kMapped);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(view->data) % 64, begin % 64);
        EXPECT_FALSE(source.tensor_bytes(begin, end).ok());
        EXPECT_FALSE(source.tensor_bytes(UINT64_MAX, 2).ok());
        EXPECT_EQ(source.tensor_bytes(0, 8).ok(), !copied);
    }

    Allocator allocator_;
    AlignedBytes bytes_ = some_bytes();
};

TEST_F(SourceTest, FileIsMapped) {
    const TemporaryFile file(temporary_path("mapped"), bytes_);
    expect_bytes(path_source(file.path()), false, WeightPlace::kMapped);
    expect_bytes(path_source(file.path(), 0, bytes_.size()), false, WeightPlace::kMapped);
}

TEST_F(SourceTest, FileIsReadWithoutMmap) {
    const TemporaryFile file(temporary_path("read"), bytes_);
    expect_bytes(path_source(file.path()), true, WeightPlace::kCopied);
}

TEST_F(SourceTest, RangeOfAPackIsMappedWhereItIsAligned) {
    AlignedBytes packed = bytes_;
    packed.insert(packed.end(), 1000, 0xee);  // something follows
    for (const size_t lead : {64, 4160}) {
        const TemporaryFile file(temporary_path("pack"), packed, lead);
        expect_bytes(path_source(file.path(), lead, bytes_.size()), false, WeightPlace::kMapped);
    }
    for (const size_t lead : {1, 32, 4100}) {
        const TemporaryFile file(temporary_path("pack"), packed, lead);
        expect_bytes(path_source(file.path(), lead, bytes_.size()), false, WeightPlace::kCopied);
    }
}

TEST_F(SourceTest, MemoryIsUsedInPlace) {
    MemorySource memory(bytes_);
    expect_bytes(memory.in_place(), false, WeightPlace::kBorrowed);
    EXPECT_EQ(memory.n_released(), 1);
}

TEST_F(SourceTest, CallbackIsReadIntoABuffer) {
    MemorySource memory(bytes_);
    expect_bytes(memory.by_callback(), false, WeightPlace::kCopied);
    EXPECT_EQ(memory.n_released(), 1);
}

TEST_F(SourceTest, FailingCallbackStopsTheLoad) {
    MemorySource memory(bytes_);
    memory.fail_from_read(1);
    const puna_source descriptor = memory.by_callback();
    auto sources = open_sources({&descriptor, 1}, false);
    ASSERT_TRUE(sources.ok());
    const Status status =
        sources->front()->load(0, bytes_.size(), allocator_, [](uint64_t) { return Status(); });
    EXPECT_EQ(status.code(), PUNA_ERROR_CALLBACK_STOPPED);
    EXPECT_STREQ(status.text(), "source 0: the read callback failed on 1048576 bytes at 1048576");
    EXPECT_EQ(allocator_.live_bytes(), 0u);
}

TEST_F(SourceTest, ReleaseIsCalledOnceWithTheLastReference) {
    MemorySource memory(bytes_);
    const puna_source descriptor = memory.in_place();
    std::shared_ptr<Source> kept;
    {
        auto sources = open_sources({&descriptor, 1}, false);
        ASSERT_TRUE(sources.ok());
        kept = sources->front();
    }
    EXPECT_EQ(memory.n_released(), 0);
    kept.reset();
    EXPECT_EQ(memory.n_released(), 1);
}

TEST_F(SourceTest, AllAreReleasedWhenOneDoesNotOpen) {
    MemorySource first(bytes_);
    MemorySource second(bytes_);
    MemorySource third(bytes_);
    puna_source descriptors[] = {first.in_place(), second.in_place(), third.by_callback()};
    descriptors[1].offset = 64;
    const auto sources = open_sources(descriptors, false);
    EXPECT_STREQ(sources.status().text(), "sources[1]: offset must be 0 with memory and read");
    EXPECT_EQ(first.n_released(), 1);
    EXPECT_EQ(second.n_released(), 1);
    EXPECT_EQ(third.n_released(), 1);
}

TEST_F(SourceTest, WrongDescriptorsAreRefused) {
    MemorySource memory(bytes_);
    const auto expect_argument_error = [](const puna_source& descriptor, const char* text) {
        const auto sources = open_sources({&descriptor, 1}, false);
        EXPECT_EQ(sources.status().code(), PUNA_ERROR_ARGUMENT);
        EXPECT_STREQ(sources.status().text(), text);
    };
    const puna_source nothing = PUNA_SOURCE_INIT;
    expect_argument_error(nothing, "sources[0]: set exactly one of path, memory and read");
    puna_source both = memory.in_place();
    both.path = "model.gguf";
    expect_argument_error(both, "sources[0]: set exactly one of path, memory and read");
    puna_source unaligned = memory.in_place();
    unaligned.memory = memory.bytes().data() + 32;
    expect_argument_error(unaligned, "sources[0]: memory must be aligned to 64 bytes");
    puna_source empty = memory.by_callback();
    empty.length = 0;
    expect_argument_error(empty,
                          "sources[0]: length must be the size of the GGUF with memory and read");
    puna_source endless = memory.by_callback();
    endless.length = UINT64_MAX;
    expect_argument_error(endless, "sources[0]: length exceeds the address space");
    puna_source reserved = memory.in_place();
    reserved.reserved = 1;
    expect_argument_error(reserved, "sources[0]: reserved fields must be 0");
}

TEST_F(SourceTest, RangesPastTheEndOfAFileAreRefused) {
    const TemporaryFile file(temporary_path("short"), bytes_);
    for (const auto& [offset, length] : {std::pair<uint64_t, uint64_t>{bytes_.size() + 1, 0},
                                         {0, bytes_.size() + 1},
                                         {bytes_.size(), 1},
                                         {64, UINT64_MAX - 32}}) {
        const puna_source descriptor = path_source(file.path(), offset, length);
        const auto sources = open_sources({&descriptor, 1}, false);
        EXPECT_FALSE(sources.ok());
        EXPECT_NE(std::strstr(sources.status().text(), file.path().c_str()), nullptr);
    }
    const std::string absent_path = temporary_path("absent");
    const puna_source absent = path_source(absent_path);
    EXPECT_EQ(open_sources({&absent, 1}, false).status().code(), PUNA_ERROR_IO);
}

}  // namespace
}  // namespace puna::core
