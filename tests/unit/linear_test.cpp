#include "cpu/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <vector>

#include "format/block_format.h"
#include "format/random_blocks.h"
#include "support/guarded_memory.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"
#include "support/relative_error.h"

namespace puna::core {
namespace {

constexpr int64_t kOut = 20;
constexpr int64_t kColumns = 768;
const puna_host_services kAlone = {};

// A matrix of random weights in a format, for the kernels of a table.
struct Weights {
    Weights(const KernelTable& table, BlockFormat format, uint64_t seed)
        : bytes(static_cast<size_t>(kOut) * *block_format_bytes(format, kColumns)),
          values(static_cast<size_t>(kOut * kColumns)) {
        RandomBits bits(seed);
        random_blocks(format, bits, 1.0f, bytes.data(), kOut * kColumns);
        matrix.data = bytes.data();
        matrix.rows = kOut;
        matrix.columns = kColumns;
        matrix.row_bytes = static_cast<int64_t>(bytes.size()) / kOut;
        matrix.format = static_cast<int32_t>(format);
        matrix.multiply = table.linear_of(matrix.format)->run;
        matrix.panel = table.panel_of(matrix.format);
        matrix.small_panel = table.small_panel_of(matrix.format);
        find_block_format(static_cast<uint32_t>(format))
            ->dequantize(bytes.data(), values.data(), kOut * kColumns);
    }

    // [n_rows][kOut]
    std::vector<float> multiplied(const Input& input) const {
        std::vector<float> y(static_cast<size_t>(input.rows.n * kOut), NAN);
        multiply(matrix, {0, kOut}, input, {y.data(), kOut, input.rows.n});
        return y;
    }
    std::vector<double> reference(const std::vector<float>& x) const {
        std::vector<double> y;
        for (size_t r = 0; r < x.size(); r += kColumns) {
            for (size_t i = 0; i < values.size(); i += kColumns) {
                double sum = 0.0;
                for (size_t j = 0; j < kColumns; ++j) {
                    sum += static_cast<double>(values[i + j]) * x[r + j];
                }
                y.push_back(sum);
            }
        }
        return y;
    }

    std::vector<uint8_t> bytes;
    std::vector<float> values;
    Matrix matrix;
};

// What panel kernels work in, of exactly the size that the matrices ask for, at the end of a page.
class PanelMemory {
  public:
    PanelMemory(Matrices matrices, int32_t n_rows)
        : packed_(guarded(kColumns / 32 * packed_column_bytes(matrices, n_rows))),
          memory_(guarded(panel_memory_bytes(matrices, n_rows))) {
        scratch_.packed = packed_.data();
        scratch_.memories = memory_.data();
        scratch_.memory_bytes = panel_memory_bytes(matrices, n_rows);
        scratch_.taken = &taken_;
        scratch_.n_memories = 1;
    }

    const PanelScratch& scratch() const { return scratch_; }

  private:
    static test::GuardedMemory guarded(int64_t n_bytes) {
        const std::vector<uint8_t> garbage(static_cast<size_t>(n_bytes), 0xff);
        return {garbage.data(), garbage.size(), test::GuardedMemory::Place::kEnd};
    }

    test::GuardedMemory packed_;
    test::GuardedMemory memory_;
    std::atomic<int32_t> taken_ = 0;
    PanelScratch scratch_;
};

// Matrices of one phase may want their input in different packings: each gets its own, and the bits
// that it gets alone.
TEST(Linear, MatricesOfOnePhaseMayMixFormats) {
    for (const KernelTable& table : test::testable_kernel_tables()) {
        const Weights f16(table, BlockFormat::kF16, 1);
        const Weights bf16(table, BlockFormat::kBF16, 2);
        const Weights q8_0(table, BlockFormat::kQ8_0, 3);
        const Weights q4_k(table, BlockFormat::kQ4_K, 4);
        const Matrices with_bytes = {&f16.matrix, &q8_0.matrix, &q4_k.matrix};
        const Matrices with_bf16 = {&q4_k.matrix, &bf16.matrix, &f16.matrix};
        for (const Matrices& matrices : {with_bytes, with_bf16}) {
            for (const int32_t n_rows : {1, 4, 5, 8, 9, 17, 40}) {
                auto x = test::random_floats(n_rows * kColumns, 5);
                const Rows rows = {x.data(), kColumns, n_rows};
                const Workers alone(kAlone, 1);
                const PanelMemory memory(matrices, n_rows);
                const Input input = make_input(alone, rows, matrices, memory.scratch());
                // Memory for more rows has room for fewer, which may be packed otherwise.
                for (const int32_t most_rows : {9, 16}) {
                    if (n_rows > most_rows) continue;
                    const PanelMemory larger(matrices, most_rows);
                    make_input(alone, rows, matrices, larger.scratch());
                }
                for (const Weights* weights : {&f16, &bf16, &q8_0, &q4_k}) {
                    if (std::find(matrices.begin(), matrices.end(), &weights->matrix) ==
                        matrices.end()) {
                        continue;
                    }
                    const auto y = weights->multiplied(input);
                    EXPECT_LT(test::relative_error(weights->reference(x), y), 0.01)
                        << table.name << " format " << weights->matrix.format;
                    const PanelMemory own({&weights->matrix}, n_rows);
                    EXPECT_EQ(y, weights->multiplied(
                                     make_input(alone, rows, {&weights->matrix}, own.scratch())))
                        << table.name << " format " << weights->matrix.format;
                }
            }
        }
    }
}

// A batch meets the panel kernel that is for so many rows.
TEST(Linear, SmallBatchesHavePanelsOfTheirOwn) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const BlockFormat format :
             {BlockFormat::kQ8_0, BlockFormat::kQ6_K, BlockFormat::kF32}) {
            const Weights weights(table, format, 1);
            const PanelEntry* many = weights.matrix.panel;
            if (!many) continue;
            const PanelEntry* few = weights.matrix.small_panel;
            const int32_t fewest = (few ? few : many)->packing->fewest_rows;
            EXPECT_EQ(panel_for(weights.matrix, fewest - 1), nullptr) << table.name;
            EXPECT_EQ(panel_for(weights.matrix, fewest), few ? few : many) << table.name;
            if (few) {
                const int32_t most = few->packing->most_rows;
                EXPECT_EQ(panel_for(weights.matrix, most), few) << table.name;
                EXPECT_EQ(panel_for(weights.matrix, most + 1), many) << table.name;
            }
            EXPECT_EQ(panel_for(weights.matrix, 1000), many) << table.name;
        }
    }
}

// The least rows that a packing is for are counted per packing.
TEST(Linear, FewRowsAreNotPacked) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        const Weights f32(table, BlockFormat::kF32, 1);
        const Weights q8_0(table, BlockFormat::kQ8_0, 2);
        const Matrices matrices = {&f32.matrix, &q8_0.matrix};
        for (int32_t n_rows = 1; n_rows <= 32; ++n_rows) {
            auto x = test::random_floats(n_rows * kColumns, 3);
            const Workers alone(kAlone, 1);
            const PanelMemory memory(matrices, n_rows);
            const Input input =
                make_input(alone, {x.data(), kColumns, n_rows}, matrices, memory.scratch());
            std::set<const RowPacking*> expected;
            for (const Matrix* matrix : matrices) {
                const PanelEntry* few = matrix->small_panel;
                if (few && n_rows >= few->packing->fewest_rows &&
                    n_rows <= few->packing->most_rows) {
                    expected.insert(few->packing);
                } else if (matrix->panel && n_rows >= matrix->panel->packing->fewest_rows) {
                    expected.insert(matrix->panel->packing);
                }
            }
            EXPECT_EQ(input.n_packed, static_cast<int32_t>(expected.size()))
                << table.name << " rows " << n_rows;
            EXPECT_EQ(make_input(alone, {x.data(), kColumns, n_rows}, matrices, {}).n_packed, 0);
        }
    }
}

}  // namespace
}  // namespace puna::core
