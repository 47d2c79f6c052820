#include "cpu/kv_half.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "format/half.h"
#include "format/kv_format.h"
#include "support/backend_host.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<uint8_t> encoded(const KernelTable& table, int32_t type, std::span<const float> x) {
    const auto n = static_cast<int32_t>(x.size());
    constexpr size_t kGuard = 16;  // behind the line, and untouched
    std::vector<uint8_t> line(*kv_head_bytes(type, n) + kGuard, 0xa5);
    table.kv_encode[type].run(x.data(), n, line.data());
    for (size_t i = line.size() - kGuard; i < line.size(); ++i) EXPECT_EQ(line[i], 0xa5);
    line.resize(line.size() - kGuard);
    return line;
}

template <class Number>
Number number_at(const std::vector<uint8_t>& bytes, size_t at) {
    Number number;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    return number;
}

// Every exponent, ties and what has no place in a half, among random bits.
std::vector<float> hard_numbers() {
    test::RandomNumbers random(11);
    std::vector<float> x = {0.0f,     -0.0f,       65504.0f, 65519.9f,  65520.0f, -70000.0f,
                            1e30f,    -1e-30f,     2e-8f,    2.98e-8f,  6.1e-5f,  6.1035e-5f,
                            1.00049f, 2049.0f,     2051.0f,  kInfinity, NAN,      -kInfinity,
                            -NAN,     1.00390625f, 3.4e38f,  1e-45f};
    for (int i = 0; i < 4000; ++i) {
        x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random.below(uint64_t{1} << 32))));
    }
    return x;
}

TEST(KvEncode, SixteenBitsAreThoseOfTheReference) {
    const std::vector<float> x = hard_numbers();
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        const auto halves = encoded(table, PUNA_KV_F16, x);
        const auto bfloats = encoded(table, PUNA_KV_BF16, x);
        for (size_t i = 0; i < x.size(); ++i) {
            ASSERT_EQ(number_at<uint16_t>(halves, 2 * i), float_to_half(x[i]))
                << table.name << " of " << x[i];
            ASSERT_EQ(number_at<uint16_t>(bfloats, 2 * i), float_to_bfloat16(x[i]))
                << table.name << " of " << x[i];
        }
    }
}

TEST(KvEncode, Q8IsWithinHalfAUnitOfItsScale) {
    test::RandomNumbers random(4);
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const double size : {1e-4, 1.0, 1e5}) {
            for (size_t n = 1; n <= 70; ++n) {
                std::vector<float> x(n);
                for (float& v : x) v = static_cast<float>(size * random.normal());
                const auto line = encoded(table, PUNA_KV_Q8_0, x);
                for (size_t i = 0; i < n; ++i) {
                    const size_t block = i / 32;
                    float largest = 0.0f;
                    for (size_t j = block * 32; j < std::min(n, block * 32 + 32); ++j) {
                        largest = std::max(largest, std::fabs(x[j]));
                    }
                    const auto bits = number_at<uint16_t>(line, block * 34);
                    ASSERT_EQ(bits, float_to_half(largest / 127.0f)) << table.name;
                    const float scale = half_to_float(bits);
                    const auto q = number_at<int8_t>(line, block * 34 + 2 + i % 32);
                    // The largest may be a little more than 127 units of the rounded scale.
                    const double slack = std::max(0.0, static_cast<double>(largest) - 127 * scale);
                    ASSERT_NEAR(q * static_cast<double>(scale), x[i],
                                0.5001 * static_cast<double>(scale) + slack)
                        << table.name << " of " << n;
                }
            }
        }
    }
}

TEST(KvEncode, EverySetGivesTheSameBits) {
    const auto tables = test::runnable_kernel_tables();
    test::RandomNumbers random(6);
    const std::vector<float> hard = hard_numbers();
    for (int32_t type = PUNA_KV_F16; type <= PUNA_KV_Q8_0; ++type) {
        for (size_t n = 1; n <= 100; ++n) {
            std::vector<float> x(n);
            for (float& v : x) v = static_cast<float>(random.normal());
            if (n % 3 == 0) x[n / 2] = 0.0f;
            if (n % 4 == 0) std::fill(x.begin(), x.end(), 3e-6f);  // scales that F16 barely has
            if (n % 5 == 0) x[n - 1] = hard[n];
            const auto expected = encoded(tables[0], type, x);
            for (const KernelTable& table : tables) {
                EXPECT_EQ(encoded(table, type, x), expected) << table.name << " type " << type;
            }
        }
    }
}

TEST(KvEncode, Q8ShowsWhatItCannotHold) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const float bad : {NAN, -kInfinity, 1e7f}) {
            std::vector<float> x(40, 1.0f);
            x[7] = bad;
            const auto line = encoded(table, PUNA_KV_Q8_0, x);
            const float scale = half_to_float(number_at<uint16_t>(line, 0));
            EXPECT_TRUE(std::isnan(scale * number_at<int8_t>(line, 2))) << table.name;
            EXPECT_EQ(number_at<int8_t>(line, 36), 127) << "the other block is as it was";
        }
        const auto zeros = encoded(table, PUNA_KV_Q8_0, std::vector<float>(33, 0.0f));
        EXPECT_EQ(zeros, std::vector<uint8_t>(zeros.size(), 0));
    }
}

// Three pages of two heads in two layers.
class KvHalfTest : public testing::TestWithParam<int32_t> {
  protected:
    KvHalf half(int32_t keys_or_values, int32_t head_dim) {
        LayerSet layers;
        layers.services = &host_.services();
        layers.kernels = &kernels_;
        layers.spec.n_head_kv = 2;
        layers.spec.head_dim_k = head_dim;
        layers.spec.head_dim_v = head_dim;
        layers.layers.resize(2);
        puna_executor_options options = {};
        options.n_cells = 3 * PUNA_KV_PAGE;
        options.kv_type_k = options.kv_type_v = GetParam();
        auto planned = KvHalf::plan(layers, options, keys_or_values);
        KvHalf half = std::move(*planned);
        auto memory = HostMemory::create(host_.services(), half.size_bytes, "KV cache");
        half.memory = std::move(*memory);
        return half;
    }

    // What the bytes of a line mean.
    static std::vector<float> decoded(const std::vector<uint8_t>& line) {
        std::vector<float> x;
        const size_t element = GetParam() == PUNA_KV_F32 ? 4 : GetParam() == PUNA_KV_Q8_0 ? 1 : 2;
        for (size_t at = 0; at < line.size(); at += element) {
            if (GetParam() == PUNA_KV_F32) x.push_back(number_at<float>(line, at));
            if (GetParam() == PUNA_KV_F16) {
                x.push_back(half_to_float(number_at<uint16_t>(line, at)));
            }
            if (GetParam() == PUNA_KV_BF16) {
                x.push_back(bfloat16_to_float(number_at<uint16_t>(line, at)));
            }
            if (GetParam() == PUNA_KV_Q8_0 && at % 34 >= 2) {
                const float scale = half_to_float(number_at<uint16_t>(line, at / 34 * 34));
                x.push_back(scale * number_at<int8_t>(line, at));
            }
        }
        return x;
    }

    const KernelTable kernels_ = test::runnable_kernel_tables().back();
    test::BackendHost host_;
};

TEST_P(KvHalfTest, KeepsEveryCellApart) {
    for (const int32_t dim : {1, 2, 5, 31, 32, 33, 40, 63, 64, 80, 96, 255, 256, 257, 300, 545}) {
        for (const int32_t keys_or_values : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
            const KvHalf cache = half(keys_or_values, dim);
            EXPECT_EQ(cache.size_bytes, 2u * 3 * 2 * 32 * *kv_head_bytes(GetParam(), dim));
            test::RandomNumbers random(static_cast<uint64_t>(dim));
            std::vector<std::vector<uint8_t>> lines;
            std::vector<float> x(static_cast<size_t>(dim));
            for (int32_t i = 0; i < 2 * 2 * 96; ++i) {
                for (float& v : x) v = static_cast<float>(random.normal());
                lines.push_back(encoded(kernels_, GetParam(), x));
                cache.store(i / 192, i / 96 % 2, i % 96, x.data());
            }
            std::vector<uint8_t> line(static_cast<size_t>(cache.line_bytes));
            std::vector<float> loaded(x.size());
            for (int32_t i = 0; i < 2 * 2 * 96; ++i) {
                const auto& expected = lines[static_cast<size_t>(i)];
                cache.get_line(i / 192, i / 96 % 2, i % 96, line.data());
                ASSERT_EQ(line, expected) << "head of " << dim;
                cache.load(i / 192, i / 96 % 2, i % 96, loaded.data());
                ASSERT_EQ(loaded, decoded(expected));
            }
            cache.put_line(1, 0, 40, lines[0].data());
            cache.get_line(1, 0, 40, line.data());
            EXPECT_EQ(line, lines[0]);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Types, KvHalfTest,
                         testing::Values(PUNA_KV_F16, PUNA_KV_F32, PUNA_KV_BF16, PUNA_KV_Q8_0),
                         [](const auto& type) { return std::string(kv_type_name(type.param)); });

}  // namespace
}  // namespace puna::core
