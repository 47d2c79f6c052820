// The layers of a model that a layer set is about, and which ends of the model belong to them.
#pragma once

#include <cstdint>

#include "puna/puna_backend.h"

namespace puna::core {

struct LayerRange {
    const puna_model_spec& spec;
    int32_t first_layer = 0;  // of the whole model
    int32_t n_layers = 0;
    bool has_embedding = false;
    bool has_head = false;

    bool has_layer(int32_t layer) const {
        return layer >= first_layer && layer - first_layer < n_layers;
    }
};

}  // namespace puna::core
