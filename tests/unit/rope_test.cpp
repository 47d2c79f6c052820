#include "cpu/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/kernel_tables.h"

namespace puna::core {
namespace {

puna_model_spec spec_of(int32_t kind, int32_t rope_dim, int32_t head_dim,
                        const double* frequencies) {
    puna_model_spec spec = {};
    spec.rope = kind;
    spec.rope_dim = rope_dim;
    spec.head_dim_k = head_dim;
    spec.rope_frequencies = frequencies;
    return spec;
}

TEST(Rope, TurnsPairsAndHalvesAndLeavesTheRest) {
    const std::vector<double> frequencies = {1.0, 0.1, 0.01};
    for (const int32_t kind : {PUNA_ROPE_PAIRS, PUNA_ROPE_HALVES}) {
        const puna_model_spec spec = spec_of(kind, 6, 8, frequencies.data());
        const std::vector<float> head = {1, 2, 3, 4, 5, 6, 7, 8};
        std::vector<float> table(6);
        std::vector<float> turned = head;
        rope_table(spec, 5, 1.5f, table.data());
        rope_turn(spec, table.data(), turned.data());
        for (size_t i = 0; i < 3; ++i) {
            const size_t a = kind == PUNA_ROPE_PAIRS ? 2 * i : i;
            const size_t b = kind == PUNA_ROPE_PAIRS ? 2 * i + 1 : i + 3;
            const double angle = 5 * frequencies[i];
            EXPECT_NEAR(turned[a], 1.5 * (head[a] * cos(angle) - head[b] * sin(angle)), 2e-6);
            EXPECT_NEAR(turned[b], 1.5 * (head[a] * sin(angle) + head[b] * cos(angle)), 2e-6);
        }
        EXPECT_EQ(turned[6], 7.0f);
        EXPECT_EQ(turned[7], 8.0f);
    }
}

TEST(Rope, LatePositionsKeepTheirAngle) {
    const double frequency = 0.9999;
    const puna_model_spec spec = spec_of(PUNA_ROPE_PAIRS, 2, 2, &frequency);
    float table[2];
    rope_table(spec, 1000003, 1.0f, table);
    EXPECT_NEAR(table[0], std::cos(1000003 * frequency), 1e-7);
    EXPECT_NEAR(table[1], std::sin(1000003 * frequency), 1e-7);
}

TEST(Rope, NoneHasNoTableAndTurnsNothing) {
    const puna_model_spec spec = spec_of(PUNA_ROPE_NONE, 4, 4, nullptr);
    EXPECT_EQ(rope_table_size(spec), 0);
    std::vector<float> head = {1, 2, 3, 4};
    rope_table(spec, 9, 1.0f, nullptr);
    rope_turn(spec, nullptr, head.data());
    EXPECT_EQ(head, (std::vector<float>{1, 2, 3, 4}));
}

std::vector<float> numbers(int64_t n, float first) {
    std::vector<float> all;
    for (int64_t i = 0; i < n; ++i) all.push_back(first + static_cast<float>(i * i % 31) * 0.37f);
    return all;
}

// Whole and broken vectors of pairs, with dimensions behind them that are scaled only, and one that is not the head's.
TEST(RopeKernels, GiveTheSameBits) {
    for (const KernelTable& kernels : test::testable_kernel_tables()) {
        for (const int32_t kind : {PUNA_ROPE_NONE, PUNA_ROPE_PAIRS, PUNA_ROPE_HALVES}) {
            const RopeFn exact = kind == PUNA_ROPE_HALVES ? rope_halves_scalar : rope_pairs_scalar;
            for (const int64_t n_pairs : {0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 31, 32, 33}) {
                if (kind == PUNA_ROPE_NONE && n_pairs > 0) continue;
                for (const int64_t n_rest : {0, 1, 3, 8, 13}) {
                    const auto table = numbers(2 * n_pairs, -3.1f);
                    auto expected = numbers(2 * n_pairs + n_rest + 1, -2.7f);
                    auto head = expected;
                    exact(table.data(), n_pairs, 2 * n_pairs + n_rest, 0.3f, expected.data());
                    kernels.rope[kind].run(table.data(), n_pairs, 2 * n_pairs + n_rest, 0.3f,
                                           head.data());
                    ASSERT_EQ(
                        std::memcmp(head.data(), expected.data(), head.size() * sizeof(float)), 0)
                        << kernels.name << " kind " << kind << ", " << n_pairs << " pairs and "
                        << n_rest;
                    EXPECT_EQ(head.back(), numbers(2 * n_pairs + n_rest + 1, -2.7f).back());
                }
            }
        }
    }
}

}  // namespace
}  // namespace puna::core
