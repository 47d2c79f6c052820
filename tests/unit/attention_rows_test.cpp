#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "format/half.h"
#include "puna/puna_backend.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

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

// What an AttentionRowsFn reads and writes: one head in pages that lie in reverse order, cells that were
// never written being NaN.
class Problem {
  public:
    Problem(const Shape& shape, int32_t type) : shape_(shape), type_(type) {
        const auto dim_k = static_cast<size_t>(shape.dim_k);
        const auto dim_v = static_cast<size_t>(shape.dim_v);
        const auto n_cells = static_cast<size_t>(shape.n_cells);
        n_pages_ = (shape.n_cells + kKvPage - 1) / kKvPage;
        const auto n_places = static_cast<size_t>(n_pages_ * kKvPage);
        keys = random_floats(static_cast<int64_t>(n_cells * dim_k), 1);
        values = random_floats(static_cast<int64_t>(n_cells * dim_v), 2);
        q = random_floats(int64_t{shape.n_rows} * (shape.n_queries * shape.dim_k + kPad), 3);
        for (float& value : q) value *= 2.0f / std::sqrt(static_cast<float>(dim_k));
        std::vector<float> transposed(n_places * dim_k, NAN);
        std::vector<float> plain(n_places * dim_v, NAN);
        for (int32_t i = 0; i < n_pages_; ++i) pages_.push_back(n_pages_ - 1 - i);
        for (size_t p = 0; p < n_cells; ++p) {
            const auto page = static_cast<size_t>(pages_[p / kKvPage]);
            const size_t slot = p % kKvPage;
            for (size_t d = 0; d < dim_k; ++d) {
                transposed[(page * dim_k + d) * kKvPage + slot] = keys[p * dim_k + d] =
                    stored(keys[p * dim_k + d]);
            }
            for (size_t d = 0; d < dim_v; ++d) {
                plain[(page * kKvPage + slot) * dim_v + d] = values[p * dim_v + d] =
                    stored(values[p * dim_v + d]);
            }
        }
        key_bytes_ = encode(transposed);
        value_bytes_ = encode(plain);
        // Prompts: each row sees one position more than that before it; and a window.
        for (int32_t r = 0; r < shape.n_rows; ++r) {
            end.push_back(std::max(1, shape.n_cells - shape.n_rows + 1 + r));
            begin.push_back(r % 3 == 2 ? end.back() / 2 : 0);
        }
    }

    std::vector<float> run(const RowsAttentionEntry& kernel, int32_t first_row, int32_t n_rows) {
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
        rows.keys = key_bytes_.data();
        rows.values = value_bytes_.data();
        rows.key_page_bytes = shape_.dim_k * kKvPage * element_bytes();
        rows.value_page_bytes = shape_.dim_v * kKvPage * element_bytes();
        rows.pages = pages_.data();
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
        std::vector<double> weights;
        const float* qs = q.data() + row * q_stride() + query * shape_.dim_k;
        for (int32_t p = begin[static_cast<size_t>(row)]; p < end[static_cast<size_t>(row)]; ++p) {
            double score = 0.0;
            for (int32_t d = 0; d < shape_.dim_k; ++d) {
                score +=
                    static_cast<double>(qs[d]) * keys[static_cast<size_t>(p * shape_.dim_k + d)];
            }
            const double cap = shape_.softcap;
            weights.push_back(cap == 0.0 ? score : cap * std::tanh(score / cap));
        }
        const double top = *std::max_element(weights.begin(), weights.end());
        double sum = 0.0;
        for (double& weight : weights) sum += weight = std::exp(weight - top);
        std::vector<double> out(static_cast<size_t>(shape_.dim_v));
        for (size_t i = 0; i < weights.size(); ++i) {
            const size_t p = static_cast<size_t>(begin[static_cast<size_t>(row)]) + i;
            for (size_t d = 0; d < out.size(); ++d) {
                out[d] += weights[i] / sum * values[p * out.size() + d];
            }
        }
        return out;
    }

    int64_t q_stride() const { return shape_.n_queries * shape_.dim_k + kPad; }

    static constexpr int64_t kPad = 3;
    static constexpr float kUntouched = -123.0f;
    std::vector<float> q;
    std::vector<float> keys;    // [cell][dim_k], as stored
    std::vector<float> values;  // [cell][dim_v]
    std::vector<int32_t> begin;
    std::vector<int32_t> end;

  private:
    int64_t element_bytes() const { return type_ == PUNA_KV_F32 ? 4 : 2; }
    float stored(float value) const {
        return type_ == PUNA_KV_F32 ? value : half_to_float(float_to_half(value));
    }
    std::vector<uint8_t> encode(const std::vector<float>& from) const {
        std::vector<uint8_t> bytes(from.size() * static_cast<size_t>(element_bytes()));
        for (size_t i = 0; i < from.size(); ++i) {
            const uint16_t half = float_to_half(from[i]);
            if (type_ == PUNA_KV_F32) {
                std::memcpy(bytes.data() + 4 * i, &from[i], 4);
            } else {
                std::memcpy(bytes.data() + 2 * i, &half, 2);
            }
        }
        return bytes;
    }

    const Shape shape_;
    const int32_t type_;
    int32_t n_pages_;
    std::vector<int32_t> pages_;
    std::vector<uint8_t> key_bytes_;
    std::vector<uint8_t> value_bytes_;
};

template <class Check>
void for_each_kernel(const Check& check) {
    for (const KernelTable& table : test::testable_kernel_tables()) {
        for (const int32_t type : {PUNA_KV_F16, PUNA_KV_F32}) {
            const RowsAttentionEntry* kernel = table.attention_rows_of(type);
            if (!kernel || std::strcmp(kernel->set, table.name) != 0) continue;
            SCOPED_TRACE(testing::Message() << table.name << ", KV type " << type);
            check(*kernel, type);
        }
    }
}

// Weighted means of values of about 1, whose factors are rounded by 1/512 at most.
void check_shape(const RowsAttentionEntry& kernel, int32_t type, const Shape& shape) {
    Problem problem(shape, type);
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

TEST(AttentionRows, AgreeWithDoubleForAnyShape) {
    for_each_kernel([](const RowsAttentionEntry& kernel, int32_t type) {
        for (const int32_t n_cells : {1, 2, 31, 33, 100, 256, 257, 600}) {
            check_shape(kernel, type, {16, 4, 24, 40, n_cells});
        }
        for (const int32_t dim : {1, 2, 15, 16, 17, 31, 32, 33, 64, 80, 130}) {
            check_shape(kernel, type, {5, 3, dim, 131 - dim, 70});
        }
        for (const int32_t n_rows : {1, 2, 3, 7, 16}) {
            for (const int32_t n_queries : {1, 3, 8}) {
                check_shape(kernel, type, {n_rows, n_queries, 64, 64, 300});
            }
        }
        check_shape(kernel, type, {16, 8, 64, 64, 290, 1.5f});
    });
}

// A row that stands alone gets the same bits, also when it sees no position of some chunks.
TEST(AttentionRows, NeighboursDoNotChangeBits) {
    for_each_kernel([](const RowsAttentionEntry& kernel, int32_t type) {
        const Shape shape = {9, 5, 20, 36, 800};
        Problem problem(shape, type);
        problem.begin = {0, 0, 300, 513, 700, 0, 255, 256, 0};
        problem.end = {1, 256, 800, 514, 800, 800, 257, 512, 300};
        const auto together = problem.run(kernel, 0, shape.n_rows);
        const size_t stride = together.size() / 9;
        for (int32_t r = 0; r < shape.n_rows; ++r) {
            const auto alone = problem.run(kernel, r, 1);
            ASSERT_EQ(std::memcmp(alone.data(), together.data() + static_cast<size_t>(r) * stride,
                                  stride * sizeof(float)),
                      0)
                << "row " << r;
        }
    });
}

// Weights far apart, and one so large that all others are zeros.
TEST(AttentionRows, ExtremeScoresGiveTheirLimits) {
    for_each_kernel([](const RowsAttentionEntry& kernel, int32_t type) {
        const Shape shape = {4, 4, 32, 32, 400};
        Problem problem(shape, type);
        for (float& value : problem.q) value *= 3000.0f;
        const auto out = problem.run(kernel, 0, shape.n_rows);
        for (int32_t r = 0; r < shape.n_rows; ++r) {
            for (int32_t h = 0; h < shape.n_queries; ++h) {
                const float* got = out.data() + r * (4 * 32 + Problem::kPad) + h * 32;
                // One position wins: which one, rounding may decide between near ones.
                double best = std::numeric_limits<double>::infinity();
                for (size_t p = 0; p < 400; ++p) {
                    double distance = 0.0;
                    for (size_t d = 0; d < 32; ++d) {
                        distance = std::max(distance, std::fabs(static_cast<double>(got[d]) -
                                                                problem.values[p * 32 + d]));
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
