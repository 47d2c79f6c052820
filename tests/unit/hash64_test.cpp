#include "base/hash64.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <set>
#include <string_view>
#include <vector>

namespace puna::core {
namespace {

uint64_t hash_text(std::string_view text, uint64_t seed = 0) {
    return hash64(std::as_bytes(std::span(text.data(), text.size())), seed);
}

std::vector<std::byte> counted_bytes(size_t n) {
    std::vector<std::byte> bytes(n);
    for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
    return bytes;
}

// Files hold these values, so they hold for ever; computed apart from this code.
TEST(Hash64, HasTheValuesThatFilesHold) {
    EXPECT_EQ(hash_text(""), 0x802fae174020dea1u);
    EXPECT_EQ(hash_text("", 0x1), 0x44ca32374d9f375cu);
    EXPECT_EQ(hash_text("a"), 0x0d12599603b66a17u);
    EXPECT_EQ(hash_text("puna-seq"), 0xf01462f4100cc132u);
    EXPECT_EQ(hash_text("puna-seq!"), 0xe0447866e0f7d085u);
    EXPECT_EQ(hash_text("The quick brown fox jumps over the lazy dog"), 0x5a737c05dee112abu);
    EXPECT_EQ(hash_text("The quick brown fox jumps over the lazy dog", 0x123456789abcdef),
              0x450354aac8e1bfdeu);
    EXPECT_EQ(hash64(counted_bytes(1000)), 0xbdb79f7026d2c95fu);
}

TEST(Hash64, DoesNotDependOnTheAddress) {
    const std::vector<std::byte> bytes = counted_bytes(61);
    std::vector<std::byte> shifted(bytes.size() + 8);
    for (size_t shift = 0; shift < 8; ++shift) {
        std::memcpy(shifted.data() + shift, bytes.data(), bytes.size());
        EXPECT_EQ(hash64(std::span(shifted).subspan(shift, bytes.size())), hash64(bytes));
    }
}

TEST(Hash64, TellsEveryFlippedBitAndEveryLengthApart) {
    std::set<uint64_t> seen;
    size_t n_inputs = 0;
    for (size_t n = 0; n <= 40; ++n) {
        std::vector<std::byte> bytes(n);  // zeros, which a padded tail must not swallow
        seen.insert(hash64(bytes));
        ++n_inputs;
        for (size_t bit = 0; bit < 8 * n; ++bit) {
            bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
            seen.insert(hash64(bytes));
            ++n_inputs;
            bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        }
    }
    EXPECT_EQ(seen.size(), n_inputs);
}

TEST(Hash64, ChangesHalfOfItsBitsForEachOfTheInput) {
    std::vector<std::byte> bytes = counted_bytes(29);
    const uint64_t before = hash64(bytes);
    int n_changed = 0;
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        const int n = std::popcount(before ^ hash64(bytes));
        EXPECT_GE(n, 12) << "bit " << bit;
        n_changed += n;
        bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    const double mean = n_changed / (8.0 * static_cast<double>(bytes.size()));
    EXPECT_NEAR(mean, 32, 1.5);
}

TEST(Hash64, OrderOfWordsCounts) {
    EXPECT_NE(hash_text("aaaaaaaabbbbbbbb"), hash_text("bbbbbbbbaaaaaaaa"));
    EXPECT_NE(hash_text("b", hash_text("a")), hash_text("a", hash_text("b")));
}

}  // namespace
}  // namespace puna::core
