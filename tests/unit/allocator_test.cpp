#include "base/allocator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <new>
#include <string>

namespace puna::core {
namespace {

// What a host's hooks see.
struct Host {
    size_t n_allocs = 0;
    size_t n_frees = 0;
    size_t live = 0;
    size_t last_size = 0;
    size_t last_alignment = 0;
    bool fail = false;
    bool misalign = false;

    AllocatorHooks hooks() { return {&alloc, &free, this}; }

    static void* alloc(void* user, size_t size, size_t alignment) {
        Host& host = *static_cast<Host*>(user);
        if (host.fail) return nullptr;
        ++host.n_allocs;
        host.live += size;
        host.last_size = size;
        host.last_alignment = alignment;
        char* block = static_cast<char*>(
            ::operator new(size + alignment, std::align_val_t(alignment), std::nothrow));
        return host.misalign ? block + 1 : block;
    }
    static void free(void* user, void* ptr, size_t size, size_t alignment) {
        Host& host = *static_cast<Host*>(user);
        ++host.n_frees;
        host.live -= size;
        char* block = static_cast<char*>(ptr) - (host.misalign ? 1 : 0);
        ::operator delete(block, std::align_val_t(alignment));
    }
};

bool is_aligned(const void* ptr, size_t alignment) {
    return reinterpret_cast<uintptr_t>(ptr) % alignment == 0;
}

TEST(Allocator, GivesAlignedMemoryAndCountsIt) {
    Allocator allocator;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void* ptr = allocator.allocate(100, alignment);
        ASSERT_NE(ptr, nullptr);
        EXPECT_TRUE(is_aligned(ptr, alignment));
        std::memset(ptr, 1, 100);
        EXPECT_GE(allocator.live_bytes(), 100u);
        allocator.deallocate(ptr, 100, alignment);
        EXPECT_EQ(allocator.live_bytes(), 0u);
    }
    EXPECT_EQ(allocator.peak_bytes(), 4096u);
    allocator.deallocate(nullptr, 100, 64);
    EXPECT_EQ(allocator.live_bytes(), 0u);
}

TEST(Allocator, ImpossibleSizesAreFailures) {
    Allocator allocator;
    EXPECT_EQ(allocator.allocate(std::numeric_limits<size_t>::max(), 64), nullptr);
    EXPECT_EQ(allocator.allocate(std::numeric_limits<size_t>::max() - 62, 64), nullptr);
    EXPECT_EQ(allocator.live_bytes(), 0u);
    EXPECT_EQ(allocator.peak_bytes(), 0u);
}

TEST(Allocator, HooksGetWholeMultiplesAndTheirOwnPointers) {
    Host host;
    Allocator allocator(host.hooks());
    void* ptr = allocator.allocate(65, 64);
    ASSERT_NE(ptr, nullptr);
    EXPECT_EQ(host.last_size, 128u);
    EXPECT_EQ(host.last_alignment, 64u);
    EXPECT_EQ(allocator.live_bytes(), host.live);
    allocator.deallocate(ptr, 65, 64);
    EXPECT_EQ(host.n_allocs, 1u);
    EXPECT_EQ(host.n_frees, 1u);
    EXPECT_EQ(host.live, 0u);
}

TEST(Allocator, ZeroBytesAreAllowed) {
    Host host;
    Allocator allocator(host.hooks());
    void* ptr = allocator.allocate(0, 64);
    ASSERT_NE(ptr, nullptr);
    EXPECT_NE(host.last_size, 0u);
    allocator.deallocate(ptr, 0, 64);
    EXPECT_EQ(host.live, 0u);
}

TEST(Allocator, MemoryThatIsNotAlignedIsGivenBack) {
    Host host;
    host.misalign = true;
    Allocator allocator(host.hooks());
    EXPECT_EQ(allocator.allocate(64, 64), nullptr);
    EXPECT_EQ(host.n_frees, 1u);
    EXPECT_EQ(allocator.live_bytes(), 0u);
}

TEST(Buffer, OwnsItsBytes) {
    Host host;
    Allocator allocator(host.hooks());
    {
        Result<Buffer> buffer = Buffer::create(allocator, 100);
        ASSERT_TRUE(buffer.ok());
        EXPECT_EQ(buffer->size(), 100u);
        EXPECT_TRUE(is_aligned(buffer->data(), 64));
        std::memset(buffer->as<char>(), 7, 100);
        EXPECT_EQ(host.live, 128u);
    }
    EXPECT_EQ(host.live, 0u);
    EXPECT_EQ(allocator.live_bytes(), 0u);
    EXPECT_EQ(allocator.peak_bytes(), 128u);
}

TEST(Buffer, MovesWithoutCopying) {
    Host host;
    Allocator allocator(host.hooks());
    Buffer a = std::move(*Buffer::create(allocator, 64));
    Buffer b = std::move(*Buffer::create(allocator, 256, 128));
    const void* bytes = a.data();
    b = std::move(a);
    EXPECT_EQ(b.data(), bytes);
    EXPECT_EQ(b.size(), 64u);
    EXPECT_EQ(host.live, 64u);  // what b held before is gone
    Buffer c(std::move(b));
    EXPECT_EQ(c.data(), bytes);
    Buffer& same = c;
    c = std::move(same);
    EXPECT_EQ(c.data(), bytes);
    c = Buffer();
    EXPECT_EQ(host.live, 0u);
    EXPECT_EQ(host.n_frees, host.n_allocs);
}

TEST(Buffer, ZeroBytesHaveAnAddress) {
    Allocator allocator;
    Result<Buffer> buffer = Buffer::create(allocator, 0);
    ASSERT_TRUE(buffer.ok());
    EXPECT_NE(buffer->data(), nullptr);
    EXPECT_EQ(buffer->size(), 0u);
}

TEST(Buffer, FailureNamesWhatAndHowMuch) {
    Host host;
    host.fail = true;
    Allocator allocator(host.hooks());
    const Result<Buffer> buffer = Buffer::create(allocator, 12345, 64, "KV cache");
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.status().code(), PUNA_ERROR_OUT_OF_MEMORY);
    EXPECT_NE(std::string(buffer.status().text()).find("KV cache"), std::string::npos);
    EXPECT_NE(std::string(buffer.status().text()).find("12345"), std::string::npos);
    EXPECT_EQ(allocator.live_bytes(), 0u);
}

}  // namespace
}  // namespace puna::core
