#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <ostream>
#include <vector>

#include "cpu/kernels.h"
#include "format/block_format.h"
#include "format/random_blocks.h"
#include "support/guarded_memory.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

using test::random_floats;

struct Kernel {
    PanelFn run;
    const RowPacking& packing;
    const char* set;
    const BlockFormatInfo* info;

    // The most that a weight is rounded by, of its size.
    double weight_rounding() const {
        return std::strcmp(set, "amx") == 0 && !packing.is_for_small_batches() ? 0x1p-8 : 0.0;
    }
    // What activations become.
    enum class Keeps { kFloats, kBf16, kWords, kBytes };
    Keeps keeps() const {
        if (packing.is_for_small_batches()) return Keeps::kWords;
        if (info->block_length > 1) return Keeps::kBytes;
        const bool in_bf16 = std::strcmp(set, "avx512_bf16") == 0 || std::strcmp(set, "amx") == 0;
        return in_bf16 ? Keeps::kBf16 : Keeps::kFloats;
    }
    // The columns that widths are made of: a block, or an odd number of elements that have none.
    int64_t unit() const { return info->block_length > 1 ? info->block_length : 37; }
};

std::ostream& operator<<(std::ostream& out, const Kernel& kernel) {
    return out << kernel.info->name << " by " << kernel.set
               << (kernel.packing.is_for_small_batches() ? " for small batches" : "");
}

// What a set inherits is tested with the set that brings it.
std::vector<Kernel> all_kernels() {
    std::vector<Kernel> kernels;
    for (const KernelTable& table : test::testable_kernel_tables()) {
        for (const BlockFormatInfo& info : block_formats()) {
            const auto format = static_cast<int32_t>(info.format);
            for (const PanelEntry* entry : {table.panel_of(format), table.small_panel_of(format)}) {
                if (entry && std::strcmp(entry->set, table.name) == 0) {
                    kernels.push_back({entry->run, *entry->packing, entry->set, &info});
                }
            }
        }
    }
    return kernels;
}

// Activations that the kernel does not round: any, or those that 8 bits hold, integers up to 127,
// which is there in each group of 32, times a power of two per group. Or those that 16 bits hold, up to 32639 in
// 256 columns of a row, times a power of two for them.
std::vector<float> exact_floats(const Kernel& kernel, int64_t n_rows, int64_t n_in, uint64_t seed) {
    const int64_t n = n_rows * n_in;
    if (kernel.keeps() == Kernel::Keeps::kFloats) return random_floats(n, seed);
    RandomBits bits(seed);
    std::vector<uint16_t> random(static_cast<size_t>(n));
    bits.fill(reinterpret_cast<uint8_t*>(random.data()), 2 * random.size());
    std::vector<float> values(random.size());
    for (size_t i = 0; i < values.size(); ++i) {
        const size_t column = i % static_cast<size_t>(n_in);
        if (kernel.keeps() == Kernel::Keeps::kWords) {
            const size_t first = i - column % 256;
            const int32_t integer =
                i == first + random[first] % 32 ? 32639 : random[i] % 65279 - 32639;
            values[i] = std::ldexp(static_cast<float>(integer), random[first] % 9 - 18);
        } else {
            const int32_t integer = i % 32 == i / 32 % 32 ? 127 : random[i] % 255 - 127;
            values[i] = std::ldexp(static_cast<float>(integer), random[i / 32 * 32] % 9 - 10);
        }
    }
    return values;
}

struct FreeAligned {
    void operator()(uint8_t* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using AlignedMemory = std::unique_ptr<uint8_t, FreeAligned>;
AlignedMemory make_aligned(size_t n_bytes) {
    return AlignedMemory(static_cast<uint8_t*>(::operator new(n_bytes, std::align_val_t(64))));
}

// Rows as one kernel takes them, in memory of exactly their size.
struct PackedRows {
    PackedRows(const Kernel& kernel, const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows)
        : n_bytes(static_cast<size_t>((n_in + 31) / 32 * kernel.packing.bytes(n_rows))),
          memory(make_aligned(n_bytes)) {
        std::memset(memory.get(), 0xff, n_bytes);
        const RowPacking& packing = kernel.packing;
        const int64_t slice = packing.slice > 0 ? packing.slice : n_in;
        for (int64_t j = 0; j < n_in; j += slice) {
            const int64_t n_columns = std::min(slice, n_in - j);
            uint8_t* to = memory.get() + j / 32 * packing.bytes(n_rows);
            for (int32_t r = 0; r < n_rows; r += packing.group) {
                packing.pack(x + r * x_stride + j, x_stride, n_columns,
                             std::min(packing.group, n_rows - r),
                             to + (n_columns + 31) / 32 * packing.bytes(r));
            }
        }
    }

    size_t n_bytes;
    AlignedMemory memory;
};

// Runs a kernel in memory of exactly the size that it asks for, with anything in it.
void run(const Kernel& kernel, PanelBlock block) {
    const int64_t n_bytes = kernel.packing.memory ? kernel.packing.memory(block.n_rows) : 0;
    const AlignedMemory memory = make_aligned(static_cast<size_t>(n_bytes));
    std::memset(memory.get(), 0xff, static_cast<size_t>(n_bytes));
    block.memory = memory.get();
    kernel.run(block);
}

struct Weights {
    Weights(const BlockFormatInfo& format, int64_t outs, int64_t columns, uint64_t seed = 7)
        : info(&format),
          n_out(outs),
          n_in(columns),
          row_bytes(static_cast<int64_t>(
              *block_format_bytes(format.format, static_cast<uint64_t>(columns)))),
          packed(static_cast<size_t>(n_out * row_bytes)),
          stored(static_cast<size_t>(n_out * n_in)) {
        RandomBits bits(seed);
        random_blocks(format.format, bits, 1.0f, packed.data(), n_out * n_in);
        format.dequantize(packed.data(), stored.data(), n_out * n_in);
    }

    const BlockFormatInfo* info;
    int64_t n_out;
    int64_t n_in;
    int64_t row_bytes;
    std::vector<uint8_t> packed;
    std::vector<float> stored;
};

PanelBlock block_of(const Weights& weights, const void* x, int32_t n_rows, float* y) {
    PanelBlock block = {};
    block.weights = weights.packed.data();
    block.row_bytes = weights.row_bytes;
    block.n_in = weights.n_in;
    block.n_out = weights.n_out;
    block.n_rows = n_rows;
    block.x = x;
    block.y = y;
    block.y_stride = weights.n_out;
    return block;
}

// Results [n_rows][n_out] for rows of n_in activations.
std::vector<float> multiply(const Kernel& kernel, const Weights& weights,
                            const std::vector<float>& x) {
    const auto n_rows = static_cast<int32_t>(static_cast<int64_t>(x.size()) / weights.n_in);
    const PackedRows packed(kernel, x.data(), weights.n_in, weights.n_in, n_rows);
    std::vector<float> y(static_cast<size_t>(n_rows * weights.n_out), NAN);
    run(kernel, block_of(weights, packed.memory.get(), n_rows, y.data()));
    return y;
}

// Against double, where packing changes nothing. A kernel may take a weight apart, into
// scale * quant and min.
void expect_close(const Kernel& kernel, const Weights& weights, const std::vector<float>& x) {
    const auto y = multiply(kernel, weights, x);
    const int64_t n_in = weights.n_in;
    const int64_t length = kernel.info->block_length;
    const double bound =
        4 * (static_cast<double>(n_in) / 16 + 6) * std::numeric_limits<float>::epsilon();
    for (size_t r = 0; r < x.size() / static_cast<size_t>(n_in); ++r) {
        const float* row = x.data() + r * static_cast<size_t>(n_in);
        for (int64_t i = 0; i < weights.n_out; ++i) {
            const float* w = weights.stored.data() + i * n_in;
            double expected = 0.0;
            double magnitude = 0.0;
            double products = 0.0;
            for (int64_t j = 0; j < n_in; j += length) {
                double largest = 0.0;
                for (int64_t l = j; l < j + length; ++l) {
                    largest = std::max(largest, std::fabs(static_cast<double>(w[l])));
                }
                for (int64_t l = j; l < j + length; ++l) {
                    const double product = static_cast<double>(w[l]) * row[l];
                    expected += product;
                    products += std::fabs(product);
                    magnitude += largest * std::fabs(row[l]);
                }
            }
            ASSERT_NEAR(y[r * static_cast<size_t>(weights.n_out) + static_cast<size_t>(i)],
                        expected, bound * magnitude + kernel.weight_rounding() * products)
                << kernel << " n_in " << n_in << " n_out " << weights.n_out << " row " << r
                << " output " << i;
        }
    }
}

TEST(PanelKernels, AgreeWithDoubleAtEveryWidth) {
    for (const Kernel& kernel : all_kernels()) {
        const int64_t length = kernel.info->block_length;
        for (const int64_t n_blocks : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65}) {
            for (const int64_t n_out : {3, 19}) {
                const Weights weights(*kernel.info, n_out, n_blocks * length);
                expect_close(kernel, weights, exact_floats(kernel, 10, weights.n_in, 11));
            }
        }
        for (const int64_t n_in : {2048 + length, 2 * 2048 + 256 - length % 256}) {
            for (const int64_t n_out : {3, 19, 97}) {
                const Weights weights(*kernel.info, n_out, n_in / length * length);
                expect_close(kernel, weights, exact_floats(kernel, 10, weights.n_in, 12));
            }
        }
    }
}

TEST(PanelKernels, AgreeWithDoubleForAnyNumberOfOutputsAndRows) {
    for (const Kernel& kernel : all_kernels()) {
        const int64_t n_in = 2 * kernel.unit();
        for (const int64_t n_out : {1, 5, 6, 7, 12, 13, 25, 48, 49, 97}) {
            const Weights weights(*kernel.info, n_out, n_in);
            for (const int64_t n_rows : {1, 4, 7, 8, 9, 16, 17, 24, 25, 33, 65}) {
                expect_close(kernel, weights, exact_floats(kernel, n_rows, n_in, 13));
            }
        }
        const Weights weights(*kernel.info, 7, kernel.unit());
        expect_close(kernel, weights, exact_floats(kernel, 2000, weights.n_in, 14));
    }
}

// The size of a change of the result: a few roundings of float, half of a unit of 8 bits of mantissa,
// 16 bits for the largest of 256, or 8 bits for the largest of 32.
double bound_of_rounding(const Kernel& kernel) {
    switch (kernel.keeps()) {
        case Kernel::Keeps::kFloats:
            return 2e-6;
        case Kernel::Keeps::kBf16:
            return 3e-3;
        case Kernel::Keeps::kWords:
            return 5e-5;
        case Kernel::Keeps::kBytes:
            return 0.01;
    }
    return 0.0;
}

TEST(PanelKernels, RoundLittle) {
    for (const Kernel& kernel : all_kernels()) {
        const Weights weights(*kernel.info, 32, 2048);
        const auto x = random_floats(16 * weights.n_in, 15);
        const auto y = multiply(kernel, weights, x);
        double error = 0.0;
        double size = 0.0;
        for (size_t r = 0; r < 16; ++r) {
            for (size_t i = 0; i < 32; ++i) {
                double expected = 0.0;
                for (size_t j = 0; j < 2048; ++j) {
                    expected += static_cast<double>(weights.stored[i * 2048 + j]) * x[r * 2048 + j];
                }
                error += std::pow(y[r * 32 + i] - expected, 2);
                size += expected * expected;
            }
        }
        EXPECT_LT(std::sqrt(error / size), bound_of_rounding(kernel)) << kernel;
    }
}

TEST(PanelKernels, NeighboursDoNotChangeBits) {
    constexpr int64_t kOut = 29;
    constexpr int32_t kRows = 45;
    for (const Kernel& kernel : all_kernels()) {
        const int64_t n_in = 2048 + kernel.unit();
        const Weights weights(*kernel.info, kOut, n_in);
        const auto x = random_floats(kRows * n_in, 17);
        const auto whole = multiply(kernel, weights, x);
        for (const int32_t n_rows : {1, 4, 5, 8, 12, 16, 20, 32}) {
            for (int32_t r = 0; r < kRows; r += n_rows) {
                const int32_t end = std::min(r + n_rows, kRows);
                const auto part =
                    multiply(kernel, weights, {x.data() + r * n_in, x.data() + end * n_in});
                ASSERT_EQ(
                    std::memcmp(part.data(), whole.data() + r * kOut, part.size() * sizeof(float)),
                    0)
                    << kernel << " rows " << r << " to " << end;
            }
        }
    }
}

void expect_no_trace_of_splits(const Kernel& kernel, int64_t n_in) {
    constexpr int64_t kOut = 61;
    constexpr int32_t kRows = 33;
    constexpr int64_t kPad = 3;
    constexpr int32_t kRowsBehind = 32;  // that nobody may touch
    const Weights weights(*kernel.info, kOut, n_in);
    const auto x = random_floats(kRows * (n_in + kPad), 19);
    const PackedRows packed(kernel, x.data(), n_in + kPad, n_in, kRows);
    PanelBlock block = block_of(weights, packed.memory.get(), kRows, nullptr);
    block.y_stride = kOut + kPad;
    const auto in_steps = [&](int64_t step) {
        std::vector<float> y((kRows + kRowsBehind) * (kOut + kPad), -1.0f);
        for (int64_t i = 0; i < kOut; i += step) {
            block.weights = weights.packed.data() + i * weights.row_bytes;
            block.n_out = std::min(step, kOut - i);
            block.y = y.data() + i;
            run(kernel, block);
        }
        return y;
    };
    const auto whole = in_steps(kOut);
    for (size_t i = 0; i < whole.size(); ++i) {
        const bool is_result = i % (kOut + kPad) < kOut && i / (kOut + kPad) < kRows;
        ASSERT_EQ(whole[i] == -1.0f, !is_result) << kernel << " at " << i;
    }
    for (const int64_t step : {1, 4, 6, 16, 50}) ASSERT_EQ(in_steps(step), whole) << kernel;
}

TEST(PanelKernels, SplitsOfOutputsAndStridesDoNotChangeBits) {
    for (const Kernel& kernel : all_kernels()) {
        // Within and across what kernels unpack at a time.
        for (const int64_t n_units : {int64_t{2}, 1024 / kernel.unit() + 1}) {
            ASSERT_NO_FATAL_FAILURE(expect_no_trace_of_splits(kernel, n_units * kernel.unit()));
        }
    }
}

TEST(PanelKernels, RowsDoNotSpoilEachOther) {
    constexpr int64_t kOut = 3;
    constexpr size_t kRows = 20;
    for (const Kernel& kernel : all_kernels()) {
        const Weights weights(*kernel.info, kOut, 2 * kernel.unit());
        const auto n_in = static_cast<size_t>(weights.n_in);
        const auto x = random_floats(static_cast<int64_t>(kRows * n_in), 21);
        const auto clean = multiply(kernel, weights, x);
        for (const float bad : {NAN, INFINITY}) {
            for (const size_t spoiled : {0u, 7u, 16u, 19u}) {
                auto with_bad = x;
                with_bad[spoiled * n_in + 5] = bad;
                const auto y = multiply(kernel, weights, with_bad);
                for (size_t i = 0; i < y.size(); ++i) {
                    if (i / kOut == spoiled) {
                        ASSERT_FALSE(std::isfinite(y[i])) << kernel << " row " << spoiled;
                    } else {
                        ASSERT_EQ(y[i], clean[i]) << kernel << " row " << spoiled;
                    }
                }
            }
        }
    }
}

// A file may hold any bytes: all that F16 has for NaN, those whose bits are all ones among them.
TEST(PanelKernels, NoNanOfAWeightGetsLost) {
    constexpr int64_t kOut = 5;
    constexpr int64_t kSpoiled = 2;
    for (const Kernel& kernel : all_kernels()) {
        for (const int bits : {0xffff, 0x7fff, 0x7e00, 0xfc01}) {
            Weights weights(*kernel.info, kOut, 2 * kernel.unit());
            const auto x = random_floats(10 * weights.n_in, 23);
            const auto clean = multiply(kernel, weights, x);
            uint8_t* row = weights.packed.data() + kSpoiled * weights.row_bytes;
            for (int64_t i = 0; i < weights.row_bytes; ++i) {
                row[i] = static_cast<uint8_t>(i % 2 == 0 ? bits & 0xff : bits >> 8);
            }
            std::vector<float> stored(static_cast<size_t>(weights.n_in));
            kernel.info->dequantize(row, stored.data(), weights.n_in);
            const bool is_nan = std::any_of(stored.begin(), stored.end(),
                                            [](float value) { return std::isnan(value); });
            const auto y = multiply(kernel, weights, x);
            for (size_t i = 0; i < y.size(); ++i) {
                if (i % kOut != kSpoiled) {
                    ASSERT_EQ(y[i], clean[i]) << kernel << " output " << i % kOut;
                } else if (is_nan) {
                    ASSERT_TRUE(std::isnan(y[i])) << kernel << " of " << bits << ": " << y[i];
                }
            }
        }
    }
}

// Quants, scales and minimums at their ends, as far as the same byte everywhere makes finite factors, and sums of
// activations with one sign.
TEST(PanelKernels, EqualBytesAndEqualActivationsAgreeWithDouble) {
    for (const Kernel& kernel : all_kernels()) {
        int32_t n_used = 0;
        for (const int byte : {0x0f, 0x3c, 0x3f, 0x70, 0x77, 0x80, 0x88, 0xbf, 0xc0, 0xf0}) {
            Weights weights(*kernel.info, 2, kernel.info->block_length > 1 ? 512 : 37);
            std::fill(weights.packed.begin(), weights.packed.end(), static_cast<uint8_t>(byte));
            kernel.info->dequantize(weights.packed.data(), weights.stored.data(),
                                    weights.n_out * weights.n_in);
            if (!std::all_of(weights.stored.begin(), weights.stored.end(),
                             [](float value) { return std::fabs(value) < 1e30f; })) {
                continue;
            }
            ++n_used;
            for (const float value : {1.0f, -1.0f}) {
                expect_close(kernel, weights,
                             std::vector<float>(static_cast<size_t>(5 * weights.n_in), value));
            }
        }
        EXPECT_GT(n_used, 5) << kernel;
    }
}

// Nor that of one factor among the others of its block.
TEST(PanelKernels, NoNanOfOneFactorGetsLost) {
    for (const Kernel& kernel : all_kernels()) {
        const int64_t n_in = 2 * kernel.unit();
        const Weights clean(*kernel.info, 1, n_in);
        const auto x = random_floats(5 * n_in, 25);
        for (int64_t at = 0; at + 1 < clean.row_bytes; at += 2) {
            Weights weights = clean;
            weights.packed[static_cast<size_t>(at)] = 0x01;
            weights.packed[static_cast<size_t>(at + 1)] = 0x7e;
            kernel.info->dequantize(weights.packed.data(), weights.stored.data(), n_in);
            const bool has_nan = std::any_of(weights.stored.begin(), weights.stored.end(),
                                             [](float value) { return std::isnan(value); });
            for (const float y : multiply(kernel, weights, x)) {
                ASSERT_EQ(std::isnan(y), has_nan) << kernel << " at byte " << at;
            }
        }
    }
}

// A kernel may take the smallest numbers for zeros, but must not divide by them.
TEST(PanelKernels, ZerosAndTheSmallestNumbersGiveNothing) {
    for (const Kernel& kernel : all_kernels()) {
        const Weights weights(*kernel.info, 2, kernel.unit());
        double sum = 0.0;
        for (const float w : weights.stored) sum += std::fabs(static_cast<double>(w));
        for (const float value : {0.0f, -0.0f, 1e-45f, 1e-38f}) {
            const std::vector<float> x(static_cast<size_t>(3 * weights.n_in), value);
            for (const float result : multiply(kernel, weights, x)) {
                ASSERT_NEAR(result, 0.0, static_cast<double>(value) * sum)
                    << kernel << " of " << value;
            }
        }
    }
}

// Nothing is read but the rows, the matrix and the packed rows.
// With both places: what lies around the weights, the inputs and the packed rows.
void expect_exact_ends(const Kernel& kernel, const Weights& weights, int32_t n_rows) {
    const auto x = random_floats(n_rows * weights.n_in, 23);
    const auto expected = multiply(kernel, weights, x);
    for (const auto place :
         {test::GuardedMemory::Place::kEnd, test::GuardedMemory::Place::kStart}) {
        const test::GuardedMemory from(x.data(), x.size() * sizeof(float), place);
        const PackedRows packed(kernel, reinterpret_cast<const float*>(from.data()), weights.n_in,
                                weights.n_in, n_rows);
        const test::GuardedMemory w(weights.packed.data(), weights.packed.size(), place);
        const test::GuardedMemory rows(packed.memory.get(), packed.n_bytes, place);
        std::vector<float> y(expected.size());
        PanelBlock block = block_of(weights, rows.data(), n_rows, y.data());
        block.weights = w.data();
        run(kernel, block);
        ASSERT_EQ(y, expected) << kernel << " in " << weights.n_in << " out " << weights.n_out
                               << " rows " << n_rows;
    }
}

TEST(PanelKernels, EndsOfMemoryAreExact) {
    for (const Kernel& kernel : all_kernels()) {
        for (const int64_t n_blocks : {1, 3, 8, 9, 16}) {
            for (const int64_t n_out : {7, 16, 35}) {
                const Weights weights(*kernel.info, n_out, n_blocks * kernel.unit());
                for (const int32_t n_rows : {3, 5, 16, 30}) {
                    ASSERT_NO_FATAL_FAILURE(expect_exact_ends(kernel, weights, n_rows));
                }
            }
        }
    }
}

// More sums than the memory of a kernel holds, and more rows than it takes at once.
TEST(PanelKernels, ManyOutputsOfManyRowsAreThoseOfFew) {
    struct {
        int64_t n_out, n_in;
        int32_t n_rows;
    } const sizes[] = {{1100, 512, 259}, {40, 608, 530}, {17, 64, 1100}};
    for (const Kernel& kernel : all_kernels()) {
        const BlockFormat format = kernel.info->format;
        if (format != BlockFormat::kQ4_0 && format != BlockFormat::kF16) continue;
        for (const auto& [n_out, n_in, n_rows] : sizes) {
            const Weights weights(*kernel.info, n_out, n_in);
            const auto x = random_floats(n_rows * n_in, 25);
            const auto whole = multiply(kernel, weights, x);
            for (const int32_t r : {0, 31, 258, n_rows - 1}) {
                const auto row =
                    multiply(kernel, weights, {x.data() + r * n_in, x.data() + (r + 1) * n_in});
                ASSERT_EQ(
                    std::memcmp(row.data(), whole.data() + r * n_out, row.size() * sizeof(float)),
                    0)
                    << kernel << " row " << r << " of " << n_rows;
            }
        }
    }
}

// Results that are added to `y`, in place.
void multiply_add(const Kernel& kernel, const Weights& weights, const std::vector<float>& x,
                  std::vector<float>& y) {
    const auto n_rows = static_cast<int32_t>(static_cast<int64_t>(x.size()) / weights.n_in);
    const PackedRows packed(kernel, x.data(), weights.n_in, weights.n_in, n_rows);
    PanelBlock block = block_of(weights, packed.memory.get(), n_rows, y.data());
    block.adds = true;
    run(kernel, block);
}

TEST(PanelKernels, ResultsAreAddedToWhatIsThere) {
    for (const Kernel& kernel : all_kernels()) {
        for (const int32_t n_rows : {1, 20, 70, 530}) {
            // Kernels that gate keep all of a sum together, the others columns up to some number.
            const int64_t n_units =
                kernel.packing.gates ? 9 : std::min<int64_t>(9, 1024 / kernel.unit());
            const Weights weights(*kernel.info, 37, n_units * kernel.unit());
            const auto x = random_floats(n_rows * weights.n_in, 27);
            auto expected = multiply(kernel, weights, x);
            auto y = random_floats(static_cast<int64_t>(expected.size()), 29);
            for (size_t i = 0; i < y.size(); ++i) expected[i] = y[i] + expected[i];
            multiply_add(kernel, weights, x, y);
            ASSERT_EQ(y, expected) << kernel << " rows " << n_rows;
        }
    }
}

TEST(PanelKernels, ResultsOfManyColumnsAreAddedToWhatIsThere) {
    for (const Kernel& kernel : all_kernels()) {
        for (const int32_t n_rows : {6, 33}) {
            const Weights weights(*kernel.info, 37, 5120 / kernel.unit() * kernel.unit());
            const auto x = random_floats(n_rows * weights.n_in, 31);
            const auto results = multiply(kernel, weights, x);
            const auto before = random_floats(static_cast<int64_t>(results.size()), 33);
            auto y = before;
            multiply_add(kernel, weights, x, y);
            for (size_t i = 0; i < y.size(); ++i) {
                // What is added up in between may be larger than its sum.
                const float size = std::fabs(before[i]) + 100 * std::fabs(results[i]) + 100;
                ASSERT_NEAR(y[i], before[i] + results[i], size * 4e-7f)
                    << kernel << " rows " << n_rows;
            }
        }
    }
}

// The bits of the two products, the activation and the packing, each by itself.
TEST(PanelKernels, GatedResultsArePackedActivations) {
    const std::vector<KernelTable> tables = test::testable_kernel_tables();
    for (const Kernel& kernel : all_kernels()) {
        if (!kernel.packing.gates) continue;
        const auto table = std::find_if(tables.begin(), tables.end(), [&](const KernelTable& t) {
            return std::strcmp(t.name, kernel.set) == 0;
        });
        for (const int64_t n_out : {32, 288, 416}) {
            const Weights gate(*kernel.info, n_out, 5 * kernel.unit(), 31);
            const Weights up(*kernel.info, n_out, 5 * kernel.unit(), 33);
            for (const int32_t n_rows : {1, 16, 45, 530}) {
                const auto x = random_floats(n_rows * gate.n_in, 35);
                auto activations = multiply(kernel, gate, x);
                const auto factors = multiply(kernel, up, x);
                table->activation[PUNA_ACTIVATION_SILU].run(activations.data(), factors.data(),
                                                            static_cast<int64_t>(factors.size()));
                const PackedRows expected(kernel, activations.data(), n_out, n_out, n_rows);
                const PackedRows packed(kernel, x.data(), gate.n_in, gate.n_in, n_rows);
                const AlignedMemory gated = make_aligned(expected.n_bytes);
                for (const int64_t first : {int64_t{0}, int64_t{16}}) {
                    PanelBlock block = block_of(gate, packed.memory.get(), n_rows, nullptr);
                    block.weights = gate.packed.data() + first * gate.row_bytes;
                    block.up = up.packed.data() + first * gate.row_bytes;
                    block.n_out = first == 0 ? 16 : n_out - 16;
                    block.gated = gated.get();
                    block.first_gated = first;
                    block.n_gated = n_out;
                    run(kernel, block);
                }
                ASSERT_EQ(std::memcmp(gated.get(), expected.memory.get(), expected.n_bytes), 0)
                    << kernel << " outputs " << n_out << " rows " << n_rows;
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
