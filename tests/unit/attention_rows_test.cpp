#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "puna/puna_backend.h"
#include "support/filled_cache.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

using test::FilledCache;
using test::random_floats;

struct FreeAligned {
    void operator()(uint8_t* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};

struct Shape {
    int32_t n_rows;
    int32_t n_queries;
    int32_t dim_k;
    int32_t dim_v;
    int32_t n_cells;  // of the cache; the rows see the last of it
    float softcap = 0.0f;
};

// What an AttentionRowsFn reads and writes: one head.
class Problem {
  public:
    Problem(const KernelTable& table, const Shape& shape, int32_t type)
        : shape_(shape),
          filled_(table, test::spec_of(shape.n_queries, 1, shape.dim_k, shape.dim_v), type,
                  shape.n_cells) {
        q = random_floats(shape.n_rows * q_stride(), 3);
        for (float& value : q) value *= 2.0f / std::sqrt(static_cast<float>(shape.dim_k));
        // Prompts: each row sees one position more than that before it; and a window.
        for (int32_t r = 0; r < shape.n_rows; ++r) {
            end.push_back(std::max(1, shape.n_cells - shape.n_rows + 1 + r));
            begin.push_back(r % 3 == 2 ? end.back() / 2 : 0);
        }
    }

    std::vector<float> run(const RowsAttentionEntry& kernel, int32_t first_row,
                           int32_t n_rows) const {
        const size_t n_bytes = static_cast<size_t>(kernel.memory(shape_.dim_k, shape_.dim_v));
        EXPECT_EQ(n_bytes % 64, 0u);
        const std::unique_ptr<uint8_t, FreeAligned> memory(
            static_cast<uint8_t*>(::operator new(n_bytes, std::align_val_t(64))));
        std::memset(memory.get(), 0xff, n_bytes);  // NaN
        std::vector<float> out(
            static_cast<size_t>(n_rows * (shape_.n_queries * shape_.dim_v + kPad)), kUntouched);
        AttentionRows rows;
        rows.q = q.data() + first_row * q_stride();
        rows.q_stride = q_stride();
        rows.out = out.data();
        rows.out_stride = shape_.n_queries * shape_.dim_v + kPad;
        rows.keys = filled_.cache.keys().head(0, 0);
        rows.values = filled_.cache.values().head(0, 0);
        rows.key_page_bytes = filled_.cache.keys().page_bytes;
        rows.value_page_bytes = filled_.cache.values().page_bytes;
        rows.pages = filled_.pages.data();
        rows.begin = begin.data() + first_row;
        rows.end = end.data() + first_row;
        rows.n_rows = n_rows;
        rows.n_queries = shape_.n_queries;
        rows.head_dim_k = shape_.dim_k;
        rows.head_dim_v = shape_.dim_v;
        rows.softcap = shape_.softcap;
        rows.memory = memory.get();
        kernel.run(rows);
        return out;
    }

    // [dim_v] of one query, in double.
    std::vector<double> expected(int32_t row, int32_t query) const {
        const auto at = static_cast<size_t>(row);
        return filled_.attend(q.data() + row * q_stride() + query * shape_.dim_k, 0, begin[at],
                              end[at], shape_.softcap);
    }

    int64_t q_stride() const { return shape_.n_queries * shape_.dim_k + kPad; }

    static constexpr int64_t kPad = 3;
    static constexpr float kUntouched = -123.0f;
    std::vector<float> q;
    std::vector<int32_t> begin;
    std::vector<int32_t> end;

    const FilledCache& filled() const { return filled_; }

  private:
    const Shape shape_;
    const FilledCache filled_;
};

template <class Check>
void for_each_kernel(const Check& check) {
    for (const KernelTable& table : test::testable_kernel_tables()) {
        for (const int32_t type : {PUNA_KV_F16, PUNA_KV_F32, PUNA_KV_BF16, PUNA_KV_Q8_0}) {
            const RowsAttentionEntry* kernel = table.attention_rows_of(type);
            if (!kernel || std::strcmp(kernel->set, table.name) != 0) continue;
            SCOPED_TRACE(testing::Message() << table.name << ", KV type " << type);
            check(table, *kernel, type);
        }
    }
}

// Weighted means of values of about 1, whose factors are rounded by 1/512 at most.
void check_problem(const Problem& problem, const RowsAttentionEntry& kernel, const Shape& shape) {
    const auto out = problem.run(kernel, 0, shape.n_rows);
    const auto columns = static_cast<size_t>(shape.n_queries * shape.dim_v);
    double error = 0.0;
    double n = 0.0;
    for (int32_t r = 0; r < shape.n_rows; ++r) {
        const float* row = out.data() + static_cast<size_t>(r) * (columns + Problem::kPad);
        for (int32_t h = 0; h < shape.n_queries; ++h) {
            const auto expected = problem.expected(r, h);
            for (size_t d = 0; d < expected.size(); ++d, ++n) {
                const double difference =
                    row[static_cast<size_t>(h) * expected.size() + d] - expected[d];
                ASSERT_NEAR(difference, 0.0, 0.05)
                    << "dims " << shape.dim_k << " " << shape.dim_v << ", row " << r << " of "
                    << shape.n_rows << ", query " << h << ", cells " << shape.n_cells;
                error += difference * difference;
            }
        }
        for (size_t i = 0; i < Problem::kPad; ++i) {
            ASSERT_EQ(row[columns + i], Problem::kUntouched);
        }
    }
    ASSERT_LT(std::sqrt(error / n), 5e-3)
        << "dims " << shape.dim_k << " " << shape.dim_v << ", cells " << shape.n_cells;
}

void check_shape(const KernelTable& table, const RowsAttentionEntry& kernel, int32_t type,
                 const Shape& shape) {
    check_problem(Problem(table, shape, type), kernel, shape);
}

TEST(AttentionRows, AgreeWithDoubleForAnyShape) {
    for_each_kernel([](const KernelTable& table, const RowsAttentionEntry& kernel, int32_t type) {
        for (const int32_t n_cells : {1, 2, 31, 33, 100, 256, 257, 600}) {
            check_shape(table, kernel, type, {16, 4, 24, 40, n_cells});
        }
        for (const int32_t dim : {1, 2, 15, 16, 17, 31, 32, 33, 64, 80, 130}) {
            check_shape(table, kernel, type, {5, 3, dim, 131 - dim, 70});
        }
        for (const int32_t n_rows : {1, 2, 3, 7, 16, 17, 32}) {
            for (const int32_t n_queries : {1, 3, 8}) {
                check_shape(table, kernel, type, {n_rows, n_queries, 64, 64, 300});
            }
        }
        check_shape(table, kernel, type, {16, 8, 64, 64, 290, 1.5f});
    });
}

// Problems of 9 rows whose windows begin and end anywhere in a chunk, or have nothing in common with the others'.
template <class Check>
void for_each_windows(const Check& check) {
    const struct {
        std::vector<int32_t> begin;
        std::vector<int32_t> end;
    } all[] = {
        {{31, 0, 300, 513, 767, 256, 255, 33, 224}, {33, 256, 641, 514, 800, 289, 257, 512, 300}},
        {{0, 0, 300, 513, 700, 0, 255, 256, 0}, {1, 256, 800, 514, 800, 800, 257, 512, 300}},
    };
    for_each_kernel([&](const KernelTable& table, const RowsAttentionEntry& kernel, int32_t type) {
        for (const auto& windows : all) {
            const Shape shape = {9, 5, 20, 36, 800};
            Problem problem(table, shape, type);
            problem.begin = windows.begin;
            problem.end = windows.end;
            check(problem, kernel, shape);
        }
    });
}

TEST(AttentionRows, WindowsAgreeWithDouble) {
    for_each_windows(check_problem);
}

// A row that stands alone gets the same bits, also when it sees no position of some chunks.
TEST(AttentionRows, NeighboursDoNotChangeBits) {
    for_each_windows(
        [](const Problem& problem, const RowsAttentionEntry& kernel, const Shape& shape) {
            const auto together = problem.run(kernel, 0, shape.n_rows);
            const size_t stride = together.size() / static_cast<size_t>(shape.n_rows);
            for (int32_t r = 0; r < shape.n_rows; ++r) {
                const auto alone = problem.run(kernel, r, 1);
                const float* row = together.data() + static_cast<size_t>(r) * stride;
                ASSERT_EQ(std::memcmp(alone.data(), row, stride * sizeof(float)), 0) << "row " << r;
            }
        });
}

// Weights far apart, and one so large that all others are zeros.
TEST(AttentionRows, ExtremeScoresGiveTheirLimits) {
    for_each_kernel([](const KernelTable& table, const RowsAttentionEntry& kernel, int32_t type) {
        const Shape shape = {4, 4, 32, 32, 400};
        Problem problem(table, shape, type);
        for (float& value : problem.q) value *= 3000.0f;
        const auto out = problem.run(kernel, 0, shape.n_rows);
        for (int32_t r = 0; r < shape.n_rows; ++r) {
            for (int32_t h = 0; h < shape.n_queries; ++h) {
                const float* got = out.data() + r * (4 * 32 + Problem::kPad) + h * 32;
                // One position wins: which one, rounding may decide between near ones.
                double best = std::numeric_limits<double>::infinity();
                for (int32_t p = 0; p < shape.n_cells; ++p) {
                    const auto& value = problem.filled().value(p, 0);
                    double distance = 0.0;
                    for (size_t d = 0; d < 32; ++d) {
                        distance =
                            std::max(distance, std::fabs(static_cast<double>(got[d]) - value[d]));
                    }
                    best = std::min(best, distance);
                }
                EXPECT_LT(best, 0.02) << "row " << r << ", query " << h;
            }
        }
    });
}

}  // namespace
}  // namespace puna::core
