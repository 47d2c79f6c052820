// What the CUDA backend serves.
#pragma once

#include "cuda/forward.h"
#include "seam/backend_limits.h"
#include "seam/layer_range.h"

namespace puna::cuda {

constexpr core::BackendLimits kLimits = {
    .name = "CUDA",
    .most_head_dim = kMostHeadDim,
    .norms = 1u << PUNA_NORM_RMS | 1u << PUNA_NORM_LAYER,
    .activations =
        1u << PUNA_ACTIVATION_SILU | 1u << PUNA_ACTIVATION_GELU | 1u << PUNA_ACTIVATION_GELU_TANH,
    .kv_types = 1u << PUNA_KV_F16 | 1u << PUNA_KV_F32 | 1u << PUNA_KV_BF16 | 1u << PUNA_KV_Q8_0,
};

inline core::LayerRange range_of(const Weights& weights) {
    return {weights.spec, weights.first_layer, static_cast<int32_t>(weights.layers.size()),
            weights.has_embedding, weights.has_head};
}

}  // namespace puna::cuda
