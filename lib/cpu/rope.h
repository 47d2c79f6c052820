// Rotary position embedding.
#pragma once

#include <cstdint>

#include "puna/puna_backend.h"

namespace puna::core {

// Floats of a table: cosine and sine, times the magnitude, of every pair.
inline int64_t rope_table_size(const puna_model_spec& spec) {
    return spec.rope == PUNA_ROPE_NONE ? 0 : spec.rope_dim;
}

// table[i] = {cos, sin} * magnitude of the angle position * rope_frequencies[i], in double until
// the end: angles of late positions are large. [rope_dim / 2][2]
void rope_table(const puna_model_spec& spec, int64_t position, float magnitude, float* table);

// Turns one head [head_dim_k] by the angles of a table.
void rope_turn(const puna_model_spec& spec, const float* table, float* head);

}  // namespace puna::core
