// A KV cache with random keys and values, for tests of attention.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/kv_cache.h"
#include "support/backend_host.h"
#include "support/random_numbers.h"

namespace puna::test {

// A cache whose pages lie in reverse order, filled up to `n` positions; the rest is NaN.
class FilledCache {
  public:
    FilledCache(const core::KernelTable& kernels, const puna_model_spec& spec, int32_t type,
                int32_t n, int32_t n_threads = 1)
        : host_(n_threads), n_pages_((n + core::kKvPage - 1) / core::kKvPage) {
        layers.services = &host_.services();
        layers.kernels = &kernels;
        layers.spec = spec;
        layers.layers.resize(1);
        options.n_cells = n_pages_ * core::kKvPage;
        options.n_ctx = options.n_cells;
        options.max_rows = 16;
        options.max_views = 1;
        options.kv_type_k = type;
        options.kv_type_v = type;
        options.deterministic = 1;  // rows one by one, whatever the kernel set
        auto planned = core::KvCache::plan(layers, options);
        if (planned.ok()) cache = std::move(*planned);
        EXPECT_TRUE(cache.allocate(host_.services()).ok());
        for (int32_t i = 0; i < n_pages_; ++i) pages.push_back(n_pages_ - 1 - i);
        view = {pages.data(), n_pages_, 0};
        RandomNumbers random(5);
        for (int32_t p = 0; p < n; ++p) {
            for (int32_t head = 0; head < spec.n_head_kv; ++head) {
                keys.push_back(store_random(cache.keys(), random, head, cell(p)));
                values.push_back(store_random(cache.values(), random, head, cell(p)));
            }
        }
    }

    int32_t cell(int32_t p) const {
        return pages[static_cast<size_t>(p / core::kKvPage)] * core::kKvPage + p % core::kKvPage;
    }
    const std::vector<float>& key(int32_t p, int32_t head) const {
        return keys[static_cast<size_t>(p * layers.spec.n_head_kv + head)];
    }
    const std::vector<float>& value(int32_t p, int32_t head) const {
        return values[static_cast<size_t>(p * layers.spec.n_head_kv + head)];
    }
    // What query `q` [head_dim_k] of that KV head takes from positions first .. end - 1: [head_dim_v].
    std::vector<double> attend(const float* q, int32_t head, int32_t first, int32_t end,
                               double softcap) const {
        std::vector<double> weights;
        for (int32_t p = first; p < end; ++p) {
            double score = 0.0;
            for (size_t d = 0; d < key(p, head).size(); ++d) {
                score += static_cast<double>(q[d]) * key(p, head)[d];
            }
            weights.push_back(softcap == 0.0 ? score : softcap * std::tanh(score / softcap));
        }
        const double top = *std::max_element(weights.begin(), weights.end());
        double sum = 0.0;
        for (double& weight : weights) sum += weight = std::exp(weight - top);
        std::vector<double> out(value(first, head).size());
        for (int32_t p = first; p < end; ++p) {
            const double share = weights[static_cast<size_t>(p - first)] / sum;
            for (size_t d = 0; d < out.size(); ++d) out[d] += share * value(p, head)[d];
        }
        return out;
    }
    const BackendHost& host() const { return host_; }

    core::LayerSet layers;
    puna_executor_options options = {};
    core::KvCache cache;
    std::vector<int32_t> pages;
    puna_batch_view view;

  private:
    // A line of random numbers, as the cache has rounded them.
    static std::vector<float> store_random(const core::KvHalf& half, RandomNumbers& random,
                                           int32_t head, int32_t cell) {
        std::vector<float> line(static_cast<size_t>(half.head_dim));
        for (float& v : line) v = static_cast<float>(random.normal());
        half.store(0, head, cell, line.data());
        half.load(0, head, cell, line.data());
        return line;
    }

    BackendHost host_;
    int32_t n_pages_;
    std::vector<std::vector<float>> keys;
    std::vector<std::vector<float>> values;
};

inline puna_model_spec spec_of(int32_t n_head, int32_t n_head_kv, int32_t dim_k, int32_t dim_v) {
    puna_model_spec spec = {};
    spec.n_head = n_head;
    spec.n_head_kv = n_head_kv;
    spec.head_dim_k = dim_k;
    spec.head_dim_v = dim_v;
    return spec;
}

}  // namespace puna::test
