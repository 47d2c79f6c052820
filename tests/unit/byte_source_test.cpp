#include "format/byte_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "support/random_numbers.h"

namespace puna::core {
namespace {

std::vector<std::byte> random_bytes(size_t n) {
    test::RandomNumbers random(7);
    std::vector<std::byte> bytes(n);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
    return bytes;
}

// Serves the bytes and remembers what was asked for.
struct Recorder {
    ReadAt callback() {
        return [this](uint64_t offset, void* dst, size_t n) {
            if (!failure.ok()) return failure;
            EXPECT_LE(offset + n, bytes.size());
            std::memcpy(dst, bytes.data() + offset, n);
            reads.emplace_back(offset, n);
            return Status();
        };
    }

    std::vector<std::byte> bytes;
    std::vector<std::pair<uint64_t, size_t>> reads;
    Status failure;
};

TEST(ByteSource, KindsAgreeOnRandomReads) {
    Recorder file{random_bytes(300000), {}, {}};
    SpanSource span_source(file.bytes);
    CallbackSource callback_source(file.bytes.size(), file.callback());
    test::RandomNumbers random(1);
    std::vector<std::byte> a(200000);
    std::vector<std::byte> b(200000);
    for (int i = 0; i < 2000; ++i) {
        const size_t n = random.below(random.below(8) == 0 ? 150000 : 100);
        if (random.below(4) == 0) {
            const uint64_t to = random.below(span_source.position() + 1);
            span_source.rewind(to);
            callback_source.rewind(to);
        }
        const bool fits = n <= span_source.remaining();
        if (random.below(5) == 0) {
            ASSERT_EQ(span_source.skip(n).ok(), fits);
            ASSERT_EQ(callback_source.skip(n).ok(), fits);
        } else {
            ASSERT_EQ(span_source.read(a.data(), n).ok(), fits);
            ASSERT_EQ(callback_source.read(b.data(), n).ok(), fits);
            ASSERT_EQ(std::memcmp(a.data(), b.data(), n), 0);
        }
        ASSERT_EQ(span_source.position(), callback_source.position());
    }
}

TEST(ByteSource, RefusesToPassTheEndAndStaysWhereItWas) {
    const std::vector<std::byte> bytes = random_bytes(10);
    SpanSource source(bytes);
    std::byte out[16];
    ASSERT_TRUE(source.read(out, 4).ok());
    const Status status = source.read(out, 7);
    EXPECT_EQ(status.code(), PUNA_ERROR_TRUNCATED);
    EXPECT_STREQ(status.text(), "the file ends at byte 10, 7 bytes are needed at byte 4");
    EXPECT_EQ(source.skip(UINT64_MAX).code(), PUNA_ERROR_TRUNCATED);
    EXPECT_EQ(source.position(), 4u);
    EXPECT_TRUE(source.skip(6).ok());
    EXPECT_EQ(source.remaining(), 0u);
}

TEST(ByteSource, ViewsMemoryInPlace) {
    const std::vector<std::byte> bytes = random_bytes(10);
    SpanSource source(bytes);
    ASSERT_TRUE(source.skip(3).ok());
    EXPECT_EQ(source.view(7), bytes.data() + 3);
    CallbackSource callback_source(10, nullptr);
    EXPECT_EQ(callback_source.view(10), nullptr);
}

TEST(CallbackSource, ReadsInBlocksAndLargePiecesAtOnce) {
    Recorder file{random_bytes(200000), {}, {}};
    CallbackSource source(file.bytes.size(), file.callback());
    std::vector<std::byte> out(150000);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(source.read(out.data(), 8).ok());
    ASSERT_TRUE(source.read(out.data(), 150000).ok());
    using Reads = std::vector<std::pair<uint64_t, size_t>>;
    // One block for the small reads; the large one takes the rest of it and reads on without.
    EXPECT_EQ(file.reads, (Reads{{0, 65536}, {65536, 92464}}));
    EXPECT_EQ(std::memcmp(out.data(), file.bytes.data() + 8000, 150000), 0);
}

TEST(CallbackSource, ForgetsABlockThatFailed) {
    Recorder file{random_bytes(1000), {}, make_status(PUNA_ERROR_IO, "gone")};
    CallbackSource source(file.bytes.size(), file.callback());
    std::byte out[4];
    EXPECT_EQ(source.read(out, 4).code(), PUNA_ERROR_IO);
    EXPECT_EQ(source.position(), 0u);
    file.failure = Status();
    ASSERT_TRUE(source.read(out, 4).ok());
    EXPECT_EQ(std::memcmp(out, file.bytes.data(), 4), 0);
}

}  // namespace
}  // namespace puna::core
