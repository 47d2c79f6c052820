#include "cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/filled_cache.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

using test::FilledCache;
using test::spec_of;

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
constexpr int32_t kTypes[] = {PUNA_KV_F16, PUNA_KV_F32, PUNA_KV_BF16, PUNA_KV_Q8_0};

std::vector<float> random_floats(int64_t n, double scale) {
    test::RandomNumbers random(19);
    std::vector<float> result(static_cast<size_t>(n));
    for (float& v : result) v = static_cast<float>(scale * random.normal());
    return result;
}

void check_chunk(const KernelTable& table, int32_t type, int32_t dim_k, int32_t dim_v,
                 int32_t n_queries, int32_t begin, int32_t end) {
    const FilledCache filled(table, spec_of(n_queries, 1, dim_k, dim_v), type, end);
    const auto q = random_floats(int64_t{n_queries} * dim_k, 1.0);
    std::vector<float> scores(kAttentionQueries * kAttentionChunk, NAN);
    std::vector<float> out(static_cast<size_t>(n_queries * dim_v), NAN);
    AttentionChunk chunk;
    chunk.q = q.data();
    chunk.keys = filled.cache.keys().head(0, 0);
    chunk.values = filled.cache.values().head(0, 0);
    chunk.key_page_bytes = filled.cache.keys().page_bytes;
    chunk.value_page_bytes = filled.cache.values().page_bytes;
    chunk.pages = filled.pages.data();
    chunk.begin = begin;
    chunk.end = end;
    chunk.n_queries = n_queries;
    chunk.head_dim_k = dim_k;
    chunk.head_dim_v = dim_v;
    chunk.scores = scores.data();
    chunk.out = out.data();
    table.attention_scores[type].run(chunk);
    const auto at = [](int32_t h, int32_t p) {
        return static_cast<size_t>(h * kAttentionChunk + p % kAttentionChunk);
    };
    for (int32_t h = 0; h < n_queries; ++h) {
        for (int32_t p = begin; p < end; ++p) {
            double expected = 0.0;
            double magnitude = 0.0;
            double keys = 0.0;
            double largest = 0.0;
            for (int32_t d = 0; d < dim_k; ++d) {
                const double query = q[static_cast<size_t>(h * dim_k + d)];
                const double term = query * filled.key(p, 0)[static_cast<size_t>(d)];
                expected += term;
                magnitude += std::fabs(term);
                keys += std::fabs(filled.key(p, 0)[static_cast<size_t>(d)]);
                largest = std::max(largest, std::fabs(query));
            }
            // Queries may meet keys of Q8_0 as 16 bits.
            const double rounding = type == PUNA_KV_Q8_0 ? 0.51 * largest / 32767 * keys : 0.0;
            ASSERT_NEAR(scores[at(h, p)], expected, dim_k * kEpsilon * magnitude + rounding)
                << table.name << " type " << type << " dim " << dim_k << " query " << h
                << " position " << p;
        }
    }
    table.attention_values[type].run(chunk);
    for (int32_t h = 0; h < n_queries; ++h) {
        for (int32_t d = 0; d < dim_v; ++d) {
            double expected = 0.0;
            double magnitude = 0.0;
            for (int32_t p = begin; p < end; ++p) {
                const double term = static_cast<double>(scores[at(h, p)]) *
                                    filled.value(p, 0)[static_cast<size_t>(d)];
                expected += term;
                magnitude += std::fabs(term);
            }
            ASSERT_NEAR(out[static_cast<size_t>(h * dim_v + d)], expected,
                        (end - begin) * kEpsilon * magnitude)
                << table.name << " type " << type << " dim " << dim_v << " query " << h
                << " dimension " << d;
        }
    }
}

TEST(AttentionKernels, AgreeWithDoubleForAnyShape) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const int32_t type : kTypes) {
            for (int32_t dim = 1; dim <= 66; dim += dim < 36 ? 1 : 5) {
                check_chunk(table, type, dim, 67 - dim, 1 + dim % 8, dim % 5, 40 + dim % 30);
            }
            for (int32_t n_queries = 1; n_queries <= 8; ++n_queries) {
                check_chunk(table, type, 16, 16, n_queries, 0, 1);
                check_chunk(table, type, 64, 64, n_queries, 256, 512);
                check_chunk(table, type, 24, 40, n_queries, 300, 301);
                check_chunk(table, type, 80, 96, n_queries, 31, 65);
                check_chunk(table, type, 299, 257, n_queries, 60, 70);
            }
        }
    }
}

// A query that is no number must not become text.
TEST(AttentionKernels, NanAndInfinityInAQueryReachEveryScore) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const int32_t type : kTypes) {
            const FilledCache filled(table, spec_of(1, 1, 40, 40), type, 20);
            for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
                for (const size_t place : {size_t{3}, size_t{39}}) {
                    auto q = random_floats(40, 1.0);
                    q[place] = bad;
                    std::vector<float> scores(kAttentionQueries * kAttentionChunk);
                    AttentionChunk chunk = {};
                    chunk.q = q.data();
                    chunk.keys = filled.cache.keys().head(0, 0);
                    chunk.key_page_bytes = filled.cache.keys().page_bytes;
                    chunk.pages = filled.pages.data();
                    chunk.end = 20;
                    chunk.n_queries = 1;
                    chunk.head_dim_k = 40;
                    chunk.scores = scores.data();
                    table.attention_scores[type].run(chunk);
                    for (size_t p = 0; p < 20; ++p) {
                        EXPECT_FALSE(std::isfinite(scores[p])) << table.name << " type " << type;
                    }
                }
            }
        }
    }
}

TEST(AttentionKernels, SoftmaxIsAccurate) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (int32_t n = 1; n <= 70; ++n) {
            auto x = random_floats(n, 12.0);
            const auto before = x;
            float largest = NAN;
            const float sum = table.softmax.run(x.data(), n, &largest);
            ASSERT_EQ(largest, *std::max_element(before.begin(), before.end()));
            double expected_sum = 0.0;
            for (size_t i = 0; i < x.size(); ++i) {
                // The difference is rounded once, which matters the more the larger it is.
                const double difference = static_cast<double>(before[i]) - largest;
                const double expected = std::exp(difference);
                expected_sum += expected;
                ASSERT_NEAR(x[i], expected, expected * (3.0 - difference) * kEpsilon)
                    << table.name << " of " << before[i];
            }
            ASSERT_NEAR(sum, expected_sum, expected_sum * 8 * kEpsilon);
        }
        float far[] = {0.0f, -88.0f, -100.0f, -1000.0f, -std::numeric_limits<float>::infinity()};
        float largest;
        EXPECT_EQ(table.softmax.run(far, 5, &largest), 1.0f);
        EXPECT_NEAR(far[1], std::exp(-88.0), 1e-6 * std::exp(-88.0));
        EXPECT_EQ(far[3], 0.0f);
        EXPECT_EQ(far[4], 0.0f);
    }
}

TEST(VectorKernels, NormsAndActivationsAgreeWithDouble) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (int64_t n : {1, 15, 16, 17, 33, 300}) {
            const auto x = random_floats(n, 3.0);
            const auto gain = random_floats(n, 1.0);
            double mean = 0.0;
            double square = 0.0;
            for (const double v : x) mean += v / static_cast<double>(n);
            for (const double v : x) square += v * v / static_cast<double>(n);
            std::vector<float> rms(x.size()), layer(x.size());
            table.norm[PUNA_NORM_RMS].run(x.data(), gain.data(), n, 1e-3f, rms.data());
            table.norm[PUNA_NORM_LAYER].run(x.data(), gain.data(), n, 1e-3f, layer.data());
            std::vector<float> silu = x, gelu = x, tanh_gelu = x;
            table.activation[PUNA_ACTIVATION_SILU].run(silu.data(), gain.data(), n);
            table.activation[PUNA_ACTIVATION_GELU].run(gelu.data(), gain.data(), n);
            table.activation[PUNA_ACTIVATION_GELU_TANH].run(tanh_gelu.data(), gain.data(), n);
            for (size_t i = 0; i < x.size(); ++i) {
                const double v = x[i];
                const double bound = 8 * kEpsilon * (1.0 + std::fabs(v)) * std::fabs(gain[i]);
                EXPECT_NEAR(rms[i], v / std::sqrt(square + 1e-3f) * gain[i], bound);
                EXPECT_NEAR(layer[i],
                            (v - mean) / std::sqrt(square - mean * mean + 1e-3f) * gain[i], bound);
                EXPECT_NEAR(silu[i], v / (1 + std::exp(-v)) * gain[i], bound);
                EXPECT_NEAR(gelu[i], 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))) * gain[i], bound);
                const double inner = std::sqrt(2 / 3.14159265358979) * (v + 0.044715 * v * v * v);
                EXPECT_NEAR(tanh_gelu[i], 0.5 * v * (1 + std::tanh(inner)) * gain[i], bound);
            }
        }
    }
}

TEST(VectorKernels, SiluOfFarGatesIsTheGateOrNothing) {
    constexpr float kMost = std::numeric_limits<float>::max();
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        float gate[] = {87.0f, 88.0f, 150.0f, 1e4f, kMost, -110.0f, -151.0f, -1e4f, -kMost, NAN};
        const std::vector<float> x(std::begin(gate), std::end(gate));
        const std::vector<float> up(x.size(), 1.0f);
        table.activation[PUNA_ACTIVATION_SILU].run(gate, up.data(), std::ssize(x));
        for (size_t i = 0; i < 5; ++i) EXPECT_EQ(gate[i], x[i]) << table.name;
        for (size_t i = 5; i < 9; ++i) EXPECT_NEAR(gate[i], 0.0f, 1e-44f) << table.name;
        EXPECT_TRUE(std::isnan(gate[9])) << table.name;
    }
}

// Attention of one row in double.
std::vector<double> expected_row(const FilledCache& filled, const float* q, int32_t first,
                                 int32_t position) {
    const puna_model_spec& spec = filled.layers.spec;
    std::vector<double> out;
    for (int32_t h = 0; h < spec.n_head; ++h) {
        const int32_t kv_head = h / (spec.n_head / spec.n_head_kv);
        const auto head = filled.attend(q + h * spec.head_dim_k, kv_head, first, position + 1,
                                        spec.attention_softcap);
        out.insert(out.end(), head.begin(), head.end());
    }
    return out;
}

std::vector<float> run_attention(const FilledCache& filled, const std::vector<float>& q,
                                 const std::vector<puna_batch_row>& rows) {
    const puna_model_spec& spec = filled.layers.spec;
    const Workers workers(filled.host().services(), 0);
    const AttentionPlan plan(filled.layers, filled.options, workers);
    std::vector<float> partials(static_cast<size_t>(plan.n_partials() * plan.partial_size()));
    std::vector<std::atomic<int32_t>> counters(static_cast<size_t>(plan.n_counters()));
    std::vector<float> out(rows.size() * static_cast<size_t>(spec.n_head * spec.head_dim_v), NAN);
    puna_batch batch = {};
    batch.n_rows = static_cast<int32_t>(rows.size());
    batch.rows = rows.data();
    batch.views = &filled.view;
    const Rows q_rows = {const_cast<float*>(q.data()), int64_t{spec.n_head} * spec.head_dim_k,
                         batch.n_rows};
    const Rows out_rows = {out.data(), int64_t{spec.n_head} * spec.head_dim_v, batch.n_rows};
    attend({filled.layers, filled.cache, workers, plan, partials.data(), counters.data(), nullptr,
            batch, 0, q_rows, out_rows});
    return out;
}

std::vector<puna_batch_row> some_rows() {
    std::vector<puna_batch_row> rows;
    for (const auto& [first, position] : std::vector<std::pair<int32_t, int32_t>>{{0, 0},
                                                                                  {0, 255},
                                                                                  {0, 256},
                                                                                  {0, 699},
                                                                                  {300, 699},
                                                                                  {511, 512},
                                                                                  {699, 699},
                                                                                  {0, 31},
                                                                                  {31, 600}}) {
        puna_batch_row row = {};
        row.first = first;
        row.position = position;
        rows.push_back(row);
    }
    return rows;
}

void check_many_chunks(const KernelTable& table, int32_t type, float cap) {
    // 11 query heads per KV head: more than one pass shares.
    puna_model_spec spec = spec_of(22, 2, 12, 9);
    spec.attention_softcap = cap;
    const FilledCache filled(table, spec, type, 700);
    const auto rows = some_rows();
    const int64_t columns = int64_t{spec.n_head} * spec.head_dim_k;
    const auto q = random_floats(static_cast<int64_t>(rows.size()) * columns, 1.0);
    const auto out = run_attention(filled, q, rows);
    // Queries may meet keys of Q8_0 as 16 bits.
    const double bound = type == PUNA_KV_Q8_0 ? 2e-4 : 5e-6;
    for (size_t r = 0; r < rows.size(); ++r) {
        const auto expected = expected_row(filled, q.data() + static_cast<int64_t>(r) * columns,
                                           rows[r].first, rows[r].position);
        for (size_t i = 0; i < expected.size(); ++i) {
            ASSERT_NEAR(out[r * expected.size() + i], expected[i], bound)
                << table.name << " type " << type << " row " << r << " of cap " << cap;
        }
    }
}

TEST(Attention, AgreesWithDoubleOverManyChunks) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const int32_t type : kTypes) {
            check_many_chunks(table, type, 0.0f);
            check_many_chunks(table, type, 2.0f);
        }
    }
}

void check_threads(const KernelTable& table, int32_t type) {
    const puna_model_spec spec = spec_of(4, 1, 16, 16);
    const auto rows = some_rows();
    const int64_t columns = int64_t{spec.n_head} * spec.head_dim_k;
    const auto q = random_floats(static_cast<int64_t>(rows.size()) * columns, 1.0);
    const FilledCache alone(table, spec, type, 700, 1);
    const auto expected = run_attention(alone, q, rows);
    for (const int32_t n_threads : {2, 3}) {
        const FilledCache filled(table, spec, type, 700, n_threads);
        EXPECT_EQ(run_attention(filled, q, rows), expected);
        // One row by itself is cut by chunks instead of by units.
        const size_t row_size = expected.size() / rows.size();
        for (size_t r = 0; r < rows.size(); ++r) {
            const std::vector<float> row_q(q.begin() + static_cast<int64_t>(r) * columns,
                                           q.begin() + static_cast<int64_t>(r + 1) * columns);
            const auto single = run_attention(filled, row_q, {rows[r]});
            EXPECT_TRUE(std::equal(single.begin(), single.end(),
                                   expected.begin() + static_cast<int64_t>(r * row_size)))
                << table.name << " type " << type << " row " << r;
        }
    }
}

TEST(Attention, ThreadsAndNeighboursDoNotChangeBits) {
    for (const KernelTable& table : test::runnable_kernel_tables()) {
        for (const int32_t type : {PUNA_KV_F32, PUNA_KV_Q8_0}) check_threads(table, type);
    }
}

}  // namespace
}  // namespace puna::core
