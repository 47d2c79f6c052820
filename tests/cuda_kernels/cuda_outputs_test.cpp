// From logits to outputs: the order of equal logits, bias, mask, what is no number.
#include "cuda/outputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "cuda/scratch.h"
#include "cuda_kernels/device_array.h"
#include "support/random_numbers.h"

namespace puna::cuda {
namespace {

using test::DeviceArray;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Wish {
    int32_t kind = PUNA_ROW_OUTPUT_TOP_K;
    int32_t k = 1;
    std::vector<puna_logit_bias> bias;
    std::vector<bool> allowed;  // empty: all
};

struct Result {
    int32_t n_filled = -1;
    std::vector<int32_t> tokens;
    std::vector<float> values;
    float log_sum_exp = NAN;
};

Result deliver(const std::vector<float>& logits, const Wish& wish) {
    const auto n_vocab = static_cast<int32_t>(logits.size());
    puna_model_spec spec = {};
    spec.n_vocab = n_vocab;
    spec.n_embd = 1;
    spec.n_head = spec.n_head_kv = spec.head_dim_k = spec.head_dim_v = spec.n_ff = 1;
    puna_executor_options options = {};
    options.max_rows = options.max_outputs = 1;
    options.n_ctx = 32;
    const DeviceArray<uint8_t> memory(scratch_bytes(spec, true, options));
    const Scratch scratch = make_scratch(spec, true, options, memory.get());
    EXPECT_EQ(cudaMemcpy(scratch.logits, logits.data(), logits.size() * 4, cudaMemcpyHostToDevice),
              cudaSuccess);
    std::vector<uint32_t> mask((logits.size() + 31) / 32);
    for (size_t i = 0; i < wish.allowed.size(); ++i) {
        if (wish.allowed[i]) mask[i / 32] |= 1u << i % 32;
    }
    const DeviceArray<puna_logit_bias> bias(wish.bias);
    const DeviceArray<uint32_t> device_mask(mask);
    const auto size =
        static_cast<size_t>(std::max(wish.kind == PUNA_ROW_OUTPUT_LOGITS ? n_vocab : 1, wish.k));
    const DeviceArray<float> values(size), sum(1);
    const DeviceArray<int32_t> tokens(size), n_filled(1);
    DeviceOutput output;
    output.kind = wish.kind;
    output.k = wish.k;
    output.n_bias = static_cast<int32_t>(wish.bias.size());
    output.bias = bias.get();
    output.mask = wish.allowed.empty() ? nullptr : device_mask.get();
    output.values = values.get();
    output.tokens = tokens.get();
    output.n_filled = n_filled.get();
    output.log_sum_exp = sum.get();
    const DeviceArray<DeviceOutput> outputs(std::vector<DeviceOutput>{output});
    EXPECT_EQ(deliver_outputs(spec, scratch, outputs.get(), 1, true, nullptr), cudaSuccess);
    Result result;
    result.n_filled = n_filled.read()[0];
    result.tokens = tokens.read();
    result.values = values.read();
    result.log_sum_exp = sum.read()[0];
    result.tokens.resize(static_cast<size_t>(std::max(result.n_filled, 0)));
    if (wish.kind != PUNA_ROW_OUTPUT_LOGITS) result.values.resize(result.tokens.size());
    return result;
}

// By sorting all.
Result expected(std::vector<float> logits, const Wish& wish) {
    for (const auto& bias : wish.bias) logits[static_cast<size_t>(bias.token)] += bias.bias;
    Result result;
    for (int32_t i = 0; i < static_cast<int32_t>(logits.size()); ++i) {
        const auto at = static_cast<size_t>(i);
        if (!(logits[at] > -kInfinity)) continue;
        if (wish.allowed.empty() || wish.allowed[at]) result.tokens.push_back(i);
    }
    std::stable_sort(result.tokens.begin(), result.tokens.end(), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    const int32_t k = wish.kind == PUNA_ROW_OUTPUT_ARGMAX ? 1 : wish.k;
    if (static_cast<int32_t>(result.tokens.size()) > k) {
        result.tokens.resize(static_cast<size_t>(k));
    }
    for (const int32_t token : result.tokens) {
        result.values.push_back(logits[static_cast<size_t>(token)]);
    }
    result.n_filled = static_cast<int32_t>(result.tokens.size());
    return result;
}

void check(const std::vector<float>& logits, const Wish& wish) {
    const Result actual = deliver(logits, wish);
    const Result wanted = expected(logits, wish);
    EXPECT_EQ(actual.n_filled, wanted.n_filled) << "k " << wish.k;
    EXPECT_EQ(actual.tokens, wanted.tokens) << "k " << wish.k;
    EXPECT_EQ(actual.values, wanted.values) << "k " << wish.k;
}

// Few different values, of both signs, so that many are equal.
std::vector<float> steps(int32_t n, uint64_t seed) {
    test::RandomNumbers random(seed);
    std::vector<float> logits;
    for (int32_t i = 0; i < n; ++i) {
        logits.push_back((static_cast<float>(random.below(40)) - 20.0f) * 0.25f);
    }
    return logits;
}

TEST(CudaOutputs, EqualLogitsComeByToken) {
    auto logits = steps(500, 1);
    logits[7] = -0.0f;
    logits[9] = 0.0f;
    for (const int32_t k : {1, 2, 3, 40, 499, 500})
        check(logits, {PUNA_ROW_OUTPUT_TOP_K, k, {}, {}});
    check(logits, {PUNA_ROW_OUTPUT_ARGMAX, 1, {}, {}});
    check({3.0f}, {PUNA_ROW_OUTPUT_TOP_K, 1, {}, {}});
    check(std::vector<float>(300, -2.0f), {PUNA_ROW_OUTPUT_TOP_K, 5, {}, {}});
}

TEST(CudaOutputs, MoreThanSharedMemoryHolds) {
    const auto logits = test::random_floats(5000, 2);
    for (const int32_t k : {2048, 2049, 5000}) check(logits, {PUNA_ROW_OUTPUT_TOP_K, k, {}, {}});
}

TEST(CudaOutputs, WhatIsNoNumberNeverComesBack) {
    auto logits = steps(100, 3);
    for (size_t i = 0; i < 100; i += 3) logits[i] = NAN;
    for (size_t i = 1; i < 100; i += 3) logits[i] = -kInfinity;
    logits[50] = kInfinity;
    for (const int32_t k : {1, 10, 33, 34, 100}) check(logits, {PUNA_ROW_OUTPUT_TOP_K, k, {}, {}});
    check(logits, {PUNA_ROW_OUTPUT_ARGMAX, 1, {}, {}});
    const std::vector<float> none(70, -kInfinity);
    check(none, {PUNA_ROW_OUTPUT_TOP_K, 3, {}, {}});
    check(none, {PUNA_ROW_OUTPUT_ARGMAX, 1, {}, {}});
}

TEST(CudaOutputs, BiasAddsUpAndTheMaskHides) {
    const auto logits = steps(200, 4);
    Wish wish;
    wish.k = 20;
    wish.bias = {{3, 10.0f}, {8, -kInfinity}, {3, 1.5f}, {199, 7.25f}, {3, -0.5f}};
    check(logits, wish);
    wish.allowed.resize(200);
    for (size_t i = 0; i < 200; i += 17) wish.allowed[i] = true;
    wish.allowed[3] = true;
    check(logits, wish);
    wish.kind = PUNA_ROW_OUTPUT_ARGMAX;
    check(logits, wish);
    wish.allowed.assign(200, false);
    check(logits, wish);
}

TEST(CudaOutputs, LogSumExpIsThatOfTheLogitsBeforeBias) {
    const auto logits = test::random_floats(3000, 5);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(double{logit} - 4.0);
    Wish wish;
    wish.bias = {{1, 100.0f}};
    EXPECT_NEAR(deliver(logits, wish).log_sum_exp, 4.0 + std::log(sum), 2e-6);
    wish.kind = PUNA_ROW_OUTPUT_LOGITS;
    const Result all = deliver(logits, wish);
    EXPECT_EQ(all.values, logits);
    EXPECT_EQ(all.n_filled, 3000);
    EXPECT_EQ(deliver(std::vector<float>(40, -kInfinity), {}).log_sum_exp, -kInfinity);
}

}  // namespace
}  // namespace puna::cuda
