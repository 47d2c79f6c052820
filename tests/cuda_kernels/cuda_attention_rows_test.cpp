// Attention of many rows together, against double. Cells that were not written are not-a-numbers here: where
// one of them is read in place of what a row sees, or beside it, results are not numbers either.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <string>

#include "cuda/attention.h"
#include "cuda/attention_pieces.h"
#include "cuda/attention_rows.h"
#include "cuda_kernels/device_model.h"
#include "support/relative_error.h"

namespace puna::cuda {
namespace {

using test::DeviceExecutor;
using test::DeviceModel;
using test::Encoding;
using test::relative_error;
using test::SpecModel;
using test::SpecModelShape;

struct CacheType {
    const char* name;
    int32_t type;
    double bound;  // of the relative error of logits
};
constexpr CacheType kF16 = {"F16", PUNA_KV_F16, 1e-3};
constexpr CacheType kBF16 = {"BF16", PUNA_KV_BF16, 1e-2};
constexpr CacheType kQ8_0 = {"Q8_0", PUNA_KV_Q8_0, 1.5e-2};
constexpr CacheType kTypes[] = {kF16, kBF16, kQ8_0};

// A layer of two KV heads.
SpecModelShape shape_of(int32_t group, int32_t head_dim_k, int32_t head_dim_v) {
    SpecModelShape shape = {};
    shape.spec = test::small_spec();
    shape.spec.n_layer = 1;
    shape.spec.n_embd = 32;
    shape.spec.n_ff = 32;
    shape.spec.n_head = 2 * group;
    shape.spec.n_head_kv = 2;
    shape.spec.head_dim_k = head_dim_k;
    shape.spec.head_dim_v = head_dim_v;
    shape.spec.attention_scale = 2.0f / std::sqrt(static_cast<float>(head_dim_k));
    return shape;
}

// Logits of all tokens, in batches that end where `ends` says.
std::vector<float> run(const SpecModel& model, const CacheType& cache,
                       std::span<const int32_t> tokens, std::span<const int32_t> ends,
                       std::span<const int32_t> first = {}, bool together = true) {
    const DeviceModel device(model);
    const auto n = static_cast<int32_t>(tokens.size());
    auto options = test::device_options((n + 63) / 32 * 32, n, cache.type);
    options.deterministic = together ? 0 : 1;
    DeviceExecutor executor(device.weights, options);
    std::vector<float> logits;
    for (int32_t begin = 0; const int32_t end : ends) {
        executor.set_batch(
            tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), begin,
            first);
        EXPECT_EQ(attends_together(executor.forward), together);
        executor.run_layers();
        const auto more = executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
        logits.insert(logits.end(), more.begin(), more.end());
        begin = end;
    }
    return logits;
}

void expect_close(const SpecModelShape& shape, const CacheType& cache,
                  std::span<const int32_t> ends, std::span<const int32_t> first = {}) {
    const SpecModel model(shape);
    const auto tokens = test::random_tokens(model.spec(), ends.back());
    const auto expected = model.reference(tokens, first).logits;
    EXPECT_LT(relative_error(expected, run(model, cache, tokens, ends, first)), cache.bound);
}

struct Heads {
    const char* name;
    int32_t group;
    int32_t dim_k, dim_v;
};
void PrintTo(const Heads& heads, std::ostream* out) {
    *out << heads.name;
}

class CudaAttentionRows : public testing::TestWithParam<Heads> {};

// A second batch begins within a tile, and both end there.
TEST_P(CudaAttentionRows, AgreeWithDouble) {
    const Heads& heads = GetParam();
    const SpecModelShape shape = shape_of(heads.group, heads.dim_k, heads.dim_v);
    for (const CacheType& cache : kTypes) {
        SCOPED_TRACE(cache.name);
        expect_close(shape, cache, std::vector<int32_t>{37, 90});
    }
}

constexpr Heads kHeads[] = {{"Narrow", 3, 16, 16},      {"Of64", 1, 64, 64},
                            {"EightOf64", 8, 64, 64},   {"Of80And72", 3, 80, 72},
                            {"Of128", 8, 128, 128},     {"KeysAlone", 1, 128, 8},
                            {"ValuesAlone", 4, 40, 120}};
INSTANTIATE_TEST_SUITE_P(All, CudaAttentionRows, testing::ValuesIn(kHeads),
                         [](const auto& heads) { return std::string(heads.param.name); });

// What warpgroups read next is rounded where it arises, of heads that end with a piece.
TEST(CudaAttentionPanels, AgreeWithDouble) {
    for (const Heads& heads : {Heads{"Of64", 4, 64, 64}, Heads{"Of32", 3, 16, 32},
                               Heads{"Of96", 2, 40, 96}, Heads{"Of128", 1, 128, 128}}) {
        SpecModelShape shape = shape_of(heads.group, heads.dim_k, heads.dim_v);
        shape.encoding = Encoding::kF16;
        const SpecModel model(shape);
        const DeviceModel device(model);
        const auto tokens = test::random_tokens(model.spec(), 150);
        const auto expected = model.reference(tokens, {}).logits;
        DeviceExecutor executor(device.weights, test::device_options(192, 150, PUNA_KV_F16));
        ASSERT_EQ(cuda::prepare_kernels(&executor.forward.traits), cudaSuccess);
        executor.set_batch(tokens, 0);
        EXPECT_TRUE(executor.forward.traits.has_warpgroups);
        EXPECT_TRUE(leaves_panels(executor.forward)) << heads.name;
        executor.run_layers();
        const auto logits = executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
        EXPECT_LT(relative_error(expected, logits), 2e-2) << heads.name;
    }
    const SpecModel model(shape_of(3, 16, 48));
    const DeviceModel device(model);
    DeviceExecutor executor(device.weights, test::device_options(192, 150, PUNA_KV_F16));
    executor.set_batch(test::random_tokens(model.spec(), 150), 0);
    EXPECT_TRUE(attends_together(executor.forward));
    EXPECT_FALSE(leaves_panels(executor.forward));
}

// What is rounded beside the cache: queries and weights.
TEST(CudaAttentionRowsBatch, IsCloseToRowsOneByOne) {
    const SpecModel model(shape_of(3, 80, 72));
    const auto tokens = test::random_tokens(model.spec(), 40);
    constexpr CacheType kBounds[] = {
        {"F16", PUNA_KV_F16, 5e-4}, {"BF16", PUNA_KV_BF16, 4e-3}, {"Q8_0", PUNA_KV_Q8_0, 8e-4}};
    for (const CacheType& cache : kBounds) {
        const std::vector<int32_t> ends = {40};
        const auto one_by_one = run(model, cache, tokens, ends, {}, false);
        const auto together = run(model, cache, tokens, ends);
        const std::vector<double> expected(one_by_one.begin(), one_by_one.end());
        EXPECT_LT(relative_error(expected, together), cache.bound) << cache.name;
    }
}

// Two blocks have the 70 queries of a row.
TEST(CudaAttentionRowsBatch, TakesManyHeads) {
    expect_close(shape_of(70, 16, 8), kF16, std::vector<int32_t>{20});
}

TEST(CudaAttentionRowsBatch, CapsScores) {
    SpecModelShape shape = shape_of(2, 24, 16);
    shape.spec.attention_softcap = 1.5f;
    expect_close(shape, kF16, std::vector<int32_t>{70});
}

// Some tiles are not seen by a warp, some by none.
TEST(CudaAttentionRowsBatch, WindowsHideWhatIsBeforeThem) {
    std::vector<int32_t> first;
    for (int32_t i = 0; i < 250; ++i) first.push_back(std::max(0, i - 70 + i % 3));
    expect_close(shape_of(1, 16, 16), kF16, std::vector<int32_t>{100, 250}, first);
}

// What a row of a view sees, at the place that it has in the batch.
struct Part {
    int32_t view;
    int32_t begin, end;  // positions
    int32_t first = 0;
};

std::vector<puna_batch_row> rows_of(std::span<const Part> parts,
                                    std::span<const std::vector<int32_t>> tokens) {
    std::vector<puna_batch_row> rows;
    for (const Part& part : parts) {
        for (int32_t p = part.begin; p < part.end; ++p) {
            puna_batch_row row = {};
            row.token = tokens[static_cast<size_t>(part.view)][static_cast<size_t>(p)];
            row.position = p;
            row.view = part.view;
            row.first = part.first;
            rows.push_back(row);
        }
    }
    return rows;
}

// Batches of parts of three sequences; each row is compared with its own.
void expect_views_close(const SpecModelShape& shape, const CacheType& cache,
                        std::span<const std::vector<Part>> batches) {
    constexpr int32_t kViews = 3;
    constexpr int32_t kLength = 224;  // of a view
    const SpecModel model(shape);
    const auto n_vocab = static_cast<size_t>(model.spec().n_vocab);
    const auto all = test::random_tokens(model.spec(), kViews * kLength);
    std::vector<std::vector<int32_t>> tokens;
    std::vector<std::vector<int32_t>> first(kViews, std::vector<int32_t>(kLength, 0));
    for (int32_t v = 0; v < kViews; ++v) {
        tokens.emplace_back(all.begin() + v * kLength, all.begin() + (v + 1) * kLength);
    }
    for (const auto& parts : batches) {
        for (const Part& part : parts) {
            auto& of_view = first[static_cast<size_t>(part.view)];
            std::fill(of_view.begin() + part.begin, of_view.begin() + part.end, part.first);
        }
    }
    std::vector<std::vector<double>> expected;
    for (size_t v = 0; v < kViews; ++v) {
        expected.push_back(model.reference(tokens[v], first[v]).logits);
    }
    const DeviceModel device(model);
    auto options = test::device_options(kViews * kLength, kLength, cache.type);
    options.max_views = kViews;
    DeviceExecutor executor(device.weights, options);
    for (const auto& parts : batches) {
        const auto rows = rows_of(parts, tokens);
        executor.set_rows(rows);
        ASSERT_TRUE(attends_together(executor.forward));
        executor.run_layers();
        const auto actual = executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
        for (size_t i = 0; i < rows.size(); ++i) {
            const auto& of_view = expected[static_cast<size_t>(rows[i].view)];
            const auto position = static_cast<size_t>(rows[i].position);
            EXPECT_LT(relative_error(std::span(of_view).subspan(position * n_vocab, n_vocab),
                                     std::span(actual).subspan(i * n_vocab, n_vocab)),
                      2 * cache.bound)
                << "view " << rows[i].view << " position " << rows[i].position;
        }
    }
}

TEST(CudaAttentionRowsBatch, KeepsViewsApart) {
    const std::vector<std::vector<Part>> batches = {{{0, 0, 33}, {2, 0, 3}, {1, 0, 14}},
                                                    {{2, 3, 40}, {0, 33, 50}, {1, 14, 20}}};
    for (const CacheType& cache : {kF16, kQ8_0}) {
        SCOPED_TRACE(cache.name);
        expect_views_close(shape_of(1, 16, 16), cache, batches);
    }
}

// Rows that go on with long sequences, whose chunks are merged, before, between and behind prompts.
TEST(CudaAttentionRowsBatch, TakesSingleRowsBesidePrompts) {
    const std::vector<std::vector<Part>> batches = {
        {{0, 0, 219}},
        {{2, 0, 190}},
        {{2, 190, 191}, {0, 219, 221}, {1, 0, 40}, {0, 221, 222, 30}, {1, 40, 60}, {2, 191, 198}}};
    for (const CacheType& cache : kTypes) {
        SCOPED_TRACE(cache.name);
        expect_views_close(shape_of(3, 16, 16), cache, batches);
    }
}

// Of a batch that is run again when the values of a position of view 1 are infinite.
TEST(CudaAttentionRowsBatch, InfinityStaysInItsView) {
    constexpr int32_t kLength = 40;
    const SpecModel model(shape_of(1, 16, 16));
    const auto tokens = test::random_tokens(model.spec(), kLength);
    const std::vector<std::vector<int32_t>> of_views = {tokens, tokens};
    const DeviceModel device(model);
    auto options = test::device_options(2 * 64, 2 * kLength, PUNA_KV_F16);
    options.max_views = 2;
    DeviceExecutor executor(device.weights, options);
    const auto run_parts = [&](const std::vector<Part>& parts) {
        executor.set_rows(rows_of(parts, of_views));
        EXPECT_TRUE(attends_together(executor.forward));
        executor.run_layers();
        return executor.run_head(PUNA_ROW_OUTPUT_LOGITS);
    };
    run_parts({{0, 0, 20}, {1, 0, 20}});
    const std::vector<Part> parts = {{0, 20, 30}, {1, 20, 30}};
    const auto before = run_parts(parts);
    const std::vector<uint16_t> infinity(16, 0x7c00);
    const int64_t cell_bytes = int64_t{model.spec().n_head_kv} * 16 * 2;
    ASSERT_EQ(cudaMemcpy(executor.forward.cache.values.data + executor.cell(5, 1) * cell_bytes,
                         infinity.data(), 32, cudaMemcpyHostToDevice),
              cudaSuccess);
    const auto after = run_parts(parts);
    for (size_t i = 0; i < after.size(); ++i) {
        if (i < after.size() / 2) {
            ASSERT_EQ(after[i], before[i]);
        } else {
            ASSERT_FALSE(std::isfinite(after[i]));
        }
    }
}

// Positions 9 .. 199 were never written.
TEST(CudaAttentionRowsBatch, ReadsNothingThatNobodySees) {
    const std::vector<std::vector<Part>> batches = {{{0, 0, 9}, {0, 200, 217, 200}}};
    expect_views_close(shape_of(2, 16, 16), kF16, batches);
}

// ---- How rows are divided ------------------------------------------------------------------------

AttentionPieces divided(int32_t group, std::span<const Part> parts) {
    const std::vector<std::vector<int32_t>> tokens(3, std::vector<int32_t>(400));
    AttentionPieces pieces;
    divide_rows(shape_of(group, 16, 16).spec, rows_of(parts, tokens), pieces);
    return pieces;
}

TEST(CudaAttentionPieces, AreCutWhereTheViewOrWhatIsSeenDoesNotGoOn) {
    const std::vector<Part> parts = {{0, 300, 301},     {1, 0, 20},  {2, 0, 8},
                                     {2, 100, 110, 90}, {1, 20, 27}, {0, 301, 309, 240}};
    const AttentionPieces pieces = divided(4, parts);
    const int32_t expected[][4] = {
        {46, 8, 240, 308}, {1, 16, 0, 15}, {17, 4, 0, 19}, {29, 10, 90, 109}, {21, 8, 0, 7}};
    ASSERT_EQ(pieces.pieces.size(), std::size(expected));
    for (const auto& piece : expected) {
        EXPECT_TRUE(std::ranges::any_of(pieces.pieces,
                                        [&](const AttentionPiece& p) {
                                            return p.first_row == piece[0] &&
                                                   p.n_rows == piece[1] && p.first == piece[2] &&
                                                   p.last == piece[3];
                                        }))
            << "from row " << piece[0];
    }
    EXPECT_TRUE(std::ranges::is_sorted(pieces.pieces, std::greater<>(),
                                       [](const auto& p) { return p.last - p.first; }));
    EXPECT_EQ(pieces.alone, (std::vector<int32_t>{0, 39, 40, 41, 42, 43, 44, 45}));
    EXPECT_EQ(pieces.n_pages_of_alone, 10);
}

TEST(CudaAttentionPieces, HaveARowAtLeast) {
    const AttentionPieces pieces = divided(70, std::vector<Part>{{0, 0, 9}});
    EXPECT_EQ(pieces.pieces.size(), 9U);
    EXPECT_TRUE(pieces.alone.empty());
}

// ---- When they do --------------------------------------------------------------------------------

class CudaAttentionRowsChoice : public testing::Test {
  protected:
    CudaAttentionRowsChoice() : model_(shape_of(4, 16, 16)), device_(model_) {}
    bool attends(int32_t n_rows, int32_t type_k, int32_t type_v, int32_t n_processors = 1,
                 int32_t n_pieces = 1, int32_t deterministic = 0) const {
        auto options = test::device_options(64, 64, type_k);
        options.kv_type_v = type_v;
        options.deterministic = deterministic;
        DeviceExecutor executor(device_.weights, options);
        executor.forward.batch.n_rows = n_rows;
        executor.forward.batch.n_pieces = n_pieces;
        executor.forward.n_processors = n_processors;
        return attends_together(executor.forward);
    }

    SpecModel model_;
    DeviceModel device_;
};

TEST_F(CudaAttentionRowsChoice, IsForManyRowsThatFollowEachOther) {
    EXPECT_TRUE(attends(9, PUNA_KV_F16, PUNA_KV_F16));
    EXPECT_FALSE(attends(8, PUNA_KV_F16, PUNA_KV_F16));
    EXPECT_FALSE(attends(32, PUNA_KV_F16, PUNA_KV_F16, 1, 0));
}

TEST_F(CudaAttentionRowsChoice, IsForTypesThatTensorCoresTake) {
    EXPECT_TRUE(attends(32, PUNA_KV_Q8_0, PUNA_KV_Q8_0));
    EXPECT_FALSE(attends(32, PUNA_KV_F32, PUNA_KV_F32));
    EXPECT_FALSE(attends(32, PUNA_KV_Q8_0, PUNA_KV_F16));
}

// A block has a piece and a KV head.
TEST_F(CudaAttentionRowsChoice, KeepsTheDeviceBusy) {
    EXPECT_TRUE(attends(32, PUNA_KV_F16, PUNA_KV_F16, 16, 2));
    EXPECT_FALSE(attends(32, PUNA_KV_F16, PUNA_KV_F16, 17, 2));
}

TEST_F(CudaAttentionRowsChoice, IsNotDeterministic) {
    EXPECT_FALSE(attends(32, PUNA_KV_F16, PUNA_KV_F16, 1, 1, 1));
}

}  // namespace
}  // namespace puna::cuda
