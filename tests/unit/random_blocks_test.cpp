#include "format/random_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "format/block_format.h"
#include "format/block_layout.h"

namespace puna::core {
namespace {

constexpr int64_t kElements = 1 << 17;

std::vector<uint8_t> random_row(BlockFormat format, uint64_t seed, float deviation, int64_t n) {
    std::vector<uint8_t> packed(*block_format_bytes(format, static_cast<uint64_t>(n)));
    RandomBits bits(seed);
    random_blocks(format, bits, deviation, packed.data(), n);
    return packed;
}

std::vector<float> random_values(BlockFormat format, uint64_t seed, float deviation) {
    const auto packed = random_row(format, seed, deviation, kElements);
    std::vector<float> values(kElements);
    EXPECT_TRUE(dequantize_row(format, packed.data(), values.data(), kElements).ok());
    return values;
}

TEST(RandomBits, IsSplitMix64) {
    RandomBits bits(1234567);  // the published sequence
    for (const uint64_t expected :
         {6457827717110365317u, 3203168211198807973u, 9817491932198370423u}) {
        EXPECT_EQ(bits.next(), expected);
    }
    std::array<uint8_t, 11> bytes{};
    RandomBits(1234567).fill(bytes.data(), 10);
    EXPECT_EQ(bytes[0], 6457827717110365317u & 255);
    EXPECT_EQ(bytes[7], 6457827717110365317u >> 56);
    EXPECT_EQ(bytes[9], 3203168211198807973u >> 8 & 255);
    EXPECT_EQ(bytes[10], 0);
}

TEST(RandomBlocks, HaveTheirMeanAndDeviation) {
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format)) continue;
        for (const float deviation : {0.001f, 0.02f, 1.0f, 700.0f, 1000.0f}) {
            double sum = 0.0;
            double squares = 0.0;
            for (const float value : random_values(info.format, 5, deviation)) {
                ASSERT_TRUE(std::isfinite(value)) << info.name;
                sum += value;
                squares += static_cast<double>(value) * value;
            }
            EXPECT_NEAR(sum / kElements, 0.0, 0.03 * deviation) << info.name;
            EXPECT_NEAR(std::sqrt(squares / kElements), deviation, 0.03 * deviation) << info.name;
        }
    }
}

// Every quant occurs in a block's bytes, and no two blocks in a row share their scale.
TEST(RandomBlocks, AreNotDegenerate) {
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format) || info.block_length == 1) continue;
        const auto values = random_values(info.format, 9, 1.0f);
        std::vector<double> largest;
        for (size_t i = 0; i < values.size(); i += info.block_length) {
            double block = 0.0;
            for (size_t j = 0; j < info.block_length; ++j) {
                block = std::max(block, std::fabs(static_cast<double>(values[i + j])));
            }
            largest.push_back(block);
        }
        std::sort(largest.begin(), largest.end());
        const double low = largest[largest.size() / 10];
        const double high = largest[largest.size() * 9 / 10];
        EXPECT_GT(high, 1.15 * low) << info.name;
        EXPECT_LT(high, 5.0 * low) << info.name;

        // A byte of quants takes every value.
        const auto packed = random_row(info.format, 9, 1.0f, kElements);
        std::set<uint8_t> seen;
        for (size_t i = 0; i < packed.size(); i += info.block_bytes) {
            for (size_t j = 20; j < 30; ++j) seen.insert(packed[i + j % info.block_bytes]);
        }
        EXPECT_EQ(seen.size(), 256u) << info.name;
    }
}

TEST(RandomBlocks, SubScalesTakeEveryValueAndMinsAreNearThem) {
    const auto packed = random_row(BlockFormat::kQ4_K, 3, 1.0f, kElements);
    std::set<int> scales;
    std::set<int> mins;
    double difference = 0.0;
    for (size_t i = 0; i < packed.size(); i += sizeof(BlockQ4_K)) {
        BlockQ4_K block;
        std::memcpy(&block, &packed[i], sizeof block);
        for (int sub = 0; sub < 4; ++sub) {
            const int scale = block.sub_scales.bytes[sub] & 63;
            const int min = block.sub_scales.bytes[sub + 4] & 63;
            scales.insert(scale);
            mins.insert(min);
            difference += std::abs(scale - min);
        }
    }
    EXPECT_EQ(scales.size(), 64u);
    EXPECT_EQ(mins.size(), 64u);
    EXPECT_LT(difference / (kElements / 64.0), 12.0);  // 21.3 if they were independent
}

TEST(RandomBlocks, FollowTheSeed) {
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format)) continue;
        const auto row = random_row(info.format, 1, 0.02f, 1024);
        EXPECT_EQ(row, random_row(info.format, 1, 0.02f, 1024)) << info.name;
        EXPECT_NE(row, random_row(info.format, 2, 0.02f, 1024)) << info.name;
    }
}

// The same bytes on every platform: synthetic models are compared across them.
TEST(RandomBlocks, AreTheSameEverywhere) {
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format)) continue;
        for (const uint8_t byte : random_row(info.format, 1, 0.02f, 4096)) {
            hash = (hash ^ byte) * 0x100000001b3u;
        }
    }
    EXPECT_EQ(hash, 10131580581405838269u);
}

}  // namespace
}  // namespace puna::core
