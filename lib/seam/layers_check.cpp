#include "seam/layers_check.h"

#include <algorithm>

#include "base/checked.h"
#include "seam/spec_check.h"
#include "seam/tensor_role.h"

namespace puna::core {

namespace {

Status check_range(const puna_layers_request& request) {
    const int32_t n_layer = request.spec->n_layer;
    if (request.first_layer >= 0 && request.n_layers >= 0 && request.first_layer <= n_layer &&
        request.n_layers <= n_layer - request.first_layer) {
        return {};
    }
    return make_status(PUNA_ERROR_ARGUMENT,
                       "layers request: layers %d + %d are not within the model's %d",
                       request.first_layer, request.n_layers, n_layer);
}

Status check_array(const puna_layers_request& request) {
    if (request.n_tensors < 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "layers request: n_tensors is %d, must be 0 or more", request.n_tensors);
    }
    if (request.n_tensors > 0 && !request.tensors) {
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: tensors is NULL");
    }
    if (request.n_tensors > 0 && request.tensors->struct_size < sizeof(puna_tensor)) {
        return make_status(PUNA_ERROR_ARGUMENT, "puna_tensor: struct_size is %u, must be %zu",
                           request.tensors->struct_size, sizeof(puna_tensor));
    }
    // A range has at least 9 tensors a layer: no allocation by a count that is not proven.
    if (request.n_layers > request.n_tensors) {
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: %d tensors for %d layers",
                           request.n_tensors, request.n_layers);
    }
    return {};
}

Status check_place(const LayerRange& layers, const puna_tensor& tensor) {
    if (tensor.role < 0 || tensor.role >= PUNA_N_TENSOR_ROLES) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "tensor %s: role %d is not known",
                           name_of(tensor), tensor.role);
    }
    const TensorRole& role = tensor_role(tensor.role);
    bool belongs = layers.has_layer(tensor.layer);
    if (role.place == RolePlace::kEmbedding) belongs = layers.has_embedding;
    if (role.place == RolePlace::kHead) belongs = layers.has_head;
    if (role.need == RoleNeed::kQkNorm && !layers.spec.qk_norm) belongs = false;
    if (belongs) return {};
    return make_status(PUNA_ERROR_ARGUMENT,
                       "tensor %s: %s of layer %d does not belong to this range of layers",
                       name_of(tensor), role.name, tensor.layer);
}

Status check_shape(const puna_model_spec& spec, const puna_tensor& tensor) {
    const TensorShape shape = tensor_shape(spec, tensor.role);
    if (tensor.rows == shape.rows && tensor.columns == shape.columns) return {};
    return make_status(PUNA_ERROR_MODEL, "tensor %s: shape [%lld][%lld], must be [%lld][%lld]",
                       name_of(tensor), static_cast<long long>(tensor.rows),
                       static_cast<long long>(tensor.columns), static_cast<long long>(shape.rows),
                       static_cast<long long>(shape.columns));
}

size_t mark_of(size_t layer, int32_t role) {
    return layer * PUNA_N_TENSOR_ROLES + static_cast<size_t>(role);
}

}  // namespace

const char* name_of(const puna_tensor& tensor) {
    return tensor.name ? tensor.name : "(unnamed)";
}

Status check_layers_request(const BackendLimits& limits, const puna_layers_request& request) {
    PUNA_TRY(check_spec(limits, *request.spec));
    PUNA_TRY(check_range(request));
    if (request.weights_layout != PUNA_WEIGHTS_DEFAULT) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "weights_layout is %d, the %s backend has PUNA_WEIGHTS_DEFAULT alone",
                           request.weights_layout, limits.name);
    }
    return check_array(request);
}

TensorsCheck::TensorsCheck(const puna_layers_request& request)
    : layers_{*request.spec, request.first_layer, request.n_layers, request.has_embedding != 0,
              request.has_head != 0},
      seen_(mark_of(static_cast<size_t>(std::max(request.n_layers, 1)), 0)) {}

Status TensorsCheck::add(const puna_tensor& tensor, TensorData data) {
    PUNA_TRY(check_place(layers_, tensor));
    const TensorRole& role = tensor_role(tensor.role);
    const bool in_layer = role.place == RolePlace::kLayer;
    const size_t layer = in_layer ? static_cast<size_t>(tensor.layer - layers_.first_layer) : 0;
    if (seen_[mark_of(layer, tensor.role)]) {
        return make_status(PUNA_ERROR_MODEL, "tensor %s: %s of layer %d was given twice",
                           name_of(tensor), role.name, tensor.layer);
    }
    seen_[mark_of(layer, tensor.role)] = true;
    PUNA_TRY(check_shape(layers_.spec, tensor));
    if (!role.is_matrix && tensor.format != PUNA_FORMAT_F32) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d, norms and biases must be F32",
                           name_of(tensor), tensor.format);
    }
    if (data == TensorData::kPresent && !tensor.data) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: data is NULL", name_of(tensor));
    }
    return {};
}

Status TensorsCheck::check_complete() const {
    for (int32_t i = 0; i < PUNA_N_TENSOR_ROLES; ++i) {
        const TensorRole& role = tensor_role(i);
        if (role.need == RoleNeed::kOptional) continue;
        if (role.need == RoleNeed::kQkNorm && !layers_.spec.qk_norm) continue;
        if (role.place == RolePlace::kEmbedding && !layers_.has_embedding) continue;
        if (role.place == RolePlace::kHead && !layers_.has_head) continue;
        const int32_t n_layers = role.place == RolePlace::kLayer ? layers_.n_layers : 1;
        for (int32_t layer = 0; layer < n_layers; ++layer) {
            if (seen_[mark_of(static_cast<size_t>(layer), i)]) continue;
            return make_status(PUNA_ERROR_MODEL, "layers request: tensor %s of layer %d is missing",
                               role.name, layers_.first_layer + layer);
        }
    }
    return {};
}

Result<int64_t> check_row_bytes(const puna_tensor& tensor, const BlockSize& block) {
    const auto rows = static_cast<long long>(tensor.rows);
    const auto columns = static_cast<long long>(tensor.columns);
    if (tensor.columns % block.n_elements != 0) {
        return make_status(
            PUNA_ERROR_MODEL,
            "tensor %s: %lld columns are not a multiple of %lld, a block of format %d",
            name_of(tensor), columns, static_cast<long long>(block.n_elements), tensor.format);
    }
    int64_t row_bytes = 0;
    int64_t total = 0;
    if (!checked_mul(tensor.columns / block.n_elements, block.n_bytes, &row_bytes) ||
        !checked_mul(row_bytes, tensor.rows, &total)) {
        return make_status(PUNA_ERROR_MODEL,
                           "tensor %s: the bytes of shape [%lld][%lld] do not fit 64 bits",
                           name_of(tensor), rows, columns);
    }
    if (static_cast<uint64_t>(total) != tensor.size_bytes) {
        return make_status(PUNA_ERROR_MODEL, "tensor %s: %llu bytes, its shape takes %lld",
                           name_of(tensor), static_cast<unsigned long long>(tensor.size_bytes),
                           static_cast<long long>(total));
    }
    return row_bytes;
}

}  // namespace puna::core
