// Products of every block format, against double over the dequantised weights.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cuda/activations.h"
#include "cuda/linear.h"
#include "cuda/vector_ops.h"
#include "cuda_kernels/linear_operands.h"
#include "support/random_numbers.h"
#include "support/spec_model.h"

namespace puna::cuda {
namespace {

using test::DeviceArray;
using test::TestMatrix;

// Random rows, some of them much larger than others, and room for what products of many rows make of them.
struct TestRows {
    TestRows(int32_t n_rows, int64_t n_columns, uint64_t seed)
        : values(test::random_floats(n_rows * n_columns, seed)), columns(n_columns) {
        for (size_t i = 0; i < values.size(); ++i) {
            if (i / 32 % 5 == 2) values[i] *= 37.5f;
            if (i / 32 % 7 == 3) values[i] = 0.0f;
        }
        floats = DeviceArray<float>(values);
        input.x = floats.get();
        input.n_rows = n_rows;
        input.columns = columns;
        normed = DeviceArray<float>(values.size());
        rounded = DeviceArray<uint8_t>(static_cast<size_t>(n_rows * rounded_row_bytes(columns)));
        forms = {normed.get(), rounded.get()};
    }

    std::vector<float> values;  // [n_rows][columns]
    int64_t columns;
    DeviceArray<float> floats, normed;
    DeviceArray<uint8_t> rounded;
    Input input;
    InputForms forms;
};

struct Expected {
    double sum;
    double bound;  // what rounding may add up to
};

Expected expect(const TestMatrix& m, const TestRows& x, int64_t output, int64_t row) {
    const float* w = m.values.data() + output * x.columns;
    const float* v = x.values.data() + row * x.columns;
    Expected e = {0.0, 1e-30};
    for (int64_t first = 0; first < x.columns; first += 32) {
        double largest = 0.0;
        double weights = 0.0;
        for (int64_t j = first; j < std::min(first + 32, x.columns); ++j) {
            e.sum += double{w[j]} * v[j];
            e.bound += 2e-6 * std::fabs(double{w[j]} * v[j]);
            largest = std::max(largest, std::fabs(double{v[j]}));
            weights += std::fabs(double{w[j]});
        }
        // Half a digit of 1/32512 for each activation.
        if (reads_rounded(m.matrix.format)) e.bound += weights * largest * 0.51 / 32512.0;
    }
    return e;
}

LinearOptions store(int64_t stride) {
    LinearOptions options;
    options.y_stride = stride;
    return options;
}

std::vector<float> product(const TestMatrix& m, const TestRows& x, bool same_for_all_rows) {
    DeviceArray<float> y(static_cast<size_t>(x.input.n_rows * m.matrix.rows));
    const Product one = {m.matrix, nullptr, y.get()};
    LinearOptions options = store(m.matrix.rows);
    options.same_for_all_rows = same_for_all_rows;
    EXPECT_EQ(multiply(x.input, &one, 1, options, x.forms, nullptr, nullptr), cudaSuccess);
    return y.read();
}

class CudaFormats : public testing::TestWithParam<core::BlockFormat> {
  protected:
    int64_t block() const { return core::block_format_info(GetParam()).block_length; }
    // Odd numbers of blocks, so that rows begin at any address a format allows.
    int64_t columns(int64_t n) const { return block() == 1 ? 32 * n + 7 : block() * n; }
};

TEST_P(CudaFormats, IsSupported) {
    EXPECT_TRUE(format_supported(static_cast<int32_t>(GetParam())));
}

TEST_P(CudaFormats, FewRowsAgreeWithDouble) {
    uint64_t seed = 1;
    for (const int64_t n : {int64_t{1}, int64_t{3}, block() == 32 ? int64_t{35} : int64_t{5}}) {
        const TestMatrix m(GetParam(), 11, columns(n), ++seed);
        for (int32_t n_rows = 1; n_rows <= 9; ++n_rows) {
            const TestRows x(n_rows, columns(n), ++seed);
            const auto y = product(m, x, true);
            for (int64_t i = 0; i < n_rows * 11; ++i) {
                const Expected e = expect(m, x, i % 11, i / 11);
                ASSERT_NEAR(y[static_cast<size_t>(i)], e.sum, e.bound)
                    << columns(n) << " columns, row " << i / 11 << " of " << n_rows << ", output "
                    << i % 11;
            }
        }
    }
}

TEST_P(CudaFormats, ManyRowsAgreeWithDouble) {
    for (const int32_t n_rows : {9, 33}) {
        const int64_t outputs = n_rows == 9 || block() == 1 ? 67 : 3;
        const TestMatrix m(GetParam(), outputs, columns(3), 5);
        const TestRows x(n_rows, columns(3), 6);
        const auto y = product(m, x, false);
        for (int64_t i = 0; i < n_rows * outputs; ++i) {
            const Expected e = expect(m, x, i % outputs, i / outputs);
            ASSERT_NEAR(y[static_cast<size_t>(i)], e.sum, e.bound)
                << "row " << i / outputs << ", output " << i % outputs;
        }
    }
}

TEST_P(CudaFormats, ARowDoesNotDependOnTheOthers) {
    constexpr int32_t kRows = 19;
    constexpr int64_t kOutputs = 5;
    const TestMatrix m(GetParam(), kOutputs, columns(5), 7);
    const TestRows all(kRows, columns(5), 8);
    const auto together = product(m, all, true);
    for (int32_t n : {1, 2, 3, 6}) {
        for (int32_t first = 0; first + n <= kRows; first += 6) {
            Input part = all.input;
            part.n_rows = n;
            part.x += first * part.columns;
            DeviceArray<float> y(static_cast<size_t>(n * kOutputs));
            const Product one = {m.matrix, nullptr, y.get()};
            ASSERT_EQ(multiply(part, &one, 1, store(kOutputs), all.forms, nullptr, nullptr),
                      cudaSuccess);
            const auto apart = y.read();
            for (size_t i = 0; i < apart.size(); ++i) {
                ASSERT_EQ(apart[i], together[static_cast<size_t>(first * kOutputs) + i]);
            }
        }
    }
}

// Floats that go through in groups of few rows.
TEST(CudaFloats, SomeRowsAreAsFewRows) {
    for (const auto format :
         {core::BlockFormat::kF32, core::BlockFormat::kF16, core::BlockFormat::kBF16}) {
        const TestMatrix m(format, 21, 72, 31);
        for (const int32_t n_rows : {9, 32}) {
            TestRows x(n_rows, 72, 32);
            const DeviceArray<float> gain(test::random_floats(72, 33));
            x.input.norm = {gain.get(), PUNA_NORM_RMS, 1e-5f};
            EXPECT_EQ(product(m, x, false), product(m, x, true)) << n_rows << " rows";
        }
    }
}

TEST_P(CudaFormats, LooksUpTheReferenceValues) {
    const TestMatrix m(GetParam(), 6, columns(3), 9);
    // Row numbers, two int32 apart.
    const DeviceArray<int32_t> indices(std::vector<int32_t>{5, -1, 0, -1, 3, -1});
    DeviceArray<float> out(static_cast<size_t>(3 * columns(3)));
    ASSERT_EQ(look_up_rows(m.matrix, indices.get(), 2, 3, 1.5f, out.get(), nullptr), cudaSuccess);
    const auto values = out.read();
    const int64_t rows[] = {5, 0, 3};
    for (int64_t i = 0; i < 3 * columns(3); ++i) {
        const int64_t at = rows[i / columns(3)] * columns(3) + i % columns(3);
        ASSERT_EQ(values[static_cast<size_t>(i)], m.values[static_cast<size_t>(at)] * 1.5f) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaFormats, testing::ValuesIn(test::all_formats()),
                         [](const auto& f) {
                             return std::string(core::block_format_name(f.param));
                         });

// ---- What follows the sums ----------------------------------------------------------------------

class CudaEpilogues : public testing::TestWithParam<core::BlockFormat> {
  protected:
    static constexpr int64_t kColumns = 64;
    core::BlockFormat format() const { return GetParam(); }
};

TEST_P(CudaEpilogues, PartsShareTheirInput) {
    for (const int32_t n_rows : {1, 3, 20}) {
        const TestRows x(n_rows, kColumns, 3);
        const TestMatrix a(format(), 7, kColumns, 11), b(format(), 1, kColumns, 12);
        const TestMatrix c(core::BlockFormat::kQ8_0, 5, kColumns, 13);
        const auto bias = test::random_floats(7, 14);
        const DeviceArray<float> device_bias(bias);
        DeviceArray<float> y(static_cast<size_t>(n_rows * 13));
        const Product products[] = {{a.matrix, device_bias.get(), y.get()},
                                    {b.matrix, nullptr, y.get() + 7},
                                    {c.matrix, nullptr, y.get() + 8}};
        ASSERT_EQ(multiply(x.input, products, 3, store(13), x.forms, nullptr, nullptr),
                  cudaSuccess);
        const auto values = y.read();
        for (int64_t r = 0; r < n_rows; ++r) {
            for (int64_t i = 0; i < 13; ++i) {
                Expected e = i < 7    ? expect(a, x, i, r)
                             : i == 7 ? expect(b, x, 0, r)
                                      : expect(c, x, i - 8, r);
                if (i < 7) e.sum += double{bias[static_cast<size_t>(i)]};
                ASSERT_NEAR(values[static_cast<size_t>(r * 13 + i)], e.sum, e.bound + 1e-6);
            }
        }
    }
}

TEST_P(CudaEpilogues, ResidualAndLogits) {
    for (const int32_t n_rows : {2, 12}) {
        const TestRows x(n_rows, kColumns, 3);
        const TestMatrix m(format(), 9, kColumns, 21);
        const auto bias = test::random_floats(9, 22);
        const auto before = test::random_floats(n_rows * 9, 23);
        const DeviceArray<float> device_bias(bias);
        const DeviceArray<float> residual(before), logits(before);
        LinearOptions options = store(9);
        options.epilogue = Epilogue::kResidual;
        options.scale = 0.25f;
        const Product added = {m.matrix, device_bias.get(), residual.get()};
        ASSERT_EQ(multiply(x.input, &added, 1, options, x.forms, nullptr, nullptr), cudaSuccess);
        options.epilogue = Epilogue::kLogits;
        options.softcap = 3.0f;
        const Product capped = {m.matrix, nullptr, logits.get()};
        ASSERT_EQ(multiply(x.input, &capped, 1, options, x.forms, nullptr, nullptr), cudaSuccess);
        const auto sums = residual.read();
        const auto caps = logits.read();
        for (size_t i = 0; i < sums.size(); ++i) {
            const auto at = static_cast<int64_t>(i);
            const Expected e = expect(m, x, at % 9, at / 9);
            ASSERT_NEAR(sums[i], before[i] + 0.25 * (e.sum + bias[i % 9]), e.bound + 1e-6);
            ASSERT_NEAR(caps[i], 3.0 * std::tanh(0.25 * e.sum / 3.0), e.bound + 1e-6);
        }
    }
}

TEST_P(CudaEpilogues, GateAndUp) {
    for (const int32_t activation :
         {PUNA_ACTIVATION_SILU, PUNA_ACTIVATION_GELU, PUNA_ACTIVATION_GELU_TANH}) {
        for (const int32_t n_rows : {1, 5, 70}) {
            for (const auto up_format : {format(), core::BlockFormat::kQ4_1}) {
                const int64_t outputs = n_rows == 1 ? 35 : 6;
                const TestRows x(n_rows, kColumns, 3);
                const TestMatrix gate(format(), outputs, kColumns, 31);
                const TestMatrix up(up_format, outputs, kColumns, 32);
                const auto bias = test::random_floats(outputs, 33);
                const DeviceArray<float> device_bias(bias);
                DeviceArray<float> y(static_cast<size_t>(n_rows * outputs));
                DeviceArray<float> spare(static_cast<size_t>(n_rows * outputs));
                LinearOptions options = store(outputs);
                options.epilogue = Epilogue::kGateUp;
                options.activation = activation;
                const Product products[] = {{gate.matrix, nullptr, y.get()},
                                            {up.matrix, device_bias.get(), spare.get()}};
                ASSERT_EQ(multiply(x.input, products, 2, options, x.forms, spare.get(), nullptr),
                          cudaSuccess);
                const auto values = y.read();
                for (size_t i = 0; i < values.size(); ++i) {
                    const auto at = static_cast<int64_t>(i);
                    const Expected g = expect(gate, x, at % outputs, at / outputs);
                    const Expected u = expect(up, x, at % outputs, at / outputs);
                    const double with_bias = u.sum + double{bias[i % static_cast<size_t>(outputs)]};
                    const double bound = 1.2 * g.bound * (std::fabs(with_bias) + u.bound) +
                                         (std::fabs(g.sum) + 1.0) * (u.bound + 1e-6) +
                                         1e-6 * std::fabs(g.sum * with_bias);
                    ASSERT_NEAR(values[i], test::activate(activation, g.sum) * with_bias, bound);
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Some, CudaEpilogues,
                         testing::Values(core::BlockFormat::kF32, core::BlockFormat::kBF16,
                                         core::BlockFormat::kQ4_0, core::BlockFormat::kQ5_1),
                         [](const auto& f) {
                             return std::string(core::block_format_name(f.param));
                         });

// ---- Rounding -----------------------------------------------------------------------------------

TEST(CudaRounding, WhatIsNotFiniteIsNaNAndNothingIsNothing) {
    std::vector<float> values(96, 1.0f);
    values[3] = INFINITY;
    for (size_t i = 32; i < 64; ++i) values[i] = 1e-38f;
    const DeviceArray<float> x(values);
    DeviceArray<uint8_t> rounded(static_cast<size_t>(rounded_row_bytes(96)));
    ASSERT_EQ(round_rows(x.get(), 96, 1, rounded.get(), nullptr), cudaSuccess);
    const auto bytes = rounded.read();
    float scales[3];
    for (size_t s = 0; s < 3; ++s) std::memcpy(&scales[s], &bytes[4 * 48 + 16 * s], sizeof(float));
    EXPECT_TRUE(std::isnan(scales[0]));
    EXPECT_EQ(scales[1], 0.0f);
    EXPECT_EQ(scales[2], 1.0f / 32512.0f);
}

}  // namespace
}  // namespace puna::cuda
