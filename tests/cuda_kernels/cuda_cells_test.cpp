// Cells that are moved, turned, read and written.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "cuda_kernels/device_model.h"
#include "format/kv_format.h"
#include "support/random_numbers.h"

namespace puna::cuda {
namespace {

using test::DeviceArray;
using test::DeviceExecutor;

constexpr int32_t kLayers = 2;
constexpr int32_t kCells = 96;

struct Shape {
    const char* name;
    int32_t type;
    int32_t dim_k;
    int32_t dim_v;
    int32_t rope = PUNA_ROPE_PAIRS;
};

// Layers without weights: cells are all that is looked at.
class CudaCells : public testing::TestWithParam<Shape> {
  protected:
    CudaCells() {
        puna_model_spec& spec = weights_.spec;
        spec = test::small_spec();
        spec.n_head_kv = 3;
        spec.head_dim_k = GetParam().dim_k;
        spec.head_dim_v = GetParam().dim_v;
        spec.rope = GetParam().rope;
        spec.rope_dim = GetParam().dim_k / 4 * 2;
        for (int32_t i = 0; i < spec.rope_dim / 2; ++i) rates_.push_back(std::pow(0.3, i));
        frequencies_ = DeviceArray<double>(rates_);
        weights_.rope_frequencies = frequencies_.get();
        weights_.layers.resize(kLayers);
        executor_.emplace(weights_, test::device_options(kCells, 1, GetParam().type));
        for (int32_t layer = 0; layer < kLayers; ++layer) {
            for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) write_random(layer, half);
        }
    }

    int64_t line_bytes(int32_t half) const {
        const int32_t dim = half == PUNA_KV_KEYS ? GetParam().dim_k : GetParam().dim_v;
        return static_cast<int64_t>(*core::kv_head_bytes(GetParam().type, dim));
    }
    size_t cell_bytes(int32_t half) const { return static_cast<size_t>(3 * line_bytes(half)); }

    // Canonical bytes of random elements, whose scales differ.
    void write_random(int32_t layer, int32_t half) {
        const int32_t dim = half == PUNA_KV_KEYS ? GetParam().dim_k : GetParam().dim_v;
        const auto format = *core::kv_block_format(GetParam().type);
        const int64_t padded = (dim + 31) / 32 * 32;
        std::vector<uint8_t> bytes;
        std::vector<uint8_t> line(static_cast<size_t>(padded) * 4);
        for (int32_t i = 0; i < kCells * 3; ++i) {
            auto values = test::random_floats(padded, seed_++);
            for (float& value : values) value *= static_cast<float>(1 + i % 4);
            std::fill(values.begin() + dim, values.end(), 0.0f);
            ASSERT_TRUE(core::quantize_row(format, values.data(), line.data(), padded).ok());
            bytes.insert(bytes.end(), line.begin(), line.begin() + line_bytes(half));
        }
        const DeviceArray<uint8_t> device(bytes);
        const DeviceArray<int32_t> cells(all_cells());
        ASSERT_EQ(scatter_cells(executor_->forward, layer, half, cells.get(), kCells, device.get()),
                  cudaSuccess);
    }
    static std::vector<int32_t> all_cells() {
        std::vector<int32_t> cells(kCells);
        for (int32_t i = 0; i < kCells; ++i) cells[static_cast<size_t>(i)] = i;
        return cells;
    }
    std::vector<uint8_t> read(int32_t layer, int32_t half, const std::vector<int32_t>& cells) {
        DeviceArray<uint8_t> bytes(cells.size() * cell_bytes(half));
        const DeviceArray<int32_t> device(cells);
        EXPECT_EQ(gather_cells(executor_->forward, layer, half, device.get(),
                               static_cast<int32_t>(cells.size()), bytes.get()),
                  cudaSuccess);
        return bytes.read();
    }
    std::vector<float> decode_line(const uint8_t* line, int32_t dim) const {
        const int64_t padded = (dim + 31) / 32 * 32;
        std::vector<uint8_t> bytes(static_cast<size_t>(padded) * 4);
        std::memcpy(bytes.data(), line,
                    static_cast<size_t>(*core::kv_head_bytes(GetParam().type, dim)));
        std::vector<float> values(static_cast<size_t>(padded));
        EXPECT_TRUE(core::dequantize_row(*core::kv_block_format(GetParam().type), bytes.data(),
                                         values.data(), padded)
                        .ok());
        values.resize(static_cast<size_t>(dim));
        return values;
    }

    uint64_t seed_ = 1;
    Weights weights_;
    std::vector<double> rates_;
    DeviceArray<double> frequencies_;
    std::optional<DeviceExecutor> executor_;
};

TEST_P(CudaCells, AreReadAsTheyWereWritten) {
    const auto all = read(1, PUNA_KV_KEYS, all_cells());
    const auto some = read(1, PUNA_KV_KEYS, {40, 3, 95});
    const size_t n = cell_bytes(PUNA_KV_KEYS);
    EXPECT_EQ(0, std::memcmp(&some[0], &all[40 * n], n));
    EXPECT_EQ(0, std::memcmp(&some[n], &all[3 * n], n));
    EXPECT_EQ(0, std::memcmp(&some[2 * n], &all[95 * n], n));
}

TEST_P(CudaCells, MoveAsMemoryDoes) {
    const puna_kv_move moves[] = {{0, 50, 20, 0}, {10, 13, 30, 0}, {40, 35, 17, 0}, {8, 8, 4, 0}};
    for (const auto& move : moves) {
        std::vector<uint8_t> before[kLayers][2];
        for (int32_t layer = 0; layer < kLayers; ++layer) {
            for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
                before[layer][half] = read(layer, half, all_cells());
            }
        }
        ASSERT_EQ(move_cells(executor_->forward, move), cudaSuccess);
        for (int32_t layer = 0; layer < kLayers; ++layer) {
            for (const int32_t half : {PUNA_KV_KEYS, PUNA_KV_VALUES}) {
                auto& expected = before[layer][half];
                const size_t n = cell_bytes(half);
                std::memmove(&expected[static_cast<size_t>(move.target) * n],
                             &expected[static_cast<size_t>(move.source) * n],
                             static_cast<size_t>(move.n_cells) * n);
                EXPECT_EQ(read(layer, half, all_cells()), expected)
                    << move.source << " to " << move.target << ", half " << half;
            }
        }
    }
}

TEST_P(CudaCells, TurnKeysByTheDistance) {
    const int32_t dim = GetParam().dim_k;
    const puna_model_spec& spec = weights_.spec;
    // In place, apart, and overlapping in both directions.
    const puna_kv_move moves[] = {{5, 5, 9, -3}, {0, 60, 8, 1000}, {20, 22, 6, 2}, {33, 30, 8, -3}};
    for (const auto& move : moves) {
        const auto keys = read(1, PUNA_KV_KEYS, all_cells());
        auto values = read(1, PUNA_KV_VALUES, all_cells());
        ASSERT_EQ(move_cells(executor_->forward, move), cudaSuccess);
        const auto turned = read(1, PUNA_KV_KEYS, all_cells());
        for (int32_t i = 0; i < move.n_cells * 3; ++i) {
            const auto line = static_cast<size_t>(line_bytes(PUNA_KV_KEYS));
            auto expected =
                decode_line(&keys[static_cast<size_t>(move.source * 3 + i) * line], dim);
            const auto actual =
                decode_line(&turned[static_cast<size_t>(move.target * 3 + i) * line], dim);
            float largest = 0.0f;
            const int32_t n_pairs = spec.rope == PUNA_ROPE_NONE ? 0 : spec.rope_dim / 2;
            for (int32_t p = 0; p < n_pairs; ++p) {
                const bool is_pairs = spec.rope == PUNA_ROPE_PAIRS;
                const auto a = static_cast<size_t>(is_pairs ? 2 * p : p);
                const auto b = static_cast<size_t>(is_pairs ? 2 * p + 1 : p + n_pairs);
                const double angle = move.delta * rates_[static_cast<size_t>(p)];
                const double x = expected[a], y = expected[b];
                expected[a] = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
                expected[b] = static_cast<float>(x * std::sin(angle) + y * std::cos(angle));
            }
            for (const float value : expected) largest = std::max(largest, std::fabs(value));
            const float step = GetParam().type == PUNA_KV_F32    ? 1e-6f
                               : GetParam().type == PUNA_KV_F16  ? 1e-3f
                               : GetParam().type == PUNA_KV_BF16 ? 8e-3f
                                                                 : 1e-2f;
            for (size_t d = 0; d < expected.size(); ++d) {
                ASSERT_NEAR(actual[d], expected[d], step * largest) << "line " << i << " at " << d;
            }
        }
        const size_t n = cell_bytes(PUNA_KV_VALUES);
        std::memmove(&values[static_cast<size_t>(move.target) * n],
                     &values[static_cast<size_t>(move.source) * n],
                     static_cast<size_t>(move.n_cells) * n);
        EXPECT_EQ(read(1, PUNA_KV_VALUES, all_cells()), values);
    }
}

INSTANTIATE_TEST_SUITE_P(All, CudaCells,
                         testing::Values(Shape{"F32", PUNA_KV_F32, 10, 7},
                                         Shape{"F16", PUNA_KV_F16, 40, 33},
                                         Shape{"F16Halves", PUNA_KV_F16, 64, 1, PUNA_ROPE_HALVES},
                                         Shape{"BF16", PUNA_KV_BF16, 7, 8},
                                         Shape{"Q8_0", PUNA_KV_Q8_0, 32, 64},
                                         Shape{"Q8_0Short", PUNA_KV_Q8_0, 41, 5, PUNA_ROPE_HALVES},
                                         Shape{"Unturned", PUNA_KV_Q8_0, 33, 31, PUNA_ROPE_NONE}),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace puna::cuda
