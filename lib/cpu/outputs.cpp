#include "cpu/outputs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace puna::core {

namespace {

// What the mask, an infinite bias or a broken logit excludes never comes back.
bool is_allowed(const puna_batch_output& output, const float* logits, int32_t token) {
    if (!(logits[token] > -std::numeric_limits<float>::infinity())) return false;
    return !output.mask || (output.mask[token / 32] >> (token % 32) & 1) != 0;
}

// In double: the sum of a large vocabulary loses digits otherwise.
float log_sum_exp(const float* logits, int32_t n) {
    const float largest = *std::max_element(logits, logits + n);
    if (!std::isfinite(largest)) return largest;
    double sum = 0.0;
    for (int32_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(logits[i] - largest));
    return static_cast<float>(largest + std::log(sum));
}

void add_bias(float* logits, const puna_batch_output& output) {
    for (int32_t i = 0; i < output.n_bias; ++i) logits[output.bias[i].token] += output.bias[i].bias;
}

int32_t fill_argmax(int32_t n_vocab, const float* logits, puna_batch_output& output) {
    int32_t best = -1;
    for (int32_t token = 0; token < n_vocab; ++token) {
        if (!is_allowed(output, logits, token)) continue;
        if (best < 0 || logits[token] > logits[best]) best = token;
    }
    if (best < 0) return 0;
    output.tokens[0] = best;
    output.values[0] = logits[best];
    return 1;
}

// The caller's array of tokens holds a heap with the worst of the best k so far on top.
int32_t fill_top_k(int32_t n_vocab, const float* logits, puna_batch_output& output) {
    const auto better = [&](int32_t a, int32_t b) {
        return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
    };
    int32_t* heap = output.tokens;
    int32_t n = 0;
    for (int32_t token = 0; token < n_vocab; ++token) {
        if (!is_allowed(output, logits, token)) continue;
        if (n < output.k) {
            heap[n++] = token;
            std::push_heap(heap, heap + n, better);
        } else if (better(token, heap[0])) {
            std::pop_heap(heap, heap + n, better);
            heap[n - 1] = token;
            std::push_heap(heap, heap + n, better);
        }
    }
    std::sort_heap(heap, heap + n, better);
    for (int32_t i = 0; i < n; ++i) output.values[i] = logits[heap[i]];
    return n;
}

}  // namespace

void scale_logits(const puna_model_spec& spec, float* logits) {
    if (spec.logit_scale != 1.0f) {
        for (int32_t i = 0; i < spec.n_vocab; ++i) logits[i] *= spec.logit_scale;
    }
    if (const float cap = spec.logit_softcap; cap != 0.0f) {
        for (int32_t i = 0; i < spec.n_vocab; ++i) logits[i] = cap * std::tanh(logits[i] / cap);
    }
}

void fill_output(int32_t n_vocab, float* logits, puna_batch_output& output) {
    if (output.log_sum_exp) *output.log_sum_exp = log_sum_exp(logits, n_vocab);
    if (output.kind == PUNA_ROW_OUTPUT_LOGITS) {
        std::memcpy(output.values, logits, static_cast<size_t>(n_vocab) * sizeof *logits);
        output.n_filled = n_vocab;
        return;
    }
    add_bias(logits, output);
    output.n_filled = output.kind == PUNA_ROW_OUTPUT_ARGMAX ? fill_argmax(n_vocab, logits, output)
                                                            : fill_top_k(n_vocab, logits, output);
}

}  // namespace puna::core
