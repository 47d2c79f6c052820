// What a tensor is for: where its role belongs, and the shape that it has there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "puna/puna_backend.h"

namespace puna::core {

enum class RolePlace { kEmbedding, kHead, kLayer };
enum class RoleNeed { kAlways, kOptional, kQkNorm };

struct TensorRole {
    const char* name;
    RolePlace place;
    RoleNeed need;
    bool is_matrix;  // norms and biases are not
};

// 0 .. PUNA_N_TENSOR_ROLES - 1.
const TensorRole& tensor_role(int32_t role);

struct TensorShape {
    int64_t rows;
    int64_t columns;
};

TensorShape tensor_shape(const puna_model_spec& spec, int32_t role);

// Where a tensor of a layer goes in a backend's struct of weights, which names its members by the roles:
// one of the two is set.
template <class Layer>
struct LayerSlot {
    decltype(Layer::q) Layer::*matrix;
    const float* Layer::*vector;
};

template <class Layer>
LayerSlot<Layer> layer_slot(int32_t role) {
    static constexpr LayerSlot<Layer> kSlots[] = {{nullptr, &Layer::attn_norm},
                                                  {&Layer::q, nullptr},
                                                  {&Layer::k, nullptr},
                                                  {&Layer::v, nullptr},
                                                  {&Layer::attn_output, nullptr},
                                                  {nullptr, &Layer::ffn_norm},
                                                  {&Layer::gate, nullptr},
                                                  {&Layer::up, nullptr},
                                                  {&Layer::down, nullptr},
                                                  {nullptr, &Layer::q_bias},
                                                  {nullptr, &Layer::k_bias},
                                                  {nullptr, &Layer::v_bias},
                                                  {nullptr, &Layer::attn_output_bias},
                                                  {nullptr, &Layer::gate_bias},
                                                  {nullptr, &Layer::up_bias},
                                                  {nullptr, &Layer::down_bias},
                                                  {nullptr, &Layer::q_norm},
                                                  {nullptr, &Layer::k_norm}};
    static_assert(sizeof kSlots / sizeof kSlots[0] == PUNA_N_TENSOR_ROLES - PUNA_TENSOR_ATTN_NORM);
    return kSlots[role - PUNA_TENSOR_ATTN_NORM];
}

// Where a tensor of any role goes in a backend's weights of a range of layers, whose members are called
// token_embd, output_norm, output, first_layer and layers: one of the two is set.
template <class Weights>
struct TensorSlot {
    decltype(Weights::output)* matrix;
    const float** vector;
};

template <class Weights>
TensorSlot<Weights> tensor_slot(Weights& weights, const puna_tensor& tensor) {
    if (tensor.role == PUNA_TENSOR_TOKEN_EMBD) return {&weights.token_embd, nullptr};
    if (tensor.role == PUNA_TENSOR_OUTPUT_NORM) return {nullptr, &weights.output_norm};
    if (tensor.role == PUNA_TENSOR_OUTPUT) return {&weights.output, nullptr};
    auto& layer = weights.layers[static_cast<size_t>(tensor.layer - weights.first_layer)];
    const auto slot = layer_slot<std::remove_reference_t<decltype(layer)>>(tensor.role);
    if (slot.matrix) return {&(layer.*slot.matrix), nullptr};
    return {nullptr, &(layer.*slot.vector)};
}

}  // namespace puna::core
