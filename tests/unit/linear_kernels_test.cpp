#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <ostream>
#include <vector>

#include "cpu/kernels.h"
#include "format/block_format.h"
#include "format/half.h"
#include "format/random_blocks.h"
#include "puna/puna_backend.h"
#include "support/block_halves.h"
#include "support/guarded_memory.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

using test::random_floats;

// One kernel of one set. What a set inherits is tested with the set that brings it.
struct Kernel {
    LinearFn run;
    const char* set;
    const BlockFormatInfo* info;
};

std::ostream& operator<<(std::ostream& out, const Kernel& kernel) {
    return out << kernel.info->name << " by " << kernel.set;
}

std::vector<Kernel> all_kernels() {
    std::vector<Kernel> kernels;
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const BlockFormatInfo& info : block_formats()) {
            const auto* entry = table.linear_of(static_cast<int32_t>(info.format));
            if (entry && std::strcmp(entry->set, table.name) == 0) {
                kernels.push_back({entry->run, entry->set, &info});
            }
        }
    }
    return kernels;
}

// n_in of one to several steps of every kernel, with every kind of tail.
std::vector<int64_t> widths_of(const BlockFormatInfo& info) {
    const int64_t length = info.block_length;
    const int64_t most = length == 1 ? 70 : length == 32 ? 34 : 5;
    std::vector<int64_t> widths;
    for (int64_t blocks = 1; blocks <= most; ++blocks) widths.push_back(blocks * length);
    if (length == 1) widths.insert(widths.end(), {127, 128, 129, 256, 511, 513});
    widths.push_back(2048 + length);
    return widths;
}

std::vector<uint8_t> random_weights(const BlockFormatInfo& info, int64_t n, float deviation) {
    std::vector<uint8_t> packed(*block_format_bytes(info.format, static_cast<uint64_t>(n)));
    RandomBits bits(7);
    random_blocks(info.format, bits, deviation, packed.data(), n);
    return packed;
}

// Weights that begin `offset` bytes after an aligned address and end where their memory ends, so
// that a sanitizer sees a kernel that reads beyond them.
struct Weights {
    Weights(const BlockFormatInfo& info, int64_t n_rows, int64_t n_columns,
            const std::vector<uint8_t>& packed, size_t offset = 0)
        : n_out(n_rows),
          n_in(n_columns),
          row_bytes(static_cast<int64_t>(packed.size()) / n_rows),
          stored(static_cast<size_t>(n_rows * n_columns)),
          memory(new uint8_t[offset + packed.size()]),
          data(memory.get() + offset) {
        std::memcpy(data, packed.data(), packed.size());
        info.dequantize(packed.data(), stored.data(), n_rows * n_columns);
    }

    int64_t n_out;
    int64_t n_in;
    int64_t row_bytes;
    std::vector<float> stored;
    std::unique_ptr<uint8_t[]> memory;
    uint8_t* data;
};

LinearBlock block_of(const Weights& weights, const float* x, int32_t n_rows, float* y) {
    LinearBlock block;
    block.weights = weights.data;
    block.row_bytes = weights.row_bytes;
    block.n_in = weights.n_in;
    block.n_out = weights.n_out;
    block.n_rows = n_rows;
    block.x = x;
    block.x_stride = weights.n_in;
    block.y = y;
    block.y_stride = weights.n_out;
    return block;
}

// Of the `group` activations among which x[at] is.
double largest_of_group(const float* x, int64_t at, int64_t n, int32_t group) {
    double largest = 0.0;
    const int64_t begin = at / group * group;
    for (int64_t i = begin; i < std::min(n, begin + group); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
    }
    return largest;
}

// What a kernel may do to its input.
struct Rounding {
    int32_t group;      // of activations that are rounded together
    double activation;  // changes one by so much of the largest in its group
    double weight;      // takes one apart into terms that are so many times larger
    double least;       // loses what is smaller
};
Rounding rounding_of(const Kernel& kernel) {
    const bool in_bytes = kernel.info->block_length > 1;
    const int32_t group =
        test::rounded_group(kernel.set, static_cast<int32_t>(kernel.info->format));
    if (group > 0 && in_bytes) return {group, 0.5 / 32639, 4.0, 1e-38};
    return {1, 0.0, 1.0, 1e-40};
}

constexpr int32_t kCheckedRows = 5;

// A float dot product of n terms errs by at most about n / lanes roundings of the sum of
// magnitudes; 16 lanes are the fewest that a kernel uses. A kernel may take a weight apart, into
// scale * quant and min, so its magnitude is that of the largest in the block, or that of the
// `largest` that its scale allows.
void expect_close(const Kernel& kernel, const Weights& weights, const std::vector<float>& x,
                  const char* what, double largest_weight) {
    const int64_t n_in = weights.n_in;
    const int64_t length = kernel.info->block_length;
    std::vector<float> y(static_cast<size_t>(kCheckedRows * weights.n_out), NAN);
    kernel.run(block_of(weights, x.data(), kCheckedRows, y.data()));
    const Rounding rounding = rounding_of(kernel);
    const double bound = rounding.weight * (static_cast<double>(n_in) / 16 + 6) *
                         std::numeric_limits<float>::epsilon();
    for (int64_t i = 0; i < weights.n_out; ++i) {
        const float* w = &weights.stored[static_cast<size_t>(i * n_in)];
        double expected[kCheckedRows] = {};
        double magnitude[kCheckedRows] = {};
        double rounded[kCheckedRows] = {};
        for (int64_t j = 0; j < n_in; j += length) {
            double largest = largest_weight;
            for (int64_t l = j; l < j + length; ++l) {
                // A NaN must not get lost.
                if (!(std::fabs(w[l]) <= largest)) largest = std::fabs(w[l]);
            }
            for (int32_t r = 0; r < kCheckedRows; ++r) {
                const float* xr = x.data() + r * n_in;
                for (int64_t l = j; l < j + length; ++l) {
                    expected[r] += static_cast<double>(w[l]) * xr[l];
                    magnitude[r] += largest * std::fabs(xr[l]);
                    rounded[r] += std::fabs(w[l]) * largest_of_group(xr, l, n_in, rounding.group);
                }
            }
        }
        for (int32_t r = 0; r < kCheckedRows; ++r) {
            if (!(magnitude[r] < 1e37)) continue;  // float does not hold the sum on every way to it
            ASSERT_NEAR(y[static_cast<size_t>(r * weights.n_out + i)], expected[r],
                        bound * magnitude[r] + rounding.activation * rounded[r] + rounding.least)
                << kernel << ", " << what << ", n_in " << n_in << " row " << r << " output " << i;
        }
    }
}

void expect_close(const Kernel& kernel, const Weights& weights, const char* what,
                  double largest_weight = 0.0) {
    expect_close(kernel, weights, random_floats(kCheckedRows * weights.n_in, 11), what,
                 largest_weight);
}

// Each row is one number, but for the first of 32, which is 1. As multiples of 1/32639 they are the
// largest, and those whose low byte is the smallest.
std::vector<float> extreme_activations(int64_t n_in) {
    std::vector<float> x;
    for (const float multiple : {32639.0f, -32639.0f, 32384.0f, 128.0f, -32384.0f}) {
        for (int64_t i = 0; i < n_in; ++i) x.push_back(i % 32 == 0 ? 1.0f : multiple / 32639.0f);
    }
    return x;
}

// Blocks of 32 whose sizes are powers of two.
std::vector<float> uneven_activations(int64_t n_in) {
    auto x = random_floats(kCheckedRows * n_in, 17);
    for (size_t i = 0; i < x.size(); ++i) {
        x[i] = std::ldexp(x[i], -static_cast<int>(i / 32 * 5 % 13));
    }
    return x;
}

TEST(LinearKernels, EveryReadableFormatHasAScalarOne) {
    const auto table = choose_kernels(0, "scalar");
    ASSERT_TRUE(table.ok());
    for (const BlockFormatInfo& info : block_formats()) {
        EXPECT_EQ(table->linear_of(static_cast<int32_t>(info.format)) != nullptr,
                  is_supported(info.format))
            << info.name;
    }
}

// Up to four weight rows pass together: these are that many and one.
constexpr int64_t kTileAndOne = 5;

TEST(LinearKernels, AgreeWithDoubleAtEveryWidthAndAlignment) {
    constexpr int64_t kOut = kTileAndOne;
    for (const Kernel& kernel : all_kernels()) {
        size_t offset = 0;
        for (const int64_t n_in : widths_of(*kernel.info)) {
            const auto packed = random_weights(*kernel.info, kOut * n_in, 1.0f);
            offset = (offset + 1) % 4;
            expect_close(kernel, Weights(*kernel.info, kOut, n_in, packed, offset), "random");
        }
        const int64_t n_in = 2 * kernel.info->block_length;
        const auto packed = random_weights(*kernel.info, kOut * n_in, 1.0f);
        expect_close(kernel, Weights(*kernel.info, kOut, n_in, packed), uneven_activations(n_in),
                     "uneven", 0.0);
        for (const size_t shift : {0u, 1u, 2u, 3u, 4u, 8u, 16u, 32u, 63u}) {
            expect_close(kernel, Weights(*kernel.info, kOut, n_in, packed, shift), "random");
        }
    }
}

TEST(LinearKernels, AgreeWithDoubleOnSubnormalScales) {
    for (const Kernel& kernel : all_kernels()) {
        for (const float deviation : {1e-3f, 1e-5f}) {
            const int64_t n_in = 3 * kernel.info->block_length;
            const auto packed = random_weights(*kernel.info, 4 * n_in, deviation);
            expect_close(kernel, Weights(*kernel.info, 4, n_in, packed), "small");
        }
    }
}

// The largest and the smallest codes everywhere.
TEST(LinearKernels, AgreeWithDoubleOnExtremeQuants) {
    for (const Kernel& kernel : all_kernels()) {
        const BlockFormatInfo& info = *kernel.info;
        if (info.block_length == 1) continue;
        constexpr size_t kBlocks = 3;
        const auto n_in = static_cast<int64_t>(kBlocks * info.block_length);
        std::vector<Weights> patterns;
        double largest = 0.0;
        for (const int byte : {0x00, 0x7f, 0x80, 0xff}) {
            std::vector<uint8_t> packed(kBlocks * info.block_bytes, static_cast<uint8_t>(byte));
            for (size_t i = 0; i < kBlocks; ++i) {
                test::make_scales_one(info.format, &packed[i * info.block_bytes]);
            }
            patterns.emplace_back(info, 1, n_in, packed);
            for (const float w : patterns.back().stored) {
                largest = std::max(largest, std::fabs(static_cast<double>(w)));
            }
        }
        for (const Weights& pattern : patterns) {
            expect_close(kernel, pattern, "extreme", largest);
            expect_close(kernel, pattern, extreme_activations(n_in), "all extreme", largest);
        }
    }
}

// A file may hold any bytes. Rows of one block: infinite and NaN scales spoil only their own.
TEST(LinearKernels, AgreeWithDoubleOnAnyBytes) {
    constexpr int64_t kOut = 256;
    for (const Kernel& kernel : all_kernels()) {
        const BlockFormatInfo& info = *kernel.info;
        std::vector<uint8_t> packed(kOut * info.block_bytes);
        RandomBits(5).fill(packed.data(), packed.size());
        for (size_t i = 0; i < kOut; ++i) {  // every exponent of MXFP4
            packed[i * info.block_bytes] = static_cast<uint8_t>(i);
        }
        expect_close(kernel, Weights(info, kOut, info.block_length, packed), "any bytes");
    }
}

// The invariant of batches and threads: a result is the same bits whatever else is computed.
TEST(LinearKernels, BlocksDoNotChangeBits) {
    constexpr int64_t kOut = 7;
    constexpr int32_t kRows = 17;
    for (const Kernel& kernel : all_kernels()) {
        const int64_t length = kernel.info->block_length;
        const int64_t rest = length == 256 ? length : 288 + length % 32;
        for (const int64_t n_in : {3 * length, rest, 768 + rest}) {
            const Weights weights(*kernel.info, kOut, n_in,
                                  random_weights(*kernel.info, kOut * n_in, 1.0f), 2);
            const auto x = random_floats(kRows * n_in, 13);
            std::vector<float> whole(kRows * kOut);
            kernel.run(block_of(weights, x.data(), kRows, whole.data()));
            for (int32_t n_rows = 1; n_rows <= kRows; ++n_rows) {
                // Every split of the outputs with one row, some split with the others.
                const int64_t step = n_rows == 1 ? 1 : 1 + n_rows % 4;
                std::vector<float> parts(kRows * kOut, NAN);
                for (int32_t r = 0; r < kRows; r += n_rows) {
                    for (int64_t i = 0; i < kOut; i += step) {
                        LinearBlock block =
                            block_of(weights, x.data() + r * n_in, std::min(n_rows, kRows - r),
                                     parts.data() + r * kOut + i);
                        block.weights = weights.data + i * weights.row_bytes;
                        block.n_out = std::min(step, kOut - i);
                        kernel.run(block);
                    }
                }
                ASSERT_EQ(std::memcmp(parts.data(), whole.data(), sizeof(float) * whole.size()), 0)
                    << kernel << " n_rows " << n_rows << " n_in " << n_in;
            }
        }
    }
}

TEST(LinearKernels, ReadOrdersGiveTheSameBits) {
    for (const Kernel& kernel : all_kernels()) {
        const int64_t length = kernel.info->block_length;
        // Up to three spans of 6,144 columns are one stream.
        for (const int64_t n_in : {length, 256 + length, 2048 + 256 - length % 256, 6144 + length,
                                   18432 - length, 18432 + length}) {
            const int64_t n_columns = n_in / length * length;
            const Weights weights(*kernel.info, 7, n_columns,
                                  random_weights(*kernel.info, 7 * n_columns, 1.0f));
            for (const int32_t n_rows : {1, 2, 5}) {
                const auto x = random_floats(n_rows * weights.n_in, 43);
                std::vector<float> together(static_cast<size_t>(n_rows) * 7, NAN);
                LinearBlock block = block_of(weights, x.data(), n_rows, together.data());
                kernel.run(block);
                for (const ReadOrder order : {ReadOrder::kRowByRow, ReadOrder::kScattered}) {
                    std::vector<float> y(together.size(), NAN);
                    block.y = y.data();
                    block.read_order = order;
                    kernel.run(block);
                    ASSERT_EQ(y, together) << kernel << " n_in " << n_in << " rows " << n_rows;
                }
            }
        }
    }
}

TEST(LinearKernels, RowsDoNotSpoilEachOther) {
    constexpr int64_t kOut = 3;
    constexpr int32_t kRows = 9;
    for (const Kernel& kernel : all_kernels()) {
        const int64_t n_in = 2 * kernel.info->block_length;
        const Weights weights(*kernel.info, kOut, n_in,
                              random_weights(*kernel.info, kOut * n_in, 1.0f));
        auto x = random_floats(kRows * n_in, 19);
        std::vector<float> clean(kRows * kOut);
        kernel.run(block_of(weights, x.data(), kRows, clean.data()));
        for (int32_t spoiled = 0; spoiled < kRows; ++spoiled) {
            auto with_nan = x;
            with_nan[static_cast<size_t>(spoiled * n_in)] = NAN;
            std::vector<float> y(kRows * kOut);
            kernel.run(block_of(weights, with_nan.data(), kRows, y.data()));
            for (size_t i = 0; i < y.size(); ++i) {
                if (static_cast<int32_t>(i) / kOut == spoiled) {
                    ASSERT_TRUE(std::isnan(y[i])) << kernel << " row " << spoiled;
                } else {
                    ASSERT_EQ(y[i], clean[i]) << kernel << " row " << spoiled;
                }
            }
        }
    }
}

TEST(LinearKernels, StridesAreKept) {
    constexpr int64_t kOut = kTileAndOne;
    constexpr int32_t kRows = 6;
    constexpr int64_t kPad = 5;
    for (const Kernel& kernel : all_kernels()) {
        const int64_t n_in = 2 * kernel.info->block_length;
        // Rows of weights lie apart as well, as the rows of a wider matrix.
        auto packed = random_weights(*kernel.info, kOut * 2 * n_in, 1.0f);
        const Weights weights(*kernel.info, kOut, 2 * n_in, packed);
        const int64_t x_stride = n_in + kPad;
        const auto x = random_floats((kRows - 1) * x_stride + n_in, 17);
        std::vector<float> y((kRows - 1) * (kOut + kPad) + kOut, -1.0f);
        LinearBlock block = block_of(weights, x.data(), kRows, y.data());
        block.n_in = n_in;
        block.x_stride = x_stride;
        block.y_stride = kOut + kPad;
        kernel.run(block);
        for (int32_t r = 0; r < kRows; ++r) {
            float alone[kOut];
            block.n_rows = 1;
            block.x = x.data() + r * x_stride;
            block.y = alone;
            kernel.run(block);
            const size_t at = static_cast<size_t>(r * (kOut + kPad));
            for (size_t i = 0; i < kOut; ++i) ASSERT_EQ(y[at + i], alone[i]) << kernel;
            for (size_t i = at + kOut; i < std::min(y.size(), at + kOut + kPad); ++i) {
                ASSERT_EQ(y[i], -1.0f) << kernel;
            }
        }
    }
}

// Nothing is read but the matrix and the activations, at any width.
TEST(LinearKernels, EndsOfMemoryAreExact) {
    constexpr int64_t kOut = kTileAndOne;
    constexpr int32_t kRows = 3;
    for (const Kernel& kernel : all_kernels()) {
        for (const int64_t n_in : widths_of(*kernel.info)) {
            const auto packed = random_weights(*kernel.info, kOut * n_in, 1.0f);
            const Weights weights(*kernel.info, kOut, n_in, packed);
            const auto x = random_floats(kRows * n_in, 23);
            std::vector<float> expected(kRows * kOut);
            kernel.run(block_of(weights, x.data(), kRows, expected.data()));
            for (const auto place :
                 {test::GuardedMemory::Place::kEnd, test::GuardedMemory::Place::kStart}) {
                const test::GuardedMemory w(packed.data(), packed.size(), place);
                const test::GuardedMemory rows(x.data(), x.size() * sizeof(float), place);
                std::vector<float> y(kRows * kOut);
                LinearBlock block =
                    block_of(weights, reinterpret_cast<const float*>(rows.data()), kRows, y.data());
                block.weights = w.data();
                kernel.run(block);
                ASSERT_EQ(y, expected) << kernel << " n_in " << n_in;
                block.n_rows = 1;
                block.x += (kRows - 1) * n_in;
                block.y += (kRows - 1) * kOut;
                kernel.run(block);
                ASSERT_EQ(y, expected) << kernel << " n_in " << n_in << ", one row";
            }
        }
    }
}

TEST(LinearKernels, EveryHalfIsConvertedExactly) {
    std::vector<uint16_t> halves(0x10000);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    const float one = 1.0f;
    for (const Kernel& kernel : all_kernels()) {
        const bool is_bfloat = kernel.info->format == BlockFormat::kBF16;
        if (!is_bfloat && kernel.info->format != BlockFormat::kF16) continue;
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
        kernel.run(block);
        for (size_t i = 0; i < halves.size(); ++i) {
            const float expected =
                is_bfloat ? bfloat16_to_float(halves[i]) : half_to_float(halves[i]);
            if (std::isnan(expected)) {
                ASSERT_TRUE(std::isnan(y[i])) << kernel << " half " << i;
            } else {
                ASSERT_EQ(y[i], expected) << kernel << " half " << i;
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
