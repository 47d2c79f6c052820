#include "support/reference_forward.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace puna::test {
namespace {

struct Rows {
    size_t count() const { return values.size() / width; }
    double* operator[](size_t row) { return values.data() + row * width; }
    const double* operator[](size_t row) const { return values.data() + row * width; }

    size_t width;
    std::vector<double> values;
};

Rows zeros(size_t count, size_t width) {
    return {width, std::vector<double>(count * width)};
}

template <class A, class B>
double dot(const A* a, const B* b, size_t length) {
    double sum = 0.0;
    for (size_t i = 0; i < length; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

Rows embed(const ReferenceModel& model, std::span<const int32_t> tokens) {
    Rows x = zeros(tokens.size(), model.n_embd);
    for (size_t row = 0; row < tokens.size(); ++row) {
        const size_t token = static_cast<size_t>(tokens[row]);
        if (token >= model.n_vocab()) throw std::invalid_argument("token id out of range");
        std::copy_n(model.token_embedding.data() + token * model.n_embd, model.n_embd, x[row]);
    }
    return x;
}

Rows rms_norm(const Rows& x, const std::vector<float>& gain, double eps) {
    Rows out = x;
    for (size_t row = 0; row < x.count(); ++row) {
        const double mean_square = dot(x[row], x[row], x.width) / static_cast<double>(x.width);
        const double scale = 1.0 / std::sqrt(mean_square + eps);
        for (size_t i = 0; i < x.width; ++i) out[row][i] *= scale * gain[i];
    }
    return out;
}

Rows linear(const ReferenceLinear& layer, const Rows& x) {
    Rows out = zeros(x.count(), layer.n_out);
    for (size_t o = 0; o < layer.n_out; ++o) {
        const float* weight = layer.weight.data() + o * layer.n_in;
        const double bias = layer.bias.empty() ? 0.0 : layer.bias[o];
        for (size_t row = 0; row < x.count(); ++row) {
            out[row][o] = dot(weight, x[row], layer.n_in) + bias;
        }
    }
    return out;
}

void add(Rows& x, const Rows& change) {
    for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += change.values[i];
}

// x: rows of heads of key_dim numbers; row r is at position first + r.
void rotate(const ReferenceModel& model, Rows& x, size_t first) {
    for (size_t row = 0; row < x.count(); ++row) {
        for (size_t pair = 0; pair < model.rope_frequencies.size(); ++pair) {
            const double angle = static_cast<double>(first + row) * model.rope_frequencies[pair];
            const double cosine = std::cos(angle);
            const double sine = std::sin(angle);
            for (size_t head = 0; head < x.width; head += model.key_dim) {
                double* two = x[row] + head + 2 * pair;
                const double even = two[0];
                const double odd = two[1];
                two[0] = even * cosine - odd * sine;
                two[1] = even * sine + odd * cosine;
            }
        }
    }
}

void softmax(std::vector<double>& scores) {
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0.0;
    for (double& score : scores) sum += score = std::exp(score - largest);
    for (double& score : scores) score /= sum;
}

// q, k rotated. Row r of q is at position first + r and sees the keys 0 to first + r.
Rows attend(const ReferenceModel& model, const Rows& q, const Rows& k, const Rows& v,
            size_t first) {
    const size_t group = model.n_head / model.n_head_kv;
    const double scale = 1.0 / std::sqrt(static_cast<double>(model.key_dim));
    Rows out = zeros(q.count(), model.n_head * model.value_dim);
    for (size_t row = 0; row < q.count(); ++row) {
        for (size_t head = 0; head < model.n_head; ++head) {
            const size_t kv_head = head / group;
            const double* query = q[row] + head * model.key_dim;
            std::vector<double> weights(first + row + 1);
            for (size_t at = 0; at < weights.size(); ++at) {
                const double* key = k[at] + kv_head * model.key_dim;
                weights[at] = scale * dot(query, key, model.key_dim);
            }
            softmax(weights);
            double* mixed = out[row] + head * model.value_dim;
            for (size_t at = 0; at < weights.size(); ++at) {
                const double* value = v[at] + kv_head * model.value_dim;
                for (size_t i = 0; i < model.value_dim; ++i) mixed[i] += weights[at] * value[i];
            }
        }
    }
    return out;
}

Rows feed_forward(const ReferenceLayer& layer, const Rows& x) {
    Rows gate = linear(layer.gate, x);
    const Rows up = linear(layer.up, x);
    for (size_t i = 0; i < gate.values.size(); ++i) {
        const double g = gate.values[i];
        gate.values[i] = g / (1.0 + std::exp(-g)) * up.values[i];
    }
    return linear(layer.down, gate);
}

void append_values(std::vector<double>& to, const Rows& rows) {
    to.insert(to.end(), rows.values.begin(), rows.values.end());
}

// The place of the best logit, and how far it is above the second best.
std::pair<int32_t, double> best_of(std::span<const double> logits) {
    const size_t best =
        static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    double gap = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < logits.size(); ++i) {
        if (i != best) gap = std::min(gap, logits[best] - logits[i]);
    }
    return {static_cast<int32_t>(best), gap};
}

template <class Number>
std::vector<double> log_softmax(std::span<const Number> logits) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const Number logit : logits) sum += std::exp(logit - largest);
    std::vector<double> out;
    for (const Number logit : logits) out.push_back(logit - largest - std::log(sum));
    return out;
}

}  // namespace

ReferenceSequence::ReferenceSequence(const ReferenceModel& model)
    : model_(model), caches_(model.layers.size()) {}

std::vector<double> ReferenceSequence::append(std::span<const int32_t> tokens) {
    Rows x = embed(model_, tokens);
    for (size_t i = 0; i < model_.layers.size(); ++i) {
        const ReferenceLayer& layer = model_.layers[i];
        LayerCache& cache = caches_[i];
        Rows normed = rms_norm(x, layer.attn_norm, model_.eps);
        Rows q = linear(layer.q, normed);
        append_values(cache.k, linear(layer.k, normed));
        append_values(cache.v, linear(layer.v, normed));
        Rows k{layer.k.n_out, cache.k};
        const Rows v{layer.v.n_out, cache.v};
        rotate(model_, q, size_);
        rotate(model_, k, 0);
        add(x, linear(layer.attn_output, attend(model_, q, k, v, size_)));
        normed = rms_norm(x, layer.ffn_norm, model_.eps);
        add(x, feed_forward(layer, normed));
    }
    size_ += tokens.size();
    return linear(model_.output, rms_norm(x, model_.output_norm, model_.eps)).values;
}

void ReferenceSequence::drop(size_t first, size_t count) {
    if (first > size_ || count > size_ - first) throw std::invalid_argument("drop beyond the end");
    const auto erase_rows = [&](std::vector<double>& values) {
        const auto width = static_cast<std::ptrdiff_t>(values.size() / size_);
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first) * width;
        values.erase(begin, begin + static_cast<std::ptrdiff_t>(count) * width);
    };
    if (count == 0) return;
    for (LayerCache& cache : caches_) {
        erase_rows(cache.k);
        erase_rows(cache.v);
    }
    size_ -= count;
}

std::vector<double> reference_logits(const ReferenceModel& model, std::span<const int32_t> tokens) {
    return ReferenceSequence(model).append(tokens);
}

GreedyRun reference_greedy(const ReferenceModel& model, std::span<const int32_t> prompt,
                           size_t n_tokens) {
    return reference_greedy_with_shift(model, prompt, n_tokens, prompt.size() + n_tokens, 0);
}

GreedyRun reference_greedy_with_shift(const ReferenceModel& model, std::span<const int32_t> prompt,
                                      size_t n_tokens, size_t n_ctx, size_t keep) {
    if (prompt.empty() || prompt.size() > n_ctx || keep >= n_ctx) {
        throw std::invalid_argument("the prompt or keep does not fit n_ctx");
    }
    GreedyRun run;
    ReferenceSequence sequence(model);
    std::vector<double> logits = sequence.append(prompt);
    for (size_t i = 0; i < n_tokens; ++i) {
        const auto [token, gap] = best_of(std::span(logits).last(model.n_vocab()));
        run.tokens.push_back(token);
        run.smallest_gap = std::min(run.smallest_gap, gap);
        if (i + 1 == n_tokens) break;
        if (sequence.size() == n_ctx) {
            sequence.drop(keep, std::max<size_t>(1, (n_ctx - keep) / 2));
        }
        logits = sequence.append(std::span(&token, 1));
    }
    return run;
}

LogitDifference kl_divergence(std::span<const double> reference, std::span<const float> logits,
                              size_t n_vocab) {
    if (n_vocab == 0 || reference.size() != logits.size() || reference.size() % n_vocab != 0) {
        throw std::invalid_argument("the logits have another number of rows than the reference");
    }
    const size_t n_rows = reference.size() / n_vocab;
    LogitDifference result;
    double kl_sum = 0.0;
    double error_square = 0.0;
    size_t n_agreeing = 0;
    for (size_t row = 0; row < n_rows; ++row) {
        const auto expected = reference.subspan(row * n_vocab, n_vocab);
        const auto actual = logits.subspan(row * n_vocab, n_vocab);
        const std::vector<double> log_p = log_softmax(expected);
        const std::vector<double> log_q = log_softmax(actual);
        double kl = 0.0;
        for (size_t i = 0; i < n_vocab; ++i) {
            kl += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
            error_square += (expected[i] - actual[i]) * (expected[i] - actual[i]);
        }
        kl_sum += kl;
        result.kl_max = kl > result.kl_max || std::isnan(kl) ? kl : result.kl_max;
        const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
        n_agreeing += std::max_element(actual.begin(), actual.end()) - actual.begin() == best;
    }
    result.kl_mean = kl_sum / static_cast<double>(n_rows);
    result.relative_error =
        std::sqrt(error_square / dot(reference.data(), reference.data(), reference.size()));
    result.top1_agreement = static_cast<double>(n_agreeing) / static_cast<double>(n_rows);
    return result;
}

}  // namespace puna::test
