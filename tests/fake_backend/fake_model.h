// The weights of the fake GPU and the arithmetic of one row: plain, slow, in double.
#pragma once

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

// {rows, columns}
inline std::pair<int64_t, int64_t> shape_of(const puna_model_spec& s, int32_t role) {
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
    for (const int32_t size : {s.n_vocab, s.n_embd, s.n_layer, s.n_head, s.n_head_kv, s.head_dim_k,
                               s.head_dim_v, s.n_ff}) {
        check(size > 0, "sizes: one is not positive");
    }
    check(s.n_head % s.n_head_kv == 0, "n_head_kv");
    check(s.norm == PUNA_NORM_RMS || s.norm == PUNA_NORM_LAYER, "norm");
    check(s.activation >= PUNA_ACTIVATION_SILU && s.activation <= PUNA_ACTIVATION_GELU_TANH,
          "activation");
    check(s.rope >= PUNA_ROPE_NONE && s.rope <= PUNA_ROPE_HALVES, "rope");
    if (s.rope != PUNA_ROPE_NONE) {
        check(s.rope_dim >= 0 && s.rope_dim % 2 == 0 && s.rope_dim <= s.head_dim_k, "rope_dim");
        check(s.rope_dim == 0 || s.rope_frequencies != nullptr, "rope_frequencies");
    }
    check(s.reserved == 0, "reserved field");
}

// A request that was checked: which tensors go to the device, and how many bytes that takes.
class Plan {
  public:
    // `estimate`: tensors come without data.
    Plan(const puna_layers_request* given, const puna_host_services& services, bool estimate)
        : request(sized(given, "request")), spec(sized(request.spec, "request.spec")) {
        check_request();
        for (int32_t i = 0; i < request.n_tensors; ++i) {
            add(sized(request.tensors + i, "a tensor"), services, estimate);
        }
        check_complete();
    }

    const puna_layers_request request;  // its pointers are not used after the load
    const puna_model_spec spec;
    std::map<std::pair<int32_t, int32_t>, puna_tensor> tensors;  // by layer (-1: none) and role
    bool is_tied = false;  // the head multiplies by the embedding that is here too
    uint64_t device_bytes = 0;

  private:
    void check_request() const {
        const puna_layers_request& r = request;
        if (r.device != 0) fail(PUNA_ERROR_NOT_FOUND, "there is no device but 0");
        check_spec(spec);
        require(r.first_layer >= 0 && r.n_layers >= 0 && r.n_layers <= spec.n_layer - r.first_layer,
                "request.first_layer and n_layers are not in the model");
        require(r.n_layers > 0 || r.has_embedding != 0 || r.has_head != 0, "the request is empty");
        require(r.n_tensors == 0 || r.tensors != nullptr, "request.tensors is NULL");
        require(r.reserved == nullptr, "request.reserved");
        if (r.weights_layout != PUNA_WEIGHTS_DEFAULT) {
            fail(PUNA_ERROR_UNSUPPORTED, "weights_layout: there is one alone");
        }
    }

    void add(const puna_tensor& t, const puna_host_services& services, bool estimate) {
        const std::string name = t.name == nullptr ? "a tensor without name" : t.name;
        const auto check = [&name](bool good, puna_status status, const char* what) {
            if (!good) fail(status, name + ": " + what);
        };
        const puna_layers_request& r = request;
        check(t.role >= 0 && t.role < PUNA_N_TENSOR_ROLES, PUNA_ERROR_MODEL_UNSUPPORTED, "role");
        const bool is_here =
            t.role < PUNA_TENSOR_ATTN_NORM
                ? t.layer == -1 && (t.role == PUNA_TENSOR_TOKEN_EMBD ? r.has_embedding : r.has_head)
                : t.layer >= r.first_layer && t.layer < r.first_layer + r.n_layers;
        check(is_here, PUNA_ERROR_ARGUMENT, "not of this range of layers");
        check(std::pair(t.rows, t.columns) == shape_of(spec, t.role), PUNA_ERROR_MODEL, "shape");
        int32_t n_elements = 0;
        int32_t n_bytes = 0;
        check(services.block_size(services.host, t.format, &n_elements, &n_bytes, nullptr) ==
                      PUNA_OK &&
                  t.columns % n_elements == 0 && (is_matrix(t.role) || t.format == PUNA_FORMAT_F32),
              PUNA_ERROR_MODEL_UNSUPPORTED, "format");
        check(t.size_bytes == static_cast<uint64_t>(t.rows * t.columns / n_elements * n_bytes),
              PUNA_ERROR_ARGUMENT, "size_bytes");
        check((t.data == nullptr) == estimate, PUNA_ERROR_ARGUMENT, "data");
        check(t.is_tied == 0 || t.role == PUNA_TENSOR_OUTPUT, PUNA_ERROR_ARGUMENT, "is_tied");
        check(tensors.emplace(std::pair(t.layer, t.role), t).second, PUNA_ERROR_MODEL,
              "its role occurs twice");
        if (t.is_tied != 0 && r.has_embedding != 0) {
            is_tied = true;
        } else {
            device_bytes += static_cast<uint64_t>(t.rows * t.columns) * sizeof(float);
        }
    }

    void check_complete() const {
        const auto need = [this](int32_t layer, int32_t role) {
            if (tensors.count({layer, role}) != 0) return;
            fail(PUNA_ERROR_MODEL, "layer " + std::to_string(layer) + " has no tensor for role " +
                                       std::to_string(role));
        };
        if (request.has_embedding) need(-1, PUNA_TENSOR_TOKEN_EMBD);
        if (request.has_head) need(-1, PUNA_TENSOR_OUTPUT_NORM);
        if (request.has_head) need(-1, PUNA_TENSOR_OUTPUT);
        for (int32_t i = 0; i < request.n_layers; ++i) {
            const int32_t layer = request.first_layer + i;
            for (int32_t role = PUNA_TENSOR_ATTN_NORM; role <= PUNA_TENSOR_FFN_DOWN; ++role) {
                need(layer, role);
            }
            if (spec.qk_norm) need(layer, PUNA_TENSOR_ATTN_Q_NORM);
            if (spec.qk_norm) need(layer, PUNA_TENSOR_ATTN_K_NORM);
        }
    }
};

// One tensor on the device, dequantised; empty for an optional one that is not there.
using Weights = std::vector<float>;
using LayerWeights = std::array<Weights, PUNA_N_TENSOR_ROLES>;

// ---- Arithmetic --------------------------------------------------------------------------------

using Row = std::vector<double>;

// W x + bias
inline Row multiply(const Weights& w, const Weights& bias, const Row& x) {
    Row y(bias.begin(), bias.end());
    y.resize(w.size() / x.size());
    for (size_t i = 0; i < y.size(); ++i) {
        for (size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
    }
    return y;
}

// norm(x) * weight
template <typename T>
Row normalize(const puna_model_spec& s, const Weights& weight, const T* x) {
    const size_t n = weight.size();
    double mean = 0;
    for (size_t i = 0; i < n && s.norm == PUNA_NORM_LAYER; ++i)
        mean += x[i] / static_cast<double>(n);
    double square = 0;
    for (size_t i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / std::sqrt(square / static_cast<double>(n) + s.norm_epsilon);
    Row y(n);
    for (size_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale * weight[i];
    return y;
}

// Calls turn(a, b, cos, sin) with the indices of each pair of a head.
template <typename Turn>
void for_each_rope_pair(const puna_model_spec& s, const Row& frequencies, int32_t position,
                        Turn&& turn) {
    const size_t half = frequencies.size();
    for (size_t i = 0; i < half; ++i) {
        const double angle = position * frequencies[i];
        const bool pairs = s.rope == PUNA_ROPE_PAIRS;
        turn(pairs ? 2 * i : i, pairs ? 2 * i + 1 : i + half, std::cos(angle), std::sin(angle));
    }
}

// Norm (if the model has it) and RoPE of the heads of q or k.
inline void finish_heads(const puna_model_spec& s, const Row& frequencies, const Weights& norm,
                         int32_t position, Row& x) {
    const auto dim = static_cast<size_t>(s.head_dim_k);
    for (double* head = x.data(); head != x.data() + x.size(); head += dim) {
        if (s.qk_norm) std::copy_n(normalize(s, norm, head).begin(), dim, head);
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
