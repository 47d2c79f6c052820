// The tests that every backend plugin passes, golden/any_gpu_test.cpp, and what they are told about the
// plugin. Each program that has them instantiates them for its own.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "support/split_model.h"

namespace puna::test {

struct CacheTypes {
    int32_t keys;
    int32_t values;
    double bound;  // of logits, beside those of the CPU with the same cache
};

struct GpuUnderTest {
    const char* name;  // of the test, and of the backend where devices are listed
    GpuPlugin plugin;
    // The variable for the bytes of its memory, looked at when a runtime loads the plugin or later; null:
    // that cannot be set, and others take of it too.
    const char* bytes_variable;
    bool is_slow;      // an emulator: fewer tokens, each in one way
    ModelShape shape;  // of tests that are not about sizes
    double (*bound)(const ModelShape&);
    std::vector<CacheTypes> caches;
    std::vector<int32_t> saved_types;  // caches whose states are moved
};

inline void PrintTo(const GpuUnderTest& gpu, std::ostream* out) {
    *out << gpu.name;
}

class AnyGpu : public testing::TestWithParam<GpuUnderTest> {
  protected:
    Runtime make_runtime() const { return make_gpu_runtime(GetParam().plugin); }
    SplitModelOn split_model(int32_t n_gpu_layers) const {
        return split_model(n_gpu_layers, GetParam().shape);
    }
    SplitModelOn split_model(int32_t n_gpu_layers, const ModelShape& shape) const {
        return {GetParam().plugin, n_gpu_layers, shape};
    }
};

class AnyGpuShapes : public testing::TestWithParam<std::tuple<GpuUnderTest, SplitCase>> {};

}  // namespace puna::test

#define PUNA_SKIP_UNLESS_BYTES_COUNT() \
    if (!GetParam().bytes_variable) GTEST_SKIP() << "the memory of a real GPU is not ours alone"

// `gpu`: a function that makes the GpuUnderTest.
#define PUNA_TEST_GPU(gpu)                                                                         \
    INSTANTIATE_TEST_SUITE_P(Gpu, AnyGpu, testing::Values(gpu()),                                  \
                             [](const auto& test) { return std::string(test.param.name); });       \
    INSTANTIATE_TEST_SUITE_P(                                                                      \
        Gpu, AnyGpuShapes,                                                                         \
        testing::Combine(testing::Values(gpu()), testing::ValuesIn(split_cases())),                \
        [](const auto& test) {                                                                     \
            return std::string(std::get<0>(test.param).name) + "_" + std::get<1>(test.param).name; \
        })
