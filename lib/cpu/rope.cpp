#include "cpu/rope.h"

#include <cmath>

#include "cpu/kernels.h"

namespace puna::core {

void rope_table(const puna_model_spec& spec, int64_t position, float magnitude, float* table) {
    for (int64_t i = 0; i < rope_table_size(spec) / 2; ++i) {
        const double angle = static_cast<double>(position) * spec.rope_frequencies[i];
        table[2 * i] = static_cast<float>(std::cos(angle) * magnitude);
        table[2 * i + 1] = static_cast<float>(std::sin(angle) * magnitude);
    }
}

void rope_turn(const puna_model_spec& spec, const float* table, float* head) {
    const RopeFn turn = spec.rope == PUNA_ROPE_PAIRS ? rope_pairs_scalar : rope_halves_scalar;
    const int64_t n = rope_table_size(spec);
    turn(table, n / 2, n, 1.0f, head);
}

}  // namespace puna::core
