// Products in bfloat16, against double over what they read: weights and rows that are rounded to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/linear_bf16.h"
#include "cuda/vector_ops.h"
#include "cuda_kernels/linear_operands.h"
#include "support/spec_model.h"

namespace puna::cuda {
namespace {

using test::DeviceArray;
using test::TestMatrix;

float bf16(float x) {
    const auto bits = std::bit_cast<uint32_t>(x);
    return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}
float bf16_element(uint16_t bits) {
    return std::bit_cast<float>(uint32_t{bits} << 16);
}

// ---- Products -----------------------------------------------------------------------------------

struct Bf16Case {
    int64_t columns = 64;
    int32_t n_rows = 64;
    int32_t n_processors = 1;   // the more, the smaller the tiles
    int64_t slice_outputs = 0;  // 0: as many as there are
    int32_t shared_bytes = 99 * 1024;
    bool has_warpgroups = false;
};

constexpr int32_t kMostShared = 227 * 1024;  // of the emulator

// Rows on the device, and room for what the products make of them.
struct Bf16Rows {
    explicit Bf16Rows(const Bf16Case& c)
        : Bf16Rows(c, test::random_floats(c.n_rows * c.columns, 7)) {}
    Bf16Rows(const Bf16Case& c, const std::vector<float>& from)
        : size(c), values(from), floats(values) {
        input.x = floats.get();
        input.n_rows = c.n_rows;
        input.columns = c.columns;
        rounded = DeviceArray<uint8_t>(static_cast<size_t>(rounded_bytes(c.n_rows, c.columns)));
    }

    cudaError_t multiply(const std::vector<Product>& products, LinearOptions options) {
        int64_t outputs = size.slice_outputs;
        for (const Product& product : products) {
            if (size.slice_outputs == 0) outputs += product.matrix.rows;
        }
        const int64_t bytes = bf16_slice_bytes(outputs, input.columns);
        DeviceArray<uint8_t> slice(static_cast<size_t>(bytes));
        DeviceArray<float> spare(static_cast<size_t>(size.n_rows * options.y_stride));
        const InputForms forms = {nullptr,     rounded.get(), slice.get(),    bytes,
                                  parts.get(), parts_bytes,   arrivals.get(), kArrivals};
        options.traits = {true, true, size.shared_bytes};
        options.traits.has_warpgroups = size.has_warpgroups;
        options.n_processors = size.n_processors;
        const auto n = static_cast<int32_t>(products.size());
        const bool all_split =
            splits() && std::ranges::all_of(products, [](const Product& product) {
                return reads_rounded(product.matrix.format);
            });
        EXPECT_EQ(takes_bf16(input, products.data(), n, options, forms), !all_split);
        EXPECT_EQ(takes_warpgroups(input, products.data(), n, options, forms), size.has_warpgroups);
        EXPECT_EQ(takes_split(input, options), splits());
        return cuda::multiply(input, products.data(), n, options, forms, spare.get(), nullptr);
    }

    // Sums of parts of the columns, if they are split.
    int64_t parts_bytes = 4 << 20;  // 0: they are not
    static constexpr int64_t kArrivals = 64;
    DeviceArray<float> parts{(4 << 20) / 4};
    DeviceArray<uint32_t> arrivals{std::vector<uint32_t>(kArrivals, 0)};

    // By kernels that read matrices in their blocks.
    bool splits() const { return size.n_rows <= kSplitRows; }

    Bf16Case size;
    std::vector<float> values;
    DeviceArray<float> floats;
    DeviceArray<uint8_t> rounded;
    Input input;
};

struct Sum {
    double value = 0.0;
    double bound = 1e-30;  // of what additions in floats may lose
};

Sum sum_of(const TestMatrix& m, const std::vector<float>& rows, int64_t output, int64_t row) {
    Sum sum;
    for (int64_t j = 0; j < m.matrix.columns; ++j) {
        const auto w = static_cast<size_t>(output * m.matrix.columns + j);
        const auto x = static_cast<size_t>(row * m.matrix.columns + j);
        const double product = double{bf16(m.values[w])} * bf16(rows[x]);
        sum.value += product;
        sum.bound += 2e-6 * std::fabs(product);
    }
    return sum;
}

using Formats = std::vector<core::BlockFormat>;
Formats formats_that(bool (*holds)(int32_t)) {
    Formats formats;
    for (const auto format : test::all_formats()) {
        if (holds(static_cast<int32_t>(format))) formats.push_back(format);
    }
    return formats;
}
std::string format_name(const testing::TestParamInfo<core::BlockFormat>& f) {
    return std::string(core::block_format_name(f.param));
}

// Where column j of a row is, of right operands and of panels.
int64_t right_place(int64_t n_rows, int64_t row, int64_t j) {
    const int64_t eights = panel_rows(n_rows) / 8;
    return ((j / 32 * eights + row / 8) * 32 + row % 8 * 4 + j % 32 / 8) * 8 + j % 8;
}
int64_t panel_place(int64_t n_rows, int64_t row, int64_t j) {
    const int64_t piece = j % 64 / 32 * 4 + j % 8 / 2;
    return (j / 64 * panel_rows(n_rows) + row) * 64 + (piece ^ (row % 8)) * 8 + j % 32 / 8 * 2 +
           j % 2;
}

// Rows of a multiple of 16 bytes and others, normed in both ways.
void expect_rows(OperandForm form, int64_t columns, int32_t norm_kind) {
    constexpr int32_t kRows = 21;
    Bf16Rows rows({columns, kRows, 1, 0});
    const auto gain = test::random_floats(columns, 81);
    const DeviceArray<float> device_gain(gain);
    rows.input.norm = {device_gain.get(), norm_kind, 1e-5f};
    DeviceArray<float> normed(rows.values.size());
    ASSERT_EQ(norm_rows({rows.input, normed.get(), nullptr}, nullptr), cudaSuccess);
    auto* fragments = reinterpret_cast<uint4*>(rows.rounded.get());
    ASSERT_EQ(bf16_rows(rows.input, form, fragments, true, nullptr), cudaSuccess);
    const auto expected = normed.read();
    const auto pieces = rows.rounded.read();
    for (int64_t row = 0; row < kRows; ++row) {
        for (int64_t j = 0; j < bf16_stride(columns); ++j) {
            const int64_t at = form == OperandForm::kRight ? right_place(kRows, row, j)
                                                           : panel_place(kRows, row, j);
            uint16_t bits = 0;
            std::memcpy(&bits, pieces.data() + 2 * at, sizeof bits);
            const double value =
                j < columns ? expected[static_cast<size_t>(row * columns + j)] : 0.0;
            ASSERT_NEAR(bf16_element(bits), value, std::fabs(value) * 0x1.02p-8)
                << "row " << row << ", column " << j << " of " << columns;
        }
    }
}

TEST(CudaBf16Rows, AreNormedAndRounded) {
    for (const int64_t columns : {71, 96, 1156}) {
        for (const int32_t norm : {PUNA_NORM_RMS, PUNA_NORM_LAYER}) {
            expect_rows(OperandForm::kRight, columns, norm);
            expect_rows(OperandForm::kPanels, columns, norm);
        }
    }
}

class CudaBf16Formats : public testing::TestWithParam<core::BlockFormat> {
  protected:
    // No multiple of the columns of a step, where the format has such.
    int64_t columns() const {
        const int64_t block = core::block_format_info(GetParam()).block_length;
        return block == 1 ? 71 : block == 32 ? 96 : 256;
    }
};

void expect_expands(core::BlockFormat format, int64_t columns) {
    constexpr int64_t kRows = 5;
    const TestMatrix m(format, kRows, columns, 3);
    const int64_t stride = bf16_stride(columns);
    DeviceArray<uint16_t> out(static_cast<size_t>(kRows * stride));
    const auto from = [&](int64_t row) { return m.matrix.data + row * m.matrix.row_bytes; };
    Expand job = {};
    for (const int64_t first : {0, 1, 4}) job.parts[job.n_parts++] = {from(first), first, first};
    job.row_bytes = m.matrix.row_bytes;
    job.columns = columns;
    job.stride = stride;
    job.n_rows = kRows;
    job.out = out.get();
    job.overlaps = true;
    ASSERT_EQ(expand_rows(job, m.matrix.format, nullptr), cudaSuccess);
    const auto elements = out.read();
    for (int64_t i = 0; i < kRows * stride; ++i) {
        const int64_t row = i / stride;
        const int64_t j = i % stride;
        const float expected =
            j < columns ? bf16(m.values[static_cast<size_t>(row * columns + j)]) : 0.0f;
        ASSERT_EQ(bf16_element(elements[static_cast<size_t>(i)]), expected)
            << "row " << row << ", column " << j << " of " << columns;
    }
}

TEST_P(CudaBf16Formats, ExpandToTheReferenceValues) {
    expect_expands(GetParam(), columns());
    // Single elements that can be read 16 bytes at a time.
    if (core::block_format_info(GetParam()).block_length == 1) expect_expands(GetParam(), 72);
}

class CudaSplitFormats : public CudaBf16Formats {};

void check_outputs(core::BlockFormat format, const Bf16Case& c, int64_t outputs) {
    Bf16Rows rows(c);
    const TestMatrix m(format, outputs, c.columns, 61);
    DeviceArray<float> y(static_cast<size_t>(c.n_rows * outputs));
    LinearOptions options;
    options.y_stride = outputs;
    ASSERT_EQ(rows.multiply({{m.matrix, nullptr, y.get()}}, options), cudaSuccess);
    const auto values = y.read();
    for (int64_t i = 0; i < c.n_rows * outputs; ++i) {
        const Sum sum = sum_of(m, rows.values, i % outputs, i / outputs);
        ASSERT_NEAR(values[static_cast<size_t>(i)], sum.value, sum.bound)
            << "row " << i / outputs << ", output " << i % outputs;
    }
}

// Some rows, against double: an odd number of spans, and outputs that are no multiple of what a block has.
TEST_P(CudaSplitFormats, SomeRowsAgreeWithDouble) {
    check_outputs(GetParam(), {columns() == 96 ? 96 : 768, 13, 1, 0}, 35);
    if (columns() == 96) check_outputs(GetParam(), {224, 40, 1, 0}, 70);
}

class CudaWarpgroupFormats : public CudaBf16Formats {};

// Rows of a matrix that begin anywhere between multiples of 16 bytes, several chunks of them, the last one not whole.
TEST_P(CudaWarpgroupFormats, ManyRowsAgreeWithDouble) {
    const int64_t block = core::block_format_info(GetParam()).block_length;
    const int64_t columns = block == 1 ? 407 : block == 32 ? 864 : 1280;
    check_outputs(GetParam(), {columns, 70, 1, 0, kMostShared, true}, 35);
    check_outputs(GetParam(), {columns, 140, 24, 0, kMostShared, true}, 135);
}

// Four groups of warps, and three blocks that share their outputs.
TEST(CudaSplit, BlocksShareManyOutputs) {
    check_outputs(core::BlockFormat::kQ8_0, {2080, 20, 3, 0}, 202);
}

INSTANTIATE_TEST_SUITE_P(All, CudaBf16Formats, testing::ValuesIn(formats_that(expands)),
                         format_name);
INSTANTIATE_TEST_SUITE_P(All, CudaWarpgroupFormats, testing::ValuesIn(formats_that(expands)),
                         format_name);
INSTANTIATE_TEST_SUITE_P(All, CudaSplitFormats, testing::ValuesIn(formats_that(reads_rounded)),
                         format_name);

class CudaBf16 : public testing::TestWithParam<Bf16Case> {
  protected:
    void SetUp() override { ASSERT_EQ(prepare_bf16({true, true, kMostShared}), cudaSuccess); }
};

TEST_P(CudaBf16, PartsOfAnyFormatShareTheirInput) {
    const Bf16Case c = GetParam();
    Bf16Rows rows(c);
    const TestMatrix a(core::BlockFormat::kQ4_0, 131, c.columns, 11);
    const auto other = rows.splits() ? core::BlockFormat::kQ4_0 : core::BlockFormat::kF16;
    const TestMatrix b(other, 1, c.columns, 12);
    const TestMatrix d(core::BlockFormat::kQ8_0, 70, c.columns, 13);
    const int64_t outputs = 131 + 1 + 70;
    const auto bias = test::random_floats(131, 14);
    const DeviceArray<float> device_bias(bias);
    DeviceArray<float> y(static_cast<size_t>(c.n_rows * outputs));
    LinearOptions options;
    options.y_stride = outputs;
    ASSERT_EQ(rows.multiply({{a.matrix, device_bias.get(), y.get()},
                             {b.matrix, nullptr, y.get() + 131},
                             {d.matrix, nullptr, y.get() + 132}},
                            options),
              cudaSuccess);
    const auto values = y.read();
    for (int64_t r = 0; r < c.n_rows; ++r) {
        for (int64_t i = 0; i < outputs; ++i) {
            Sum sum = i < 131    ? sum_of(a, rows.values, i, r)
                      : i == 131 ? sum_of(b, rows.values, 0, r)
                                 : sum_of(d, rows.values, i - 132, r);
            if (i < 131) sum.value += bias[static_cast<size_t>(i)];
            ASSERT_NEAR(values[static_cast<size_t>(r * outputs + i)], sum.value, sum.bound + 1e-6)
                << "row " << r << ", output " << i;
        }
    }
}

// Gate and up of one format or of two.
void check_gate_up(const Bf16Case& c, core::BlockFormat up_format) {
    constexpr int64_t kOutputs = 77;  // no multiple of eight
    Bf16Rows rows(c);
    const TestMatrix gate(core::BlockFormat::kQ4_0, kOutputs, c.columns, 31);
    const TestMatrix up(up_format, kOutputs, c.columns, 32);
    const auto bias = test::random_floats(kOutputs, 33);
    const DeviceArray<float> device_bias(bias);
    DeviceArray<float> y(static_cast<size_t>(c.n_rows * kOutputs));
    LinearOptions options;
    options.y_stride = kOutputs;
    options.epilogue = Epilogue::kGateUp;
    options.activation = PUNA_ACTIVATION_SILU;
    ASSERT_EQ(
        rows.multiply({{gate.matrix, nullptr, y.get()}, {up.matrix, device_bias.get(), nullptr}},
                      options),
        cudaSuccess);
    const auto values = y.read();
    for (int64_t i = 0; i < c.n_rows * kOutputs; ++i) {
        const Sum g = sum_of(gate, rows.values, i % kOutputs, i / kOutputs);
        const Sum u = sum_of(up, rows.values, i % kOutputs, i / kOutputs);
        const double with_bias = u.value + double{bias[static_cast<size_t>(i % kOutputs)]};
        const double bound = 1.2 * g.bound * (std::fabs(with_bias) + u.bound) +
                             (std::fabs(g.value) + 1.0) * (u.bound + 1e-6) +
                             1e-6 * std::fabs(g.value * with_bias);
        ASSERT_NEAR(values[static_cast<size_t>(i)],
                    test::activate(PUNA_ACTIVATION_SILU, g.value) * with_bias, bound)
            << "row " << i / kOutputs << ", output " << i % kOutputs;
    }
}

TEST_P(CudaBf16, GateAndUp) {
    for (const auto up_format : {core::BlockFormat::kQ4_0, core::BlockFormat::kQ4_1}) {
        check_gate_up(GetParam(), up_format);
    }
    if (GetParam().n_rows > kSplitRows) check_gate_up(GetParam(), core::BlockFormat::kBF16);
}

using CudaBf16Tiles = CudaBf16;

TEST_P(CudaBf16Tiles, ResultsThatStayInFragmentsAreTheSame) {
    const Bf16Case c = GetParam();
    constexpr int64_t kOutputs = 78;
    Bf16Rows rows(c);
    rows.parts_bytes = 0;  // the same additions both times
    const TestMatrix gate(core::BlockFormat::kQ8_0, kOutputs, c.columns, 51);
    const auto up_format = c.has_warpgroups ? core::BlockFormat::kQ8_0 : core::BlockFormat::kQ4_0;
    const TestMatrix up(up_format, kOutputs, c.columns, 52);
    const TestMatrix down(core::BlockFormat::kF16, 6, kOutputs, 53);
    DeviceArray<float> y(static_cast<size_t>(c.n_rows * kOutputs));
    DeviceArray<uint8_t> fragments(static_cast<size_t>(bf16_bytes(c.n_rows, kOutputs)));
    const std::vector<Product> both = {{gate.matrix, nullptr, y.get()},
                                       {up.matrix, nullptr, nullptr}};
    LinearOptions options;
    options.y_stride = kOutputs;
    options.epilogue = Epilogue::kGateUp;
    options.activation = PUNA_ACTIVATION_GELU;
    ASSERT_EQ(rows.multiply(both, options), cudaSuccess);
    options.y_fragments = reinterpret_cast<uint4*>(fragments.get());
    ASSERT_EQ(rows.multiply(both, options), cudaSuccess);

    std::vector<float> results[2];
    Bf16Case next = c;
    next.columns = kOutputs;
    for (const bool stays : {false, true}) {
        Bf16Rows gates(next, y.read());
        if (stays) gates.input.fragments = options.y_fragments;
        DeviceArray<float> z(static_cast<size_t>(c.n_rows * 6));
        LinearOptions store;
        store.y_stride = 6;
        ASSERT_EQ(gates.multiply({{down.matrix, nullptr, z.get()}}, store), cudaSuccess);
        results[stays] = z.read();
    }
    EXPECT_EQ(results[0], results[1]);
}

// Behind a norm, whose results are not multiples of what bfloat16 has.
TEST_P(CudaBf16, NormedRowsAreAddedToWhatIsThere) {
    const Bf16Case c = GetParam();
    constexpr int64_t kOutputs = 9;
    Bf16Rows rows(c);
    const auto gain = test::random_floats(c.columns, 41);
    const DeviceArray<float> device_gain(gain);
    rows.input.norm = {device_gain.get(), PUNA_NORM_RMS, 1e-5f};
    const TestMatrix m(core::BlockFormat::kQ8_0, kOutputs, c.columns, 42);
    const auto before = test::random_floats(c.n_rows * kOutputs, 43);
    const DeviceArray<float> y(before);
    LinearOptions options;
    options.y_stride = kOutputs;
    options.epilogue = Epilogue::kResidual;
    options.scale = 0.25f;
    ASSERT_EQ(rows.multiply({{m.matrix, nullptr, y.get()}}, options), cudaSuccess);
    const auto values = y.read();
    for (int64_t r = 0; r < c.n_rows; ++r) {
        double squares = 0.0;
        for (int64_t j = 0; j < c.columns; ++j) {
            const double x = rows.values[static_cast<size_t>(r * c.columns + j)];
            squares += x * x;
        }
        const double scale = 1.0 / std::sqrt(squares / static_cast<double>(c.columns) + 1e-5);
        for (int64_t i = 0; i < kOutputs; ++i) {
            double sum = 0.0;
            double bound = 1e-6;
            for (int64_t j = 0; j < c.columns; ++j) {
                const auto at = static_cast<size_t>(r * c.columns + j);
                const double x = rows.values[at] * scale * gain[static_cast<size_t>(j)];
                const double w = bf16(m.values[static_cast<size_t>(i * c.columns + j)]);
                sum += w * x;
                bound += std::fabs(w * x) * 0x1p-8;  // a rounding to bfloat16, and some
            }
            const auto at = static_cast<size_t>(r * kOutputs + i);
            ASSERT_NEAR(values[at], before[at] + 0.25 * sum, 0.25 * bound) << "row " << r;
        }
    }
}

// Of an output head in F16 or BF16: rows in the order in which outputs ask for them.
TEST(CudaBf16Logits, OfSomeRowsAgreeWithDouble) {
    constexpr int64_t kOutputs = 301;  // more than a slice
    for (const auto format : {core::BlockFormat::kF16, core::BlockFormat::kBF16}) {
        for (const Bf16Case c : {Bf16Case{96, 9, 1, 128}, Bf16Case{576, 32, 8, 128}}) {
            ASSERT_EQ(prepare_bf16({true, true, c.shared_bytes}), cudaSuccess);
            Bf16Rows rows(c);
            std::vector<int32_t> wanted;
            for (int32_t i = 0; i < c.n_rows; ++i) wanted.push_back(c.n_rows - 1 - i);
            const DeviceArray<int32_t> device_wanted(wanted);
            rows.input.rows = device_wanted.get();
            const TestMatrix m(format, kOutputs, c.columns, 71);
            DeviceArray<float> y(static_cast<size_t>(c.n_rows * kOutputs));
            LinearOptions options;
            options.epilogue = Epilogue::kLogits;
            options.y_stride = kOutputs;
            options.scale = 0.5f;
            options.softcap = 3.0f;
            ASSERT_EQ(rows.multiply({{m.matrix, nullptr, y.get()}}, options), cudaSuccess);
            const auto values = y.read();
            for (int64_t i = 0; i < c.n_rows * kOutputs; ++i) {
                const int64_t row = wanted[static_cast<size_t>(i / kOutputs)];
                const Sum sum = sum_of(m, rows.values, i % kOutputs, row);
                ASSERT_NEAR(values[static_cast<size_t>(i)], 3.0 * std::tanh(0.5 * sum.value / 3.0),
                            sum.bound + 1e-6)
                    << "row " << row << ", output " << i % kOutputs;
            }
        }
    }
}

std::string name_of(const testing::TestParamInfo<Bf16Case>& c) {
    return std::to_string(c.param.columns) + "Columns" + std::to_string(c.param.n_rows) + "Rows" +
           std::to_string(c.param.n_processors) + "Processors" +
           (c.param.slice_outputs == 0 ? "" : "InSlices") +
           (c.param.has_warpgroups                ? "OfWarpgroups"
            : c.param.shared_bytes == kMostShared ? "Wide"
                                                  : "");
}
constexpr Bf16Case kTiles[] = {{64, 150, 1, 0},
                               {320, 65, 1, 0},
                               {96, 130, 3, 0},
                               {288, 70, 8, 0},
                               {64, 128, 4, 0},
                               {32, 129, 8, 128},
                               {96, 250, 1, 0, kMostShared},
                               {64, 240, 1, 128, kMostShared},
                               {1024, 70, 12, 0},
                               {1344, 65, 16, 0}};
// By warpgroups: one and two blocks in a cluster, some of them without a row; more steps than are on their way at
// a time; blocks that share columns.
constexpr Bf16Case kWarpgroups[] = {
    {64, 150, 1, 0, kMostShared, true},   {320, 65, 1, 0, kMostShared, true},
    {96, 130, 3, 0, kMostShared, true},   {288, 70, 8, 0, kMostShared, true},
    {32, 257, 8, 128, kMostShared, true}, {608, 129, 1, 256, kMostShared, true},
    {1344, 65, 16, 0, kMostShared, true}, {1024, 200, 12, 0, kMostShared, true}};
// With more columns blocks share outputs, where there are processors for it.
constexpr Bf16Case kSplit[] = {{32, 9, 1, 0},    {64, 32, 1, 0},    {352, 33, 1, 0},
                               {288, 64, 1, 0},  {320, 64, 4, 0},   {2592, 20, 2, 0},
                               {2592, 41, 7, 0}, {2400, 64, 99, 0}, {1952, 9, 4, 0}};
INSTANTIATE_TEST_SUITE_P(Tiles, CudaBf16, testing::ValuesIn(kTiles), name_of);
INSTANTIATE_TEST_SUITE_P(Warpgroups, CudaBf16, testing::ValuesIn(kWarpgroups), name_of);
INSTANTIATE_TEST_SUITE_P(Warpgroups, CudaBf16Tiles, testing::ValuesIn(kWarpgroups), name_of);
INSTANTIATE_TEST_SUITE_P(Split, CudaBf16, testing::ValuesIn(kSplit), name_of);
INSTANTIATE_TEST_SUITE_P(Some, CudaBf16Tiles, testing::ValuesIn(kTiles), name_of);

TEST(CudaBf16Choice, NeedsManyRowsAndFormatsThatFit) {
    const Bf16Rows rows({64, kSplitRows + 1, 1, 0});
    const TestMatrix q(core::BlockFormat::kQ8_0, 2, 64, 1), f(core::BlockFormat::kF32, 2, 64, 2);
    const Product products[] = {{q.matrix, nullptr, nullptr}, {f.matrix, nullptr, nullptr}};
    LinearOptions options;
    uint8_t slice = 0;
    InputForms forms = {nullptr, nullptr, &slice, 1};
    const auto takes = [&](const Input& input, int32_t n) {
        return takes_bf16(input, products, n, options, forms);
    };
    EXPECT_FALSE(takes(rows.input, 1));
    options.traits.has_floats16 = true;
    EXPECT_TRUE(takes(rows.input, 1));
    EXPECT_FALSE(takes(rows.input, 2));
    Input fewer = rows.input;
    fewer.n_rows = kSplitRows;
    EXPECT_FALSE(takes(fewer, 1));
    EXPECT_TRUE(takes_split(fewer, options));
    fewer.n_rows = kFewRows;
    EXPECT_FALSE(takes_split(fewer, options));
    fewer.n_rows = kFewRows + 1;
    const TestMatrix h(core::BlockFormat::kF16, 2, 64, 3);
    const Product half = {h.matrix, nullptr, nullptr};
    options.epilogue = Epilogue::kLogits;
    EXPECT_TRUE(takes_bf16(fewer, &half, 1, options, forms));
    EXPECT_FALSE(takes(fewer, 1));
    options.epilogue = Epilogue::kStore;
    options.same_for_all_rows = true;
    EXPECT_FALSE(takes(rows.input, 1));
    options.same_for_all_rows = false;
    forms.slice = nullptr;
    EXPECT_FALSE(takes(rows.input, 1));
}

}  // namespace
}  // namespace puna::cuda
