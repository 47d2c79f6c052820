#include "spec_model.h"

#include <algorithm>
#include <cmath>

#include "random_numbers.h"

namespace puna::test {

namespace {

double soft_cap(double x, double cap) {
    return cap == 0.0 ? x : cap * std::tanh(x / cap);
}

}  // namespace

double activate(int32_t kind, double x) {
    switch (kind) {
        case PUNA_ACTIVATION_SILU:
            return x / (1.0 + std::exp(-x));
        case PUNA_ACTIVATION_GELU:
            return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
        default:
            return 0.5 * x *
                   (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) *
                                    (x + 0.044715 * x * x * x)));
    }
}

puna_model_spec small_spec() {
    puna_model_spec spec = {};
    spec.struct_size = sizeof spec;
    spec.n_vocab = 101;
    spec.n_embd = 48;
    spec.n_layer = 3;
    spec.n_head = 6;
    spec.n_head_kv = 2;
    spec.head_dim_k = 10;
    spec.head_dim_v = 7;
    spec.n_ff = 75;
    spec.norm = PUNA_NORM_RMS;
    spec.norm_epsilon = 1e-5f;
    spec.activation = PUNA_ACTIVATION_SILU;
    spec.rope = PUNA_ROPE_PAIRS;
    spec.rope_dim = 10;
    spec.rope_magnitude = 1.0f;
    spec.family = "llama";
    spec.attention_scale = 0.7f;
    spec.embedding_scale = 1.0f;
    spec.residual_scale = 1.0f;
    spec.logit_scale = 1.0f;
    return spec;
}

std::vector<int32_t> random_tokens(const puna_model_spec& spec, int32_t n) {
    RandomNumbers random(23);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < n; ++i) {
        tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(spec.n_vocab))));
    }
    return tokens;
}

SpecModel::SpecModel(const SpecModelShape& shape) : spec_(shape.spec), seed_(shape.seed) {
    for (int32_t i = 0; i < spec_.rope_dim / 2; ++i) {
        frequencies_.push_back(std::pow(10000.0, -2.0 * i / spec_.rope_dim));
    }
    spec_.struct_size = sizeof spec_;
    spec_.rope_frequencies = frequencies_.data();

    const auto matrix = [&](int32_t layer, int32_t role, int64_t rows, int64_t columns) {
        const bool fits = columns % static_cast<int64_t>(block_length(shape.encoding)) == 0;
        add(layer, role, rows, columns, fits ? shape.encoding : Encoding::kF16, 0.0,
            1.0 / std::sqrt(static_cast<double>(columns)));
    };
    const auto gain = [&](int32_t layer, int32_t role, int64_t n) {
        add(layer, role, 1, n, Encoding::kF32, 1.0, 0.2);
    };
    const auto bias = [&](int32_t layer, int32_t role, int64_t n) {
        if (shape.biases) add(layer, role, 1, n, Encoding::kF32, 0.0, 0.3);
    };
    const int64_t q = int64_t{spec_.n_head} * spec_.head_dim_k;
    const int64_t k = int64_t{spec_.n_head_kv} * spec_.head_dim_k;
    const int64_t v = int64_t{spec_.n_head_kv} * spec_.head_dim_v;
    matrix(-1, PUNA_TENSOR_TOKEN_EMBD, spec_.n_vocab, spec_.n_embd);
    gain(-1, PUNA_TENSOR_OUTPUT_NORM, spec_.n_embd);
    matrix(-1, PUNA_TENSOR_OUTPUT, spec_.n_vocab, spec_.n_embd);
    for (int32_t layer = 0; layer < spec_.n_layer; ++layer) {
        gain(layer, PUNA_TENSOR_ATTN_NORM, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_ATTN_Q, q, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_ATTN_K, k, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_ATTN_V, v, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_ATTN_OUTPUT, spec_.n_embd,
               int64_t{spec_.n_head} * spec_.head_dim_v);
        gain(layer, PUNA_TENSOR_FFN_NORM, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_FFN_GATE, spec_.n_ff, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_FFN_UP, spec_.n_ff, spec_.n_embd);
        matrix(layer, PUNA_TENSOR_FFN_DOWN, spec_.n_embd, spec_.n_ff);
        bias(layer, PUNA_TENSOR_ATTN_Q_BIAS, q);
        bias(layer, PUNA_TENSOR_ATTN_K_BIAS, k);
        bias(layer, PUNA_TENSOR_ATTN_V_BIAS, v);
        bias(layer, PUNA_TENSOR_ATTN_OUTPUT_BIAS, spec_.n_embd);
        bias(layer, PUNA_TENSOR_FFN_GATE_BIAS, spec_.n_ff);
        bias(layer, PUNA_TENSOR_FFN_UP_BIAS, spec_.n_ff);
        bias(layer, PUNA_TENSOR_FFN_DOWN_BIAS, spec_.n_embd);
        if (spec_.qk_norm) gain(layer, PUNA_TENSOR_ATTN_Q_NORM, spec_.head_dim_k);
        if (spec_.qk_norm) gain(layer, PUNA_TENSOR_ATTN_K_NORM, spec_.head_dim_k);
    }
}

void SpecModel::add(int32_t layer, int32_t role, int64_t rows, int64_t columns, Encoding encoding,
                    double mean, double deviation) {
    RandomNumbers random(seed_ * 1000003 + static_cast<uint64_t>(layer + 1) * 64 +
                         static_cast<uint64_t>(role));
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& value : values) value = static_cast<float>(mean + deviation * random.normal());
    Stored& stored = stored_[{layer, role}];
    stored.name = "layer " + std::to_string(layer) + " role " + std::to_string(role);
    stored.bytes = encode(encoding, values);
    stored.values = decode(encoding, stored.bytes);
    stored.tensor = {};
    stored.tensor.struct_size = sizeof stored.tensor;
    stored.tensor.role = role;
    stored.tensor.layer = layer;
    stored.tensor.format = static_cast<int32_t>(encoding);
    stored.tensor.rows = rows;
    stored.tensor.columns = columns;
    stored.tensor.data = stored.bytes.data();
    stored.tensor.name = stored.name.c_str();
    stored.tensor.size_bytes = stored.bytes.size();
}

std::vector<puna_tensor> SpecModel::tensors(int32_t first_layer, int32_t n_layers,
                                            bool has_embedding, bool has_head) const {
    std::vector<puna_tensor> result;
    for (const auto& [key, stored] : stored_) {
        const auto [layer, role] = key;
        const bool wanted = role == PUNA_TENSOR_TOKEN_EMBD ? has_embedding
                            : layer < 0                    ? has_head
                                        : layer >= first_layer && layer < first_layer + n_layers;
        if (wanted) result.push_back(stored.tensor);
    }
    return result;
}

const std::vector<float>* SpecModel::find(int32_t layer, int32_t role) const {
    const auto found = stored_.find({layer, role});
    return found == stored_.end() ? nullptr : &found->second.values;
}

std::vector<double> SpecModel::linear(int32_t layer, int32_t role, int32_t bias_role,
                                      std::span<const double> x) const {
    const std::vector<float>& w = *find(layer, role);
    const std::vector<float>* bias = find(layer, bias_role);
    std::vector<double> y(w.size() / x.size());
    for (size_t i = 0; i < y.size(); ++i) {
        y[i] = bias ? (*bias)[i] : 0.0;
        for (size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
    }
    return y;
}

std::vector<double> SpecModel::norm(std::span<const double> x,
                                    const std::vector<float>& gain) const {
    const auto n = static_cast<double>(x.size());
    double mean = 0.0;
    if (spec_.norm == PUNA_NORM_LAYER) {
        for (const double value : x) mean += value / n;
    }
    double square = 0.0;
    for (const double value : x) square += (value - mean) * (value - mean) / n;
    std::vector<double> out(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
        out[i] = (x[i] - mean) / std::sqrt(square + spec_.norm_epsilon) * gain[i];
    }
    return out;
}

// QK norm and RoPE of all heads of one row.
void SpecModel::finish_heads(int32_t layer, int32_t norm_role, int64_t position,
                             std::vector<double>& heads) const {
    const auto dim = static_cast<size_t>(spec_.head_dim_k);
    const size_t n_pairs = spec_.rope == PUNA_ROPE_NONE ? 0 : frequencies_.size();
    for (size_t at = 0; at < heads.size(); at += dim) {
        double* head = heads.data() + at;
        if (spec_.qk_norm) {
            const auto normed = norm({head, dim}, *find(layer, norm_role));
            std::copy(normed.begin(), normed.end(), head);
        }
        for (size_t i = 0; i < n_pairs; ++i) {
            const bool pairs = spec_.rope == PUNA_ROPE_PAIRS;
            double& a = head[pairs ? 2 * i : i];
            double& b = head[pairs ? 2 * i + 1 : i + n_pairs];
            const double angle = static_cast<double>(position) * frequencies_[i];
            const double turned = a * std::cos(angle) - b * std::sin(angle);
            b = (a * std::sin(angle) + b * std::cos(angle)) * spec_.rope_magnitude;
            a = turned * spec_.rope_magnitude;
        }
    }
}

SpecModel::Rows SpecModel::reference(std::span<const int32_t> tokens,
                                     std::span<const int32_t> first) const {
    const auto n_embd = static_cast<size_t>(spec_.n_embd);
    const auto dim_k = static_cast<size_t>(spec_.head_dim_k);
    const auto dim_v = static_cast<size_t>(spec_.head_dim_v);
    const auto group = static_cast<size_t>(spec_.n_head / spec_.n_head_kv);
    std::vector<std::vector<double>> x;
    for (const int32_t token : tokens) {
        const float* row =
            find(-1, PUNA_TENSOR_TOKEN_EMBD)->data() + static_cast<size_t>(token) * n_embd;
        x.emplace_back(row, row + n_embd);
        for (double& value : x.back()) value *= spec_.embedding_scale;
    }
    for (int32_t layer = 0; layer < spec_.n_layer; ++layer) {
        std::vector<std::vector<double>> keys, values;
        for (size_t row = 0; row < x.size(); ++row) {
            const auto n = norm(x[row], *find(layer, PUNA_TENSOR_ATTN_NORM));
            auto q = linear(layer, PUNA_TENSOR_ATTN_Q, PUNA_TENSOR_ATTN_Q_BIAS, n);
            keys.push_back(linear(layer, PUNA_TENSOR_ATTN_K, PUNA_TENSOR_ATTN_K_BIAS, n));
            values.push_back(linear(layer, PUNA_TENSOR_ATTN_V, PUNA_TENSOR_ATTN_V_BIAS, n));
            const auto position = static_cast<int64_t>(row);
            finish_heads(layer, PUNA_TENSOR_ATTN_Q_NORM, position, q);
            finish_heads(layer, PUNA_TENSOR_ATTN_K_NORM, position, keys.back());

            std::vector<double> mixed(static_cast<size_t>(spec_.n_head) * dim_v);
            const size_t begin = first.empty() ? 0 : static_cast<size_t>(first[row]);
            for (size_t h = 0; h < static_cast<size_t>(spec_.n_head); ++h) {
                std::vector<double> weights;
                for (size_t p = begin; p <= row; ++p) {
                    double score = 0.0;
                    for (size_t d = 0; d < dim_k; ++d) {
                        score += q[h * dim_k + d] * keys[p][h / group * dim_k + d];
                    }
                    weights.push_back(
                        soft_cap(score * spec_.attention_scale, spec_.attention_softcap));
                }
                const double top = *std::max_element(weights.begin(), weights.end());
                double sum = 0.0;
                for (double& weight : weights) sum += weight = std::exp(weight - top);
                for (size_t p = begin; p <= row; ++p) {
                    for (size_t d = 0; d < dim_v; ++d) {
                        mixed[h * dim_v + d] +=
                            weights[p - begin] / sum * values[p][h / group * dim_v + d];
                    }
                }
            }
            const auto change =
                linear(layer, PUNA_TENSOR_ATTN_OUTPUT, PUNA_TENSOR_ATTN_OUTPUT_BIAS, mixed);
            for (size_t i = 0; i < n_embd; ++i) x[row][i] += spec_.residual_scale * change[i];
        }
        for (auto& row : x) {
            const auto n = norm(row, *find(layer, PUNA_TENSOR_FFN_NORM));
            auto gate = linear(layer, PUNA_TENSOR_FFN_GATE, PUNA_TENSOR_FFN_GATE_BIAS, n);
            const auto up = linear(layer, PUNA_TENSOR_FFN_UP, PUNA_TENSOR_FFN_UP_BIAS, n);
            for (size_t i = 0; i < gate.size(); ++i) {
                gate[i] = activate(spec_.activation, gate[i]) * up[i];
            }
            const auto change =
                linear(layer, PUNA_TENSOR_FFN_DOWN, PUNA_TENSOR_FFN_DOWN_BIAS, gate);
            for (size_t i = 0; i < n_embd; ++i) row[i] += spec_.residual_scale * change[i];
        }
    }
    Rows result;
    for (const auto& row : x) {
        const auto n = norm(row, *find(-1, PUNA_TENSOR_OUTPUT_NORM));
        result.hidden.insert(result.hidden.end(), n.begin(), n.end());
        for (const double logit : linear(-1, PUNA_TENSOR_OUTPUT, -1, n)) {
            result.logits.push_back(soft_cap(logit * spec_.logit_scale, spec_.logit_softcap));
        }
    }
    return result;
}

}  // namespace puna::test
