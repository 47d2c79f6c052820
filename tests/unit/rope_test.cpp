#include "cpu/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

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

}  // namespace
}  // namespace puna::core
