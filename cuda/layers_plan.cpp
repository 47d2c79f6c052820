#include "cuda/layers_plan.h"

#include <algorithm>
#include <cstdio>

#include "base/checked.h"
#include "cuda/device_memory.h"
#include "cuda/model_check.h"

namespace puna::cuda {

namespace {

using core::checked_add;
using core::checked_align_up;
using core::checked_mul;

enum class Place { kEmbedding, kHead, kLayer };
enum class Need { kAlways, kOptional, kQkNorm };

// Where a role's tensor goes: one of the two members is set.
struct RoleInfo {
    const char* name;
    Place place;
    Need need;
    Matrix LayerWeights::*matrix;
    const float* LayerWeights::*vector;
};

using W = LayerWeights;

// Indexed by PUNA_TENSOR_*.
constexpr RoleInfo kRoles[PUNA_N_TENSOR_ROLES] = {
    {"TOKEN_EMBD", Place::kEmbedding, Need::kAlways, nullptr, nullptr},
    {"OUTPUT_NORM", Place::kHead, Need::kAlways, nullptr, nullptr},
    {"OUTPUT", Place::kHead, Need::kAlways, nullptr, nullptr},
    {"ATTN_NORM", Place::kLayer, Need::kAlways, nullptr, &W::attn_norm},
    {"ATTN_Q", Place::kLayer, Need::kAlways, &W::q, nullptr},
    {"ATTN_K", Place::kLayer, Need::kAlways, &W::k, nullptr},
    {"ATTN_V", Place::kLayer, Need::kAlways, &W::v, nullptr},
    {"ATTN_OUTPUT", Place::kLayer, Need::kAlways, &W::attn_output, nullptr},
    {"FFN_NORM", Place::kLayer, Need::kAlways, nullptr, &W::ffn_norm},
    {"FFN_GATE", Place::kLayer, Need::kAlways, &W::gate, nullptr},
    {"FFN_UP", Place::kLayer, Need::kAlways, &W::up, nullptr},
    {"FFN_DOWN", Place::kLayer, Need::kAlways, &W::down, nullptr},
    {"ATTN_Q_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::q_bias},
    {"ATTN_K_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::k_bias},
    {"ATTN_V_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::v_bias},
    {"ATTN_OUTPUT_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::attn_output_bias},
    {"FFN_GATE_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::gate_bias},
    {"FFN_UP_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::up_bias},
    {"FFN_DOWN_BIAS", Place::kLayer, Need::kOptional, nullptr, &W::down_bias},
    {"ATTN_Q_NORM", Place::kLayer, Need::kQkNorm, nullptr, &W::q_norm},
    {"ATTN_K_NORM", Place::kLayer, Need::kQkNorm, nullptr, &W::k_norm},
};

struct Shape {
    int64_t rows;
    int64_t columns;
};

Shape shape_of(const puna_model_spec& spec, int32_t role) {
    const int64_t q = int64_t{spec.n_head} * spec.head_dim_k;
    const int64_t k = int64_t{spec.n_head_kv} * spec.head_dim_k;
    const int64_t v = int64_t{spec.n_head_kv} * spec.head_dim_v;
    switch (role) {
        case PUNA_TENSOR_TOKEN_EMBD:
        case PUNA_TENSOR_OUTPUT:
            return {spec.n_vocab, spec.n_embd};
        case PUNA_TENSOR_ATTN_Q:
            return {q, spec.n_embd};
        case PUNA_TENSOR_ATTN_K:
            return {k, spec.n_embd};
        case PUNA_TENSOR_ATTN_V:
            return {v, spec.n_embd};
        case PUNA_TENSOR_ATTN_OUTPUT:
            return {spec.n_embd, int64_t{spec.n_head} * spec.head_dim_v};
        case PUNA_TENSOR_FFN_GATE:
        case PUNA_TENSOR_FFN_UP:
            return {spec.n_ff, spec.n_embd};
        case PUNA_TENSOR_FFN_DOWN:
            return {spec.n_embd, spec.n_ff};
        case PUNA_TENSOR_ATTN_Q_BIAS:
            return {1, q};
        case PUNA_TENSOR_ATTN_K_BIAS:
            return {1, k};
        case PUNA_TENSOR_ATTN_V_BIAS:
            return {1, v};
        case PUNA_TENSOR_FFN_GATE_BIAS:
        case PUNA_TENSOR_FFN_UP_BIAS:
            return {1, spec.n_ff};
        case PUNA_TENSOR_ATTN_Q_NORM:
        case PUNA_TENSOR_ATTN_K_NORM:
            return {1, spec.head_dim_k};
        default:
            return {1, spec.n_embd};  // norms, biases of the two output projections
    }
}

bool is_matrix(int32_t role) {
    return role == PUNA_TENSOR_TOKEN_EMBD || role == PUNA_TENSOR_OUTPUT || kRoles[role].matrix;
}

const char* name_of(const puna_tensor& tensor) {
    return tensor.name ? tensor.name : "(unnamed)";
}

Status check_range(const puna_layers_request& request) {
    const puna_model_spec& spec = *request.spec;
    if (request.first_layer < 0 || request.n_layers < 0 || request.first_layer > spec.n_layer ||
        request.n_layers > spec.n_layer - request.first_layer) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "layers request: layers %d + %d are not within the model's %d",
                           request.first_layer, request.n_layers, spec.n_layer);
    }
    if (request.weights_layout != PUNA_WEIGHTS_DEFAULT) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "weights_layout %d: the CUDA backend has PUNA_WEIGHTS_DEFAULT alone",
                           request.weights_layout);
    }
    if (request.n_tensors < 0 || (request.n_tensors > 0 && !request.tensors)) {
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: tensors is NULL or n_tensors < 0");
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

Status check_place(const puna_layers_request& request, const puna_tensor& tensor) {
    if (tensor.role < 0 || tensor.role >= PUNA_N_TENSOR_ROLES) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "tensor %s: role %d is not known",
                           name_of(tensor), tensor.role);
    }
    const RoleInfo& role = kRoles[tensor.role];
    bool belongs = tensor.layer >= request.first_layer &&
                   tensor.layer - request.first_layer < request.n_layers;
    if (role.place == Place::kEmbedding) belongs = request.has_embedding != 0;
    if (role.place == Place::kHead) belongs = request.has_head != 0;
    if (role.need == Need::kQkNorm && !request.spec->qk_norm) belongs = false;
    if (belongs) return {};
    return make_status(PUNA_ERROR_ARGUMENT,
                       "tensor %s: %s of layer %d does not belong to this range of layers",
                       name_of(tensor), role.name, tensor.layer);
}

Status check_format(const puna_tensor& tensor) {
    if (!is_matrix(tensor.role)) {
        if (tensor.format == PUNA_FORMAT_F32) return {};
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d, norms and biases must be F32",
                           name_of(tensor), tensor.format);
    }
    if (format_supported(tensor.format)) return {};
    return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                       "tensor %s: block format %d is not supported by the CUDA backend",
                       name_of(tensor), tensor.format);
}

// Shape, format and size; the bytes of one row go to *row_bytes.
Status check_layout(const puna_host_services& services, const puna_model_spec& spec,
                    const puna_tensor& tensor, int64_t* row_bytes) {
    const Shape shape = shape_of(spec, tensor.role);
    if (tensor.rows != shape.rows || tensor.columns != shape.columns) {
        return make_status(PUNA_ERROR_MODEL, "tensor %s: shape [%lld][%lld], must be [%lld][%lld]",
                           name_of(tensor), static_cast<long long>(tensor.rows),
                           static_cast<long long>(tensor.columns),
                           static_cast<long long>(shape.rows),
                           static_cast<long long>(shape.columns));
    }
    PUNA_TRY(check_format(tensor));
    int32_t block_length = 0;
    int32_t block_bytes = 0;
    puna_error error = PUNA_ERROR_INIT;
    if (services.block_size(services.host, tensor.format, &block_length, &block_bytes, &error) !=
            PUNA_OK ||
        block_length < 1 || shape.columns % block_length != 0) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: %lld columns are no rows of block format %d",
                           name_of(tensor), static_cast<long long>(shape.columns), tensor.format);
    }
    // No overflow: a block has at most 4 bytes for each element, and both factors fit 63 bits.
    *row_bytes = shape.columns / block_length * block_bytes;
    uint64_t total = 0;
    if (!checked_mul<uint64_t>(static_cast<uint64_t>(*row_bytes), static_cast<uint64_t>(shape.rows),
                               &total) ||
        total != tensor.size_bytes) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: %llu bytes, its shape takes %llu",
                           name_of(tensor), static_cast<unsigned long long>(tensor.size_bytes),
                           static_cast<unsigned long long>(total));
    }
    return {};
}

// One row per format of matrices that lie on the device.
void count_format(LayersPlan& plan, const puna_tensor& tensor) {
    auto row = std::find_if(plan.formats.begin(), plan.formats.end(),
                            [&](const auto& format) { return format.format >= tensor.format; });
    if (row == plan.formats.end() || row->format != tensor.format) {
        puna_layers_format format = {};
        format.struct_size = sizeof format;
        format.format = tensor.format;
        std::snprintf(format.kernels, sizeof format.kernels, "cuda");
        row = plan.formats.insert(row, format);
    }
    ++row->n_tensors;
    row->size_bytes += tensor.size_bytes;
}

// Takes `bytes` of the block; *offset is where they begin.
Status take_bytes(LayersPlan& plan, uint64_t bytes, uint64_t* offset) {
    *offset = plan.device_bytes;
    uint64_t end = 0;
    if (checked_add(plan.device_bytes, bytes, &end) &&
        checked_align_up(end, kDeviceAlignment, &plan.device_bytes)) {
        return {};
    }
    return make_status(PUNA_ERROR_DEVICE_MEMORY, "layers request: its tensors are too large");
}

// `seen` has a mark per role of this tensor's layer, or of the tensors that have no layer.
Status add_tensor(LayersPlan& plan, const puna_host_services& services,
                  const puna_layers_request& request, const puna_tensor& tensor, TensorData data,
                  std::vector<bool>& seen) {
    PUNA_TRY(check_place(request, tensor));
    const RoleInfo& role = kRoles[tensor.role];
    const size_t layer =
        role.place == Place::kLayer ? static_cast<size_t>(tensor.layer - request.first_layer) : 0;
    const size_t mark = layer * PUNA_N_TENSOR_ROLES + static_cast<size_t>(tensor.role);
    if (seen[mark]) {
        return make_status(PUNA_ERROR_MODEL, "tensor %s: %s of layer %d was given twice",
                           name_of(tensor), role.name, tensor.layer);
    }
    seen[mark] = true;
    PlannedTensor planned = {tensor};
    PUNA_TRY(check_layout(services, *request.spec, tensor, &planned.row_bytes));
    if (data == TensorData::kPresent && !tensor.data) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: data is NULL", name_of(tensor));
    }
    planned.is_shared =
        tensor.role == PUNA_TENSOR_OUTPUT && tensor.is_tied && plan.weights.has_embedding;
    if (!planned.is_shared) {
        PUNA_TRY(take_bytes(plan, tensor.size_bytes, &planned.offset));
        if (is_matrix(tensor.role)) count_format(plan, tensor);
    }
    plan.tensors.push_back(planned);
    return {};
}

Status check_complete(const puna_layers_request& request, const std::vector<bool>& seen) {
    for (size_t role = 0; role < PUNA_N_TENSOR_ROLES; ++role) {
        const RoleInfo& info = kRoles[role];
        if (info.need == Need::kOptional) continue;
        if (info.need == Need::kQkNorm && !request.spec->qk_norm) continue;
        if (info.place == Place::kEmbedding && !request.has_embedding) continue;
        if (info.place == Place::kHead && !request.has_head) continue;
        const int32_t n_layers = info.place == Place::kLayer ? request.n_layers : 1;
        for (int32_t layer = 0; layer < n_layers; ++layer) {
            if (seen[static_cast<size_t>(layer) * PUNA_N_TENSOR_ROLES + role]) continue;
            return make_status(PUNA_ERROR_MODEL, "layers request: tensor %s of layer %d is missing",
                               info.name, request.first_layer + layer);
        }
    }
    return {};
}

// A tied OUTPUT lies where TOKEN_EMBD does, which may have come after it.
Status share_embedding(LayersPlan& plan) {
    const auto embedding =
        std::find_if(plan.tensors.begin(), plan.tensors.end(),
                     [](const auto& t) { return t.tensor.role == PUNA_TENSOR_TOKEN_EMBD; });
    for (PlannedTensor& planned : plan.tensors) {
        if (!planned.is_shared) continue;
        if (embedding->tensor.format != planned.tensor.format) {
            return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: tied, but of another block format",
                               name_of(planned.tensor));
        }
        planned.offset = embedding->offset;
    }
    return {};
}

}  // namespace

Result<LayersPlan> plan_layers(const puna_host_services& services,
                               const puna_layers_request& request, TensorData data) {
    PUNA_TRY(check_spec(*request.spec));
    PUNA_TRY(check_range(request));
    LayersPlan plan;
    plan.weights.spec = *request.spec;
    plan.weights.first_layer = request.first_layer;
    plan.weights.has_embedding = request.has_embedding != 0;
    plan.weights.has_head = request.has_head != 0;
    plan.weights.layers.resize(static_cast<size_t>(request.n_layers));
    plan.tensors.reserve(static_cast<size_t>(request.n_tensors));
    std::vector<bool> seen(std::max<size_t>(plan.weights.layers.size(), 1) * PUNA_N_TENSOR_ROLES);
    const auto* tensor = reinterpret_cast<const uint8_t*>(request.tensors);
    for (int32_t i = 0; i < request.n_tensors; ++i, tensor += request.tensors->struct_size) {
        PUNA_TRY(add_tensor(plan, services, request, *reinterpret_cast<const puna_tensor*>(tensor),
                            data, seen));
    }
    PUNA_TRY(check_complete(request, seen));
    PUNA_TRY(share_embedding(plan));
    if (request.spec->rope != PUNA_ROPE_NONE) {
        plan.rope_bytes = static_cast<uint64_t>(request.spec->rope_dim / 2) * sizeof(double);
    }
    PUNA_TRY(take_bytes(plan, plan.rope_bytes, &plan.rope_offset));
    return plan;
}

void place_tensor(const PlannedTensor& planned, const uint8_t* block, Weights& weights) {
    const puna_tensor& tensor = planned.tensor;
    const uint8_t* data = block + planned.offset;
    const RoleInfo& role = kRoles[tensor.role];
    Matrix* matrix = nullptr;
    if (role.place == Place::kLayer) {
        LayerWeights& layer =
            weights.layers[static_cast<size_t>(tensor.layer - weights.first_layer)];
        if (role.vector) layer.*role.vector = reinterpret_cast<const float*>(data);
        if (role.matrix) matrix = &(layer.*role.matrix);
    } else if (tensor.role == PUNA_TENSOR_OUTPUT_NORM) {
        weights.output_norm = reinterpret_cast<const float*>(data);
    } else {
        matrix = tensor.role == PUNA_TENSOR_OUTPUT ? &weights.output : &weights.token_embd;
    }
    if (matrix) *matrix = {data, tensor.rows, tensor.columns, planned.row_bytes, tensor.format};
}

}  // namespace puna::cuda
