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

void rope_turn(const puna_model_spec& spec, const float* table, float* head) {
    const int64_t n_pairs = rope_table_size(spec) / 2;
    // Pair i is head[i * step] and head[i * step + distance].
    const int64_t step = spec.rope == PUNA_ROPE_PAIRS ? 2 : 1;
    const int64_t distance = spec.rope == PUNA_ROPE_PAIRS ? 1 : n_pairs;
    for (int64_t i = 0; i < n_pairs; ++i) {
        float& a = head[i * step];
        float& b = head[i * step + distance];
        const float cosine = table[2 * i];
        const float sine = table[2 * i + 1];
        const float turned = a * cosine - b * sine;
        b = a * sine + b * cosine;
        a = turned;
    }
}

}  // namespace puna::core
