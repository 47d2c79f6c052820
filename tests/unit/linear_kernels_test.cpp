#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/kernels.h"
#include "puna/puna_backend.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"
#include "support/tensor_encoding.h"

namespace puna::core {
namespace {

using test::Encoding;

constexpr Encoding kEncodings[] = {Encoding::kF32, Encoding::kF16, Encoding::kQ8_0};

std::vector<float> random_floats(size_t n, uint64_t seed) {
    test::RandomNumbers random(seed);
    std::vector<float> values(n);
    for (float& value : values) value = static_cast<float>(random.normal());
    return values;
}

// Weights that begin `offset` bytes after an aligned address and end where their memory ends, so
// that a sanitizer sees a kernel that reads beyond them.
struct Weights {
    Weights(Encoding encoding, int64_t n_out, int64_t n_in, size_t offset) {
        const auto values = random_floats(static_cast<size_t>(n_out * n_in), 7);
        const auto bytes = test::encode(encoding, values);
        stored = test::decode(encoding, bytes);
        memory.reset(new uint8_t[offset + bytes.size()]);
        data = memory.get() + offset;
        std::memcpy(data, bytes.data(), bytes.size());
        row_bytes = static_cast<int64_t>(bytes.size()) / n_out;
    }

    std::vector<float> stored;
    std::unique_ptr<uint8_t[]> memory;
    uint8_t* data;
    int64_t row_bytes;
};

LinearBlock block_of(const Weights& weights, int64_t n_in, int64_t n_out,
                     const std::vector<float>& x, int32_t n_rows, std::vector<float>& y) {
    LinearBlock block;
    block.weights = weights.data;
    block.row_bytes = weights.row_bytes;
    block.n_in = n_in;
    block.n_out = n_out;
    block.n_rows = n_rows;
    block.x = x.data();
    block.x_stride = n_in;
    block.y = y.data();
    block.y_stride = n_out;
    return block;
}

// A float dot product of n terms errs by at most about n / lanes roundings of the sum of
// magnitudes; 16 lanes are the fewest that a kernel uses.
void expect_close(const KernelTable& table, Encoding encoding, int64_t n_in, size_t offset) {
    constexpr int64_t kOut = 3;
    constexpr int32_t kRows = 5;
    const Weights weights(encoding, kOut, n_in, offset);
    const auto x = random_floats(static_cast<size_t>(kRows * n_in), 11);
    std::vector<float> y(kRows * kOut, NAN);
    table.linear[static_cast<int32_t>(encoding)].run(block_of(weights, n_in, kOut, x, kRows, y));
    const double bound =
        (static_cast<double>(n_in) / 16 + 6) * std::numeric_limits<float>::epsilon();
    for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t i = 0; i < kOut; ++i) {
            double expected = 0.0;
            double magnitude = 0.0;
            for (int64_t j = 0; j < n_in; ++j) {
                const double term = static_cast<double>(weights.stored[i * n_in + j]) *
                                    x[static_cast<size_t>(r * n_in + j)];
                expected += term;
                magnitude += std::fabs(term);
            }
            ASSERT_NEAR(y[static_cast<size_t>(r * kOut + i)], expected, bound * magnitude)
                << table.name << " format " << static_cast<int32_t>(encoding) << " n_in " << n_in
                << " offset " << offset << " row " << r << " output " << i;
        }
    }
}

TEST(LinearKernels, AgreeWithDoubleAtEveryWidthAndAlignment) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const Encoding encoding : kEncodings) {
            const auto block = static_cast<int64_t>(test::block_length(encoding));
            const int64_t step = block;
            for (int64_t n_in = step; n_in <= 160; n_in += step) {
                for (const size_t offset : {0u, 1u, 2u, 4u}) {
                    expect_close(table, encoding, n_in, offset);
                }
            }
            expect_close(table, encoding, 2048 + block, 2);
        }
    }
}

// The invariant of batches and threads: a result is the same bits whatever else is computed.
TEST(LinearKernels, BlocksDoNotChangeBits) {
    constexpr int64_t kOut = 7;
    constexpr int32_t kRows = 11;
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const Encoding encoding : kEncodings) {
            const LinearFn run = table.linear[static_cast<int32_t>(encoding)].run;
            for (const int64_t n_in : {32, 96, 288}) {
                const Weights weights(encoding, kOut, n_in, 2);
                const auto x = random_floats(static_cast<size_t>(kRows * n_in), 13);
                std::vector<float> whole(kRows * kOut);
                run(block_of(weights, n_in, kOut, x, kRows, whole));
                for (int32_t n_rows = 1; n_rows <= 4; ++n_rows) {
                    for (int32_t r = 0; r + n_rows <= kRows; r += n_rows) {
                        for (int64_t i = 0; i < kOut; ++i) {
                            std::vector<float> part(static_cast<size_t>(n_rows));
                            LinearBlock block = block_of(weights, n_in, 1, x, n_rows, part);
                            block.weights = weights.data + i * weights.row_bytes;
                            block.x += r * n_in;
                            run(block);
                            for (int32_t s = 0; s < n_rows; ++s) {
                                ASSERT_EQ(part[static_cast<size_t>(s)],
                                          whole[static_cast<size_t>((r + s) * kOut + i)])
                                    << table.name << " rows " << n_rows << " n_in " << n_in;
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST(LinearKernels, StridesAreKept) {
    constexpr int64_t kIn = 64;
    constexpr int64_t kOut = 2;
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const Encoding encoding : kEncodings) {
            const LinearFn run = table.linear[static_cast<int32_t>(encoding)].run;
            const Weights weights(encoding, kOut, kIn, 0);
            const auto x = random_floats(2 * (kIn + 5), 17);
            std::vector<float> y(2 * (kOut + 3), -1.0f);
            LinearBlock block = block_of(weights, kIn, kOut, x, 2, y);
            block.x_stride = kIn + 5;
            block.y_stride = kOut + 3;
            run(block);
            std::vector<float> second(kOut);
            LinearBlock alone = block_of(weights, kIn, kOut, x, 1, second);
            alone.x = x.data() + kIn + 5;
            run(alone);
            EXPECT_EQ(y[kOut + 3], second[0]);
            EXPECT_EQ(y[kOut + 4], second[1]);
            for (size_t i : {kOut + 0, kOut + 1, kOut + 2}) EXPECT_EQ(y[i], -1.0f);
        }
    }
}

TEST(LinearKernels, EveryHalfIsConvertedExactly) {
    std::vector<uint16_t> halves(0x10000);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    const float one = 1.0f;
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        std::vector<float> y(halves.size());
        LinearBlock block;
        block.weights = halves.data();
        block.row_bytes = 2;
        block.n_in = 1;
        block.n_out = static_cast<int64_t>(halves.size());
        block.n_rows = 1;
        block.x = &one;
        block.x_stride = 1;
        block.y = y.data();
        block.y_stride = block.n_out;
        table.linear[PUNA_FORMAT_F16].run(block);
        for (size_t i = 0; i < halves.size(); ++i) {
            const float expected = test::from_half(halves[i]);
            if (std::isnan(expected)) {
                ASSERT_TRUE(std::isnan(y[i])) << table.name << " half " << i;
            } else {
                ASSERT_EQ(y[i], expected) << table.name << " half " << i;
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
