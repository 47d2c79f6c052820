#include "cpu/rope.h"

#include <cmath>

namespace puna::core {

void rope_table(const puna_model_spec& spec, int64_t position, float magnitude, float* table) {
    for (int64_t i = 0; i < rope_table_size(spec) / 2; ++i) {
        const double angle = static_cast<double>(position) * spec.rope_frequencies[i];
        table[2 * i] = static_cast<float>(std::cos(angle) * magnitude);
        table[2 * i + 1] = static_cast<float>(std::sin(angle) * magnitude);
    }
}

namespace {

// Pair i is head[i * kStep] and head[i * kStep + distance].
template <int64_t kStep>
void turn_pairs(const float* table, int64_t n_pairs, int64_t distance, float* head) {
    for (int64_t i = 0; i < n_pairs; ++i) {
        float& a = head[i * kStep];
        float& b = head[i * kStep + distance];
        const float cosine = table[2 * i];
        const float sine = table[2 * i + 1];
        const float turned = a * cosine - b * sine;
        b = a * sine + b * cosine;
        a = turned;
    }
}

}  // namespace

void rope_turn(const puna_model_spec& spec, const float* table, float* head) {
    const int64_t n_pairs = rope_table_size(spec) / 2;
    if (spec.rope == PUNA_ROPE_PAIRS) {
        turn_pairs<2>(table, n_pairs, 1, head);
    } else {
        turn_pairs<1>(table, n_pairs, n_pairs, head);
    }
}

}  // namespace puna::core
