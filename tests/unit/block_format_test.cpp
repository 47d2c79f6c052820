#include "format/block_format.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "format/byte_order.h"
#include "format/half.h"
#include "format/random_blocks.h"
#include "support/block_halves.h"

namespace puna::core {
namespace {

// FNV-1a: the expected values below stand for the bytes that the `gguf` Python package (0.19)
// makes of the same numbers.
uint64_t fnv(const void* data, size_t n_bytes) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n_bytes; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

std::vector<float> reference_values() {
    std::vector<float> values(4096);
    uint32_t state = 12345;
    for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        const auto mantissa = static_cast<int32_t>(state >> 8) - (1 << 23);
        value = std::ldexp(static_cast<float>(mantissa), -(20 + static_cast<int>(state % 24)));
    }
    return values;
}

TEST(BlockFormat, TableEqualsTheFormatsOfGguf) {
    std::string table;
    for (const BlockFormatInfo& info : block_formats()) {
        table += std::to_string(static_cast<uint32_t>(info.format)) + " " + info.name + " " +
                 std::to_string(info.block_length) + " " + std::to_string(info.block_bytes) + "\n";
    }
    // Of the package's table with the 36 bytes that ggml gives a Q8_1 block (it says 40).
    EXPECT_EQ(fnv(table.data(), table.size()), 0xf5b27326a8f033ccu) << table;
    EXPECT_EQ(find_block_format(4), nullptr);
    EXPECT_EQ(find_block_format(42), nullptr);
    EXPECT_EQ(find_block_format(UINT32_MAX), nullptr);
}

TEST(BlockFormat, BytesOfElements) {
    EXPECT_EQ(block_format_bytes(BlockFormat::kF32, 5), 20u);
    EXPECT_EQ(block_format_bytes(BlockFormat::kQ8_0, 96), 102u);
    EXPECT_EQ(block_format_bytes(BlockFormat::kQ8_0, 0), 0u);
    EXPECT_EQ(block_format_bytes(BlockFormat::kQ8_0, 95), std::nullopt);
    EXPECT_EQ(block_format_bytes(BlockFormat::kF32, UINT64_MAX), std::nullopt);
    EXPECT_EQ(block_format_bytes(BlockFormat::kF64, 1ull << 61), std::nullopt);
    EXPECT_EQ(block_format_bytes(BlockFormat::kF64, (1ull << 61) - 1), (1ull << 61) * 8 - 8);
}

TEST(BlockFormat, RowsAreRefused) {
    float values[64] = {};
    std::array<std::byte, 64> block{};
    EXPECT_EQ(dequantize_row(BlockFormat::kI32, block.data(), values, 32).code(),
              PUNA_ERROR_UNSUPPORTED);
    EXPECT_EQ(quantize_row(BlockFormat::kQ8_1, values, block.data(), 32).code(),
              PUNA_ERROR_UNSUPPORTED);
    EXPECT_EQ(dequantize_row(BlockFormat::kQ8_0, block.data(), values, 33).code(),
              PUNA_ERROR_ARGUMENT);
    EXPECT_EQ(quantize_row(BlockFormat::kQ8_0, values, block.data(), -32).code(),
              PUNA_ERROR_ARGUMENT);
    EXPECT_FALSE(is_supported(BlockFormat::kI32));
    EXPECT_TRUE(is_supported(BlockFormat::kQ8_0));
}

struct Expected {
    BlockFormat format;
    uint64_t packed;
    uint64_t unpacked;
};

TEST(BlockFormat, EqualsTheReferenceBitForBit) {
    const std::vector<float> values = reference_values();
    ASSERT_EQ(fnv(values.data(), values.size() * sizeof(float)), 0x6d0baacac49cf5aau);
    const Expected expected[] = {
        {BlockFormat::kF32, 0x6d0baacac49cf5aau, 0x6d0baacac49cf5aau},
        {BlockFormat::kF16, 0xe215577e639075fbu, 0x788aa0cad55d3c10u},
        {BlockFormat::kBF16, 0x9b902a2b0e88c8d1u, 0xa3359e99c59a8201u},
        {BlockFormat::kQ8_0, 0x03104caec2b758ceu, 0x2ee57ee1ab18953fu},
    };
    const auto n = static_cast<int64_t>(values.size());
    for (const Expected& e : expected) {
        // One byte off, as a tensor in a file may lie.
        std::vector<std::byte> packed(*block_format_bytes(e.format, values.size()) + 1);
        std::vector<float> unpacked(values.size());
        ASSERT_TRUE(quantize_row(e.format, values.data(), packed.data() + 1, n).ok());
        ASSERT_TRUE(dequantize_row(e.format, packed.data() + 1, unpacked.data(), n).ok());
        EXPECT_EQ(fnv(packed.data() + 1, packed.size() - 1), e.packed)
            << block_format_name(e.format);
        EXPECT_EQ(fnv(unpacked.data(), unpacked.size() * sizeof(float)), e.unpacked)
            << block_format_name(e.format);
    }
}

// --- every format: the values that the `gguf` package reads from the same blocks -----------------

// What data/block_values.py has written for one format.
struct StoredValues {
    const BlockFormatInfo* info = nullptr;
    int64_t n_blocks = 0;
    uint64_t bulk_checksum = 0;
    std::vector<uint8_t> packed;
    std::vector<float> values;
};

std::vector<StoredValues> read_stored_values() {
    std::ifstream file(PUNA_SOURCE_DIR "/tests/unit/data/block_values.bin", std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    std::vector<StoredValues> formats;
    for (size_t at = 0; at < bytes.size();) {
        StoredValues stored;
        stored.info = find_block_format(load_le<uint32_t>(&bytes.at(at)));
        stored.n_blocks = load_le<uint32_t>(&bytes.at(at + 4));
        stored.bulk_checksum = load_le<uint64_t>(&bytes.at(at + 8));
        at += 16;
        const auto n_blocks = static_cast<size_t>(stored.n_blocks);
        stored.packed.resize(n_blocks * stored.info->block_bytes);
        std::memcpy(stored.packed.data(), &bytes.at(at), stored.packed.size());
        at += stored.packed.size();
        stored.values.resize(n_blocks * stored.info->block_length);
        for (float& value : stored.values) {
            value = load_le<float>(&bytes.at(at));
            bytes.at(at + 3);
            at += 4;
        }
        formats.push_back(std::move(stored));
    }
    return formats;
}

TEST(BlockFormat, BlocksHaveTheValuesThatOthersRead) {
    std::set<BlockFormat> seen;
    for (const StoredValues& stored : read_stored_values()) {
        const BlockFormatInfo& info = *stored.info;
        seen.insert(info.format);
        // Off every alignment, and exactly as large as the blocks.
        std::vector<uint8_t> memory(stored.packed.size() + 1);
        std::memcpy(memory.data() + 1, stored.packed.data(), stored.packed.size());
        std::vector<float> values(stored.values.size());
        const auto n = static_cast<int64_t>(values.size());
        ASSERT_TRUE(dequantize_row(info.format, memory.data() + 1, values.data(), n).ok());
        for (size_t i = 0; i < values.size(); ++i) {
            ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(stored.values[i]))
                << info.name << " block " << i / info.block_length << " element "
                << i % info.block_length << ": " << values[i] << ", not " << stored.values[i];
        }
    }
    for (const BlockFormatInfo& info : block_formats()) {
        if (info.block_length == 1) continue;
        EXPECT_EQ(seen.count(info.format) != 0, is_supported(info.format)) << info.name;
    }
}

// Enough random blocks for every entry of every grid.
TEST(BlockFormat, ManyBlocksHaveTheValuesThatOthersRead) {
    constexpr size_t kBlocks = 1024;
    for (const StoredValues& stored : read_stored_values()) {
        const BlockFormatInfo& info = *stored.info;
        std::vector<uint8_t> packed(kBlocks * info.block_bytes);
        RandomBits(static_cast<uint32_t>(info.format)).fill(packed.data(), packed.size());
        for (size_t i = 0; i < kBlocks; ++i) {
            test::make_scales_finite(info.format, &packed[i * info.block_bytes]);
        }
        std::vector<float> values(kBlocks * info.block_length);
        const auto n = static_cast<int64_t>(values.size());
        ASSERT_TRUE(dequantize_row(info.format, packed.data(), values.data(), n).ok());
        uint64_t checksum = 0;
        for (size_t i = 0; i < values.size(); ++i) {
            checksum += (2 * i + 1) * std::bit_cast<uint32_t>(values[i]);
        }
        EXPECT_EQ(checksum, stored.bulk_checksum) << info.name;
    }
}

// A file may hold any bytes: sanitizers watch.
TEST(BlockFormat, AnyBytesAreBlocks) {
    RandomBits bits(3);
    for (const BlockFormatInfo& info : block_formats()) {
        if (!is_supported(info.format)) continue;
        std::vector<uint8_t> packed(64 * info.block_bytes);
        std::vector<float> values(64 * info.block_length);
        bits.fill(packed.data(), packed.size());
        const auto n = static_cast<int64_t>(values.size());
        EXPECT_TRUE(dequantize_row(info.format, packed.data(), values.data(), n).ok());
    }
}

TEST(BlockFormat, Q8_0Block) {
    float values[32];
    for (int i = 0; i < 32; ++i) values[i] = static_cast<float>((i * 37) % 101 - 50) / 16;
    uint8_t block[34];
    quantize_q8_0(values, block, 32);
    const uint8_t expected[34] = {77,  38,  129, 223, 61,  154, 248, 86,  180, 18,  112, 205,
                                  43,  137, 231, 69,  162, 0,   94,  187, 25,  119, 213, 51,
                                  144, 238, 76,  170, 8,   102, 195, 33,  127, 220};
    EXPECT_EQ(std::memcmp(block, expected, sizeof block), 0);
    float back[32];
    dequantize_q8_0(block, back, 32);
    EXPECT_EQ(back[0], -0x1.90198p+1f);
    EXPECT_EQ(back[31], -0x1.c5a8p-1f);
}

TEST(BlockFormat, Q8_0OfExtremes) {
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    uint8_t block[34];
    float back[32];
    for (const float extreme : {0.0f, 1e-45f, 1e-39f, -1e-30f, infinity, -infinity, nan}) {
        float values[32] = {};
        values[7] = extreme;
        values[8] = 1e-45f;
        quantize_q8_0(values, block, 32);
        dequantize_q8_0(block, back, 32);
        if (std::isfinite(extreme)) {
            for (const float x : back) EXPECT_EQ(x, 0.0f) << extreme;
        } else {
            EXPECT_TRUE(std::isnan(back[7])) << extreme;
        }
    }
}

// --- half.h: every value, and every border between two ------------------------------------------

double half_by_definition(uint32_t bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double mantissa = bits & 1023;
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Half, WidensExactly) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const float value = half_to_float(static_cast<uint16_t>(bits));
        if ((bits & 0x7fff) < 0x7c00) {
            ASSERT_EQ(static_cast<double>(value), half_by_definition(bits)) << bits;
            ASSERT_EQ(std::signbit(value), bits >= 0x8000);
        } else {
            ASSERT_EQ(std::isinf(value), (bits & 1023) == 0);
            ASSERT_EQ(std::isnan(value), (bits & 1023) != 0);
        }
    }
}

TEST(Half, RoundsToNearestEven) {
    for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
        const auto low = static_cast<uint16_t>(bits);
        const auto high = static_cast<uint16_t>(bits + 1);  // infinity counts as 65536
        const auto middle = static_cast<float>(
            (half_by_definition(bits) + (high == 0x7c00 ? 65536 : half_by_definition(high))) / 2);
        const uint16_t even = (low & 1) == 0 ? low : high;
        ASSERT_EQ(float_to_half(half_to_float(low)), low);
        ASSERT_EQ(float_to_half(middle), even) << bits;
        ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), low) << bits;
        ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9f)), high) << bits;
        ASSERT_EQ(float_to_half(-middle), even | 0x8000) << bits;
    }
    EXPECT_EQ(float_to_half(1e38f), 0x7c00);
    EXPECT_EQ(float_to_half(-std::numeric_limits<float>::infinity()), 0xfc00);
    EXPECT_EQ(float_to_half(std::numeric_limits<float>::quiet_NaN()), 0x7e00);
    EXPECT_EQ(float_to_half(1e-45f), 0);
    EXPECT_EQ(float_to_half(-0.0f), 0x8000);
}

TEST(Bfloat16, RoundsToNearestEven) {
    for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
        const auto low = static_cast<uint16_t>(bits);
        const auto high = static_cast<uint16_t>(bits + 1);
        const auto middle = std::bit_cast<float>(bits << 16 | 0x8000u);
        const uint16_t even = (low & 1) == 0 ? low : high;
        ASSERT_EQ(float_to_bfloat16(bfloat16_to_float(low)), low);
        ASSERT_EQ(float_to_bfloat16(middle), even) << bits;
        ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(bits << 16 | 0x7fffu)), low) << bits;
        ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>(bits << 16 | 0x8001u)), high) << bits;
        ASSERT_EQ(float_to_bfloat16(-middle), even | 0x8000) << bits;
    }
    EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
    EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::infinity()), 0x7f80);
}

}  // namespace
}  // namespace puna::core
