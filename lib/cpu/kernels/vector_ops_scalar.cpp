#include <cmath>

#include "cpu/kernels.h"

namespace puna::core {

float softmax_scalar(float* x, int32_t n, float* largest) {
    float top = x[0];
    for (int32_t i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
    float sum = 0.0f;
    for (int32_t i = 0; i < n; ++i) {
        x[i] = expf(x[i] - top);
        sum += x[i];
    }
    *largest = top;
    return sum;
}

void norm_rms_scalar(const float* x, const float* gain, int64_t n, float epsilon, float* out) {
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
    const auto scale = static_cast<float>(1.0 / sqrt(squares / static_cast<double>(n) + epsilon));
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * gain[i];
}

void norm_layer_scalar(const float* x, const float* gain, int64_t n, float epsilon, float* out) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(n);
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double scale = 1.0 / sqrt(squares / static_cast<double>(n) + epsilon);
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>((x[i] - mean) * scale) * gain[i];
}

void activation_silu_scalar(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void activation_gelu_scalar(float* gate, const float* up, int64_t n) {
    constexpr float kInverseSqrt2 = 0.70710678f;
    for (int64_t i = 0; i < n; ++i) {
        gate[i] = 0.5f * gate[i] * (1.0f + erff(gate[i] * kInverseSqrt2)) * up[i];
    }
}

void activation_gelu_tanh_scalar(float* gate, const float* up, int64_t n) {
    constexpr float kSqrt2OverPi = 0.79788456f;
    for (int64_t i = 0; i < n; ++i) {
        const float g = gate[i];
        const float inner = kSqrt2OverPi * (g + 0.044715f * g * g * g);
        gate[i] = 0.5f * g * (1.0f + tanhf(inner)) * up[i];
    }
}

namespace {

// Pair i is head[i * kStep] and head[i * kStep + distance].
template <int64_t kStep>
void turn_pairs(const float* table, int64_t n_pairs, int64_t distance, float scale, float* head) {
    for (int64_t i = 0; i < n_pairs; ++i) {
        float& a = head[i * kStep];
        float& b = head[i * kStep + distance];
        const float cosine = table[2 * i];
        const float sine = table[2 * i + 1];
        const float turned = a * cosine - b * sine;
        b = (a * sine + b * cosine) * scale;
        a = turned * scale;
    }
}

}  // namespace

void rope_pairs_scalar(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head) {
    turn_pairs<2>(table, n_pairs, 1, scale, head);
    for (int64_t i = 2 * n_pairs; i < dim; ++i) head[i] *= scale;
}

void rope_halves_scalar(const float* table, int64_t n_pairs, int64_t dim, float scale,
                        float* head) {
    turn_pairs<1>(table, n_pairs, n_pairs, scale, head);
    for (int64_t i = 2 * n_pairs; i < dim; ++i) head[i] *= scale;
}

}  // namespace puna::core
