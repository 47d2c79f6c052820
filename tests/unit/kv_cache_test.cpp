#include "cpu/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cpu/rope.h"
#include "format/half.h"
#include "format/kv_format.h"
#include "support/backend_host.h"
#include "support/kernel_tables.h"
#include "support/random_numbers.h"

namespace puna::core {
namespace {

constexpr int32_t kCells = 96;
constexpr double kFrequencies[] = {1.0, 0.25};

template <class Number>
void append(Number number, std::vector<uint8_t>& bytes) {
    const auto* from = reinterpret_cast<const uint8_t*>(&number);
    bytes.insert(bytes.end(), from, from + sizeof number);
}

class KvCacheTest : public testing::TestWithParam<int32_t> {
  protected:
    KvCacheTest() {
        layers_.services = &host_.services();
        layers_.kernels = &kernels_;
        layers_.spec.n_head = 4;
        layers_.spec.n_head_kv = 2;
        layers_.spec.head_dim_k = 5;
        layers_.spec.head_dim_v = 3;
        layers_.spec.rope = PUNA_ROPE_PAIRS;
        layers_.spec.rope_dim = 4;
        layers_.spec.rope_frequencies = kFrequencies;
        layers_.layers.resize(2);
        options_.n_cells = kCells;
        options_.kv_type_k = GetParam();
        options_.kv_type_v = GetParam();
        auto planned = KvCache::plan(layers_, options_);
        if (planned.ok()) cache_ = std::move(*planned);
        if (!cache_.allocate(host_.services()).ok()) ADD_FAILURE();
        fill();
    }

    // Every head of every cell gets small whole numbers.
    void fill() {
        test::RandomNumbers random(3);
        for (int32_t layer = 0; layer < 2; ++layer) {
            for (int32_t head = 0; head < 2; ++head) {
                for (int32_t cell = 0; cell < kCells; ++cell) {
                    float values[5];
                    for (float& v : values) v = static_cast<float>(random.below(512));
                    cache_.keys().store(layer, head, cell, values);
                    cache_.values().store(layer, head, cell, values);
                }
            }
        }
    }

    // A head of 5 dimensions as saved states hold it.
    static void append_line(const float (&values)[5], std::vector<uint8_t>& line) {
        const uint16_t scale = float_to_half(values[4] / 127.0f);  // the last is the largest
        if (GetParam() == PUNA_KV_Q8_0) append(scale, line);
        for (const float v : values) {
            if (GetParam() == PUNA_KV_F32) append(v, line);
            if (GetParam() == PUNA_KV_F16) append(float_to_half(v), line);
            if (GetParam() == PUNA_KV_BF16) append(float_to_bfloat16(v), line);
            if (GetParam() == PUNA_KV_Q8_0) {
                append(static_cast<int8_t>(std::lrint(v / half_to_float(scale))), line);
            }
        }
    }

    std::vector<uint8_t> bytes(const KvHalf& half, int32_t layer, std::vector<int32_t> cells) {
        std::vector<uint8_t> out(cells.size() *
                                 static_cast<size_t>(half.line_bytes * half.n_head_kv));
        KvCache::read(half, layer, cells, out.data());
        return out;
    }

    const KernelTable kernels_ = test::runnable_kernel_tables().back();
    test::BackendHost host_;
    LayerSet layers_;
    puna_executor_options options_ = {};
    KvCache cache_;
    Workers workers_{host_.services(), 1};
};

TEST_P(KvCacheTest, CanonicalLayoutIsCellHeadDimension) {
    const float first[5] = {1, 2, 3, 4, 5};
    const float second[5] = {6, 7, 8, 9, 10};
    cache_.keys().store(1, 0, 40, first);
    cache_.keys().store(1, 1, 40, second);
    const auto out = bytes(cache_.keys(), 1, {40});
    std::vector<uint8_t> expected;
    append_line(first, expected);
    append_line(second, expected);
    EXPECT_EQ(out, expected);
}

TEST_P(KvCacheTest, WhatIsWrittenIsReadAndNothingElseChanges) {
    for (const KvHalf* half : {&cache_.keys(), &cache_.values()}) {
        const std::vector<int32_t> cells = {70, 3, 32, 31};
        const auto data = bytes(*half, 0, cells);
        const auto neighbours = bytes(*half, 1, {4, 5, 6, 7});
        KvCache::write(*half, 1, std::vector<int32_t>{8, 95, 64, 0}, data.data());
        EXPECT_EQ(bytes(*half, 1, {8, 95, 64, 0}), data);
        EXPECT_EQ(bytes(*half, 1, {4, 5, 6, 7}), neighbours);
        EXPECT_EQ(bytes(*half, 0, cells), data);
    }
}

TEST_P(KvCacheTest, MovesLikeMemmove) {
    struct {
        int32_t source, target, n;
    } const moves[] = {{10, 20, 40}, {20, 10, 40}, {0, 50, 46}, {5, 5, 10}, {33, 34, 1}, {7, 9, 0}};
    for (const auto& move : moves) {
        std::vector<int32_t> all(kCells);
        for (int32_t i = 0; i < kCells; ++i) all[static_cast<size_t>(i)] = i;
        std::vector<int32_t> after = all;
        for (int32_t i = 0; i < move.n; ++i) {
            after[static_cast<size_t>(move.target + i)] = move.source + i;
        }
        for (int32_t layer = 0; layer < 2; ++layer) {
            std::vector<std::vector<uint8_t>> expected;
            fill();
            for (const KvHalf* half : {&cache_.keys(), &cache_.values()}) {
                expected.push_back(bytes(*half, layer, after));
            }
            ASSERT_TRUE(cache_.move(workers_, {move.source, move.target, move.n, 0}).ok());
            EXPECT_EQ(bytes(cache_.keys(), layer, all), expected[0]);
            EXPECT_EQ(bytes(cache_.values(), layer, all), expected[1]);
        }
    }
}

TEST_P(KvCacheTest, MoveByPositionsTurnsTheKeysAsRopeWould) {
    const float raw[5] = {0.5f, -1.25f, 2.0f, 0.75f, -3.0f};
    const auto key_at = [&](int64_t position) {
        std::vector<float> key(raw, raw + 5);
        std::vector<float> table(4);
        rope_table(layers_.spec, position, 1.0f, table.data());
        rope_turn(layers_.spec, table.data(), key.data());
        return key;
    };
    for (const int32_t target : {20, 50}) {
        cache_.keys().store(1, 1, 20, key_at(20).data());
        const auto value = bytes(cache_.values(), 1, {20});
        ASSERT_TRUE(cache_.move(workers_, {20, target, 1, -13}).ok());
        EXPECT_EQ(bytes(cache_.values(), 1, {target}), value);
        const auto expected = key_at(7);
        float out[5];
        cache_.keys().load(1, 1, target, out);
        for (size_t d = 0; d < 5; ++d) {
            // Rounded twice, before and after the turn; the largest element is below 4.
            const double unit = GetParam() == PUNA_KV_F32    ? 5e-7
                                : GetParam() == PUNA_KV_F16  ? 1.0 / 1024
                                : GetParam() == PUNA_KV_BF16 ? 1.0 / 128
                                                             : 3.0 / 127 * 0.6;
            EXPECT_NEAR(out[d], expected[d], 2 * unit);
        }
    }
}

TEST_P(KvCacheTest, SizesThatDoNotFitAreRefused) {
    layers_.spec.head_dim_k = INT32_MAX;
    layers_.spec.n_head_kv = INT32_MAX;
    options_.n_cells = INT32_MAX / 32 * 32;
    EXPECT_EQ(KvCache::plan(layers_, options_).status().code(), PUNA_ERROR_OUT_OF_MEMORY);
}

INSTANTIATE_TEST_SUITE_P(Types, KvCacheTest,
                         testing::Values(PUNA_KV_F16, PUNA_KV_F32, PUNA_KV_BF16, PUNA_KV_Q8_0),
                         [](const auto& type) { return std::string(kv_type_name(type.param)); });

}  // namespace
}  // namespace puna::core
