// fake_model.h - the weights of the fake GPU and the arithmetic of one row: plain, slow, in double.
//
// SPDX-License-Identifier: MIT
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include <array>
#include <cmath>
#include <map>

#include "fake_device.h"

namespace fake {

inline bool is_matrix(int32_t role) {
    return role == PUNA_TENSOR_TOKEN_EMBD || role == PUNA_TENSOR_OUTPUT ||
           (role >= PUNA_TENSOR_ATTN_Q && role <= PUNA_TENSOR_ATTN_OUTPUT) ||
           (role >= PUNA_TENSOR_FFN_GATE && role <= PUNA_TENSOR_FFN_DOWN);
}

struct Shape {
    int64_t rows;
    int64_t columns;
};

inline Shape shape_of(const puna_model_spec& s, int32_t role) {
    const int64_t q = int64_t{s.n_head} * s.head_dim_k;
    const int64_t k = int64_t{s.n_head_kv} * s.head_dim_k;
    const int64_t v = int64_t{s.n_head_kv} * s.head_dim_v;
    switch (role) {
        case PUNA_TENSOR_TOKEN_EMBD:
        case PUNA_TENSOR_OUTPUT:
            return {s.n_vocab, s.n_embd};
        case PUNA_TENSOR_ATTN_Q:
            return {q, s.n_embd};
        case PUNA_TENSOR_ATTN_K:
            return {k, s.n_embd};
        case PUNA_TENSOR_ATTN_V:
            return {v, s.n_embd};
        case PUNA_TENSOR_ATTN_OUTPUT:
            return {s.n_embd, int64_t{s.n_head} * s.head_dim_v};
        case PUNA_TENSOR_FFN_GATE:
        case PUNA_TENSOR_FFN_UP:
            return {s.n_ff, s.n_embd};
        case PUNA_TENSOR_FFN_DOWN:
            return {s.n_embd, s.n_ff};
        case PUNA_TENSOR_ATTN_Q_BIAS:
            return {1, q};
        case PUNA_TENSOR_ATTN_K_BIAS:
            return {1, k};
        case PUNA_TENSOR_ATTN_V_BIAS:
            return {1, v};
        case PUNA_TENSOR_FFN_GATE_BIAS:
        case PUNA_TENSOR_FFN_UP_BIAS:
            return {1, s.n_ff};
        case PUNA_TENSOR_ATTN_Q_NORM:
        case PUNA_TENSOR_ATTN_K_NORM:
            return {1, s.head_dim_k};
        default:
            return {1, s.n_embd};  // the other norms and biases
    }
}

inline void check_spec(const puna_model_spec& s) {
    const auto check = [](bool good, const char* field) {
        if (!good) fail(PUNA_ERROR_MODEL_UNSUPPORTED, std::string("the model's ") + field);
    };
    const std::pair<int32_t, const char*> sizes[] = {
        {s.n_vocab, "n_vocab"},       {s.n_embd, "n_embd"},
        {s.n_layer, "n_layer"},       {s.n_head, "n_head"},
        {s.n_head_kv, "n_head_kv"},   {s.head_dim_k, "head_dim_k"},
        {s.head_dim_v, "head_dim_v"}, {s.n_ff, "n_ff"}};
    for (const auto& [size, field] : sizes) check(size > 0, field);
    check(s.n_head % s.n_head_kv == 0, "n_head_kv");
    check(s.norm == PUNA_NORM_RMS || s.norm == PUNA_NORM_LAYER, "norm");
    check(s.activation >= PUNA_ACTIVATION_SILU && s.activation <= PUNA_ACTIVATION_GELU_TANH,
          "activation");
    check(s.rope >= PUNA_ROPE_NONE && s.rope <= PUNA_ROPE_HALVES, "rope");
    check(s.rope == PUNA_ROPE_NONE ||
              (s.rope_dim >= 0 && s.rope_dim % 2 == 0 && s.rope_dim <= s.head_dim_k),
          "rope_dim");
    check(s.rope == PUNA_ROPE_NONE || s.rope_dim == 0 || s.rope_frequencies != nullptr,
          "rope_frequencies");
    check(s.reserved == 0, "reserved field");
}

// A request that was checked: which tensors go to the device, and how many bytes that takes.
struct Plan {
    puna_layers_request request{};
    puna_model_spec spec{};
    // By layer (-1: none) and role.
    std::map<std::pair<int32_t, int32_t>, puna_tensor> tensors;
    bool tied = false;  // the output matrix is the token embedding
    uint64_t device_bytes = 0;

    bool has(int32_t layer, int32_t role) const { return tensors.count({layer, role}) != 0; }
};

// `supported` says whether a format can be dequantised.
template <typename Supported>
Plan make_plan(const puna_layers_request* given, bool with_data, Supported&& supported) {
    Plan plan;
    const puna_layers_request& r = plan.request = read_struct(given, "request");
    const puna_model_spec& s = plan.spec = read_struct(r.spec, "request.spec");
    if (r.device != 0) fail(PUNA_ERROR_NOT_FOUND, "there is no device but 0");
    check_spec(s);
    require(r.first_layer >= 0 && r.n_layers >= 0 && r.n_layers <= s.n_layer - r.first_layer,
            "request.first_layer and n_layers are not in the model");
    require(r.n_layers > 0 || r.has_embedding != 0 || r.has_head != 0, "the request is empty");
    if (r.weights_layout != PUNA_WEIGHTS_DEFAULT && r.weights_layout != PUNA_WEIGHTS_REPACKED) {
        fail(PUNA_ERROR_UNSUPPORTED, "weights_layout");
    }
    require(r.n_tensors == 0 || r.tensors != nullptr, "request.tensors is NULL");

    for (int32_t i = 0; i < r.n_tensors; ++i) {
        const auto* at = reinterpret_cast<const unsigned char*>(r.tensors) +
                         static_cast<size_t>(i) * r.tensors->struct_size;
        const auto t = read_struct(reinterpret_cast<const puna_tensor*>(at), "a tensor");
        const std::string name = t.name == nullptr ? "a tensor without name" : t.name;
        if (t.role < 0 || t.role >= PUNA_N_TENSOR_ROLES) {
            fail(PUNA_ERROR_MODEL_UNSUPPORTED, name + ": its role is unknown");
        }
        const bool in_range =
            t.role < PUNA_TENSOR_ATTN_NORM
                ? t.layer == -1 && (t.role == PUNA_TENSOR_TOKEN_EMBD ? r.has_embedding : r.has_head)
                : t.layer >= r.first_layer && t.layer < r.first_layer + r.n_layers;
        if (!in_range) fail(PUNA_ERROR_ARGUMENT, name + " is not in the range of the request");
        const Shape shape = shape_of(s, t.role);
        if (t.rows != shape.rows || t.columns != shape.columns) {
            fail(PUNA_ERROR_MODEL, name + ": its shape does not fit the model");
        }
        if (is_matrix(t.role) ? !supported(t.format) : t.format != PUNA_FORMAT_F32) {
            fail(PUNA_ERROR_MODEL_UNSUPPORTED,
                 name + ": format " + std::to_string(t.format) + " is not supported");
        }
        if (with_data && t.data == nullptr) fail(PUNA_ERROR_ARGUMENT, name + " has no data");
        if (!plan.tensors.emplace(std::pair{t.layer, t.role}, t).second) {
            fail(PUNA_ERROR_MODEL, name + ": its role occurs twice");
        }
        plan.device_bytes += static_cast<uint64_t>(t.rows * t.columns) * sizeof(float);
    }

    const auto need = [&plan](int32_t layer, int32_t role) {
        if (plan.has(layer, role)) return;
        fail(PUNA_ERROR_MODEL,
             "layer " + std::to_string(layer) + " has no tensor for role " + std::to_string(role));
    };
    if (r.has_embedding) need(-1, PUNA_TENSOR_TOKEN_EMBD);
    if (r.has_head) need(-1, PUNA_TENSOR_OUTPUT_NORM);
    if (r.has_head) need(-1, PUNA_TENSOR_OUTPUT);
    for (int32_t i = r.first_layer; i < r.first_layer + r.n_layers; ++i) {
        for (int32_t role = PUNA_TENSOR_ATTN_NORM; role <= PUNA_TENSOR_FFN_DOWN; ++role) {
            need(i, role);
        }
        if (s.qk_norm) need(i, PUNA_TENSOR_ATTN_Q_NORM);
        if (s.qk_norm) need(i, PUNA_TENSOR_ATTN_K_NORM);
    }
    if (r.has_embedding && r.has_head) {
        // An estimate has no data to compare, so a tensor of the same name counts as the same.
        const puna_tensor& in = plan.tensors.at({-1, PUNA_TENSOR_TOKEN_EMBD});
        const puna_tensor& out = plan.tensors.at({-1, PUNA_TENSOR_OUTPUT});
        plan.tied = (in.data != nullptr && in.data == out.data) ||
                    (in.name != nullptr && out.name != nullptr && !std::strcmp(in.name, out.name));
        if (plan.tied) {
            plan.device_bytes -= static_cast<uint64_t>(out.rows * out.columns) * sizeof(float);
        }
    }
    return plan;
}

// One tensor on the device, dequantised; empty for an optional one that is not there.
using Weights = std::vector<float>;
using LayerWeights = std::array<Weights, PUNA_N_TENSOR_ROLES>;

// ---- arithmetic --------------------------------------------------------------------------------

inline void add_bias(const Weights& bias, double* y) {
    for (size_t i = 0; i < bias.size(); ++i) y[i] += bias[i];
}

// y[n] = W x + bias, with x[columns].
inline void multiply(const Weights& w, const Weights& bias, const double* x, double* y, size_t n) {
    const size_t columns = w.size() / n;
    for (size_t i = 0; i < n; ++i) {
        const float* row = w.data() + i * columns;
        double sum = 0;
        for (size_t j = 0; j < columns; ++j) sum += row[j] * x[j];
        y[i] = sum;
    }
    add_bias(bias, y);
}

// y = norm(x) * weight; x and y may be the same.
template <typename T>
void normalize(const puna_model_spec& s, const Weights& weight, const T* x, double* y) {
    const size_t n = weight.size();
    double mean = 0;
    if (s.norm == PUNA_NORM_LAYER) {
        for (size_t i = 0; i < n; ++i) mean += x[i];
        mean /= static_cast<double>(n);
    }
    double square = 0;
    for (size_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / std::sqrt(square / static_cast<double>(n) + s.norm_epsilon);
    for (size_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale * weight[i];
}

// Calls turn(a, b, cos, sin) with the indices of each pair of a head.
template <typename Turn>
void for_each_rope_pair(const puna_model_spec& s, const std::vector<double>& frequencies,
                        int32_t position, Turn&& turn) {
    const size_t half = frequencies.size();
    for (size_t i = 0; i < half; ++i) {
        const double angle = position * frequencies[i];
        const bool pairs = s.rope == PUNA_ROPE_PAIRS;
        turn(pairs ? 2 * i : i, pairs ? 2 * i + 1 : i + half, std::cos(angle), std::sin(angle));
    }
}

// Norm (if the model has it) and RoPE of the heads of q or k.
inline void finish_heads(const puna_model_spec& s, const std::vector<double>& frequencies,
                         const Weights& norm, int32_t position, double* x, int32_t n_heads) {
    for (int32_t h = 0; h < n_heads; ++h) {
        double* head = x + static_cast<size_t>(h) * static_cast<size_t>(s.head_dim_k);
        if (s.qk_norm) normalize(s, norm, head, head);
        for_each_rope_pair(s, frequencies, position, [&](size_t a, size_t b, double c, double d) {
            const double first = head[a];
            const double second = head[b];
            head[a] = (first * c - second * d) * s.rope_magnitude;
            head[b] = (first * d + second * c) * s.rope_magnitude;
        });
    }
}

inline double activate(int32_t kind, double x) {
    if (kind == PUNA_ACTIVATION_SILU) return x / (1 + std::exp(-x));
    if (kind == PUNA_ACTIVATION_GELU) return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
    return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

inline double soft_cap(double x, double cap) {
    return cap == 0 ? x : cap * std::tanh(x / cap);
}

}  // namespace fake

#endif  // FAKE_MODEL_H
