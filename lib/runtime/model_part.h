// A range of a model's layers on one device.
#pragma once

#include <cstdint>
#include <utility>

#include "backend/backend_registry.h"

namespace puna::core {

// Owns the layer set. Move-only.
struct ModelPart {
    ModelPart() = default;
    ModelPart(ModelPart&& other) noexcept { *this = std::move(other); }
    ModelPart& operator=(ModelPart&& other) noexcept {
        std::swap(backend, other.backend);
        std::swap(layers, other.layers);
        device = other.device;
        first_layer = other.first_layer;
        n_layers = other.n_layers;
        return *this;
    }
    ~ModelPart() {
        if (layers != nullptr) api().destroy_layers(layers);
    }

    const puna_backend_api& api() const { return backend->api(); }

    const Backend* backend = nullptr;
    puna_layer_set* layers = nullptr;
    int32_t device = 0;  // as the user counts
    int32_t first_layer = 0;
    int32_t n_layers = 0;
};

}  // namespace puna::core
