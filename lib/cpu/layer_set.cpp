#include "cpu/layer_set.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/checked.h"
#include "cpu/spec_check.h"
#include "format/block_format.h"

namespace puna::core {

namespace {

enum class TensorPlace { kEmbedding, kHead, kLayer };
enum class TensorKind { kMatrix, kVector, kOptionalVector, kQkNorm };

struct RoleInfo {
    const char* name;
    TensorPlace place;
    TensorKind kind;
};

// Indexed by PUNA_TENSOR_*.
constexpr RoleInfo kRoles[PUNA_N_TENSOR_ROLES] = {
    {"TOKEN_EMBD", TensorPlace::kEmbedding, TensorKind::kMatrix},
    {"OUTPUT_NORM", TensorPlace::kHead, TensorKind::kVector},
    {"OUTPUT", TensorPlace::kHead, TensorKind::kMatrix},
    {"ATTN_NORM", TensorPlace::kLayer, TensorKind::kVector},
    {"ATTN_Q", TensorPlace::kLayer, TensorKind::kMatrix},
    {"ATTN_K", TensorPlace::kLayer, TensorKind::kMatrix},
    {"ATTN_V", TensorPlace::kLayer, TensorKind::kMatrix},
    {"ATTN_OUTPUT", TensorPlace::kLayer, TensorKind::kMatrix},
    {"FFN_NORM", TensorPlace::kLayer, TensorKind::kVector},
    {"FFN_GATE", TensorPlace::kLayer, TensorKind::kMatrix},
    {"FFN_UP", TensorPlace::kLayer, TensorKind::kMatrix},
    {"FFN_DOWN", TensorPlace::kLayer, TensorKind::kMatrix},
    {"ATTN_Q_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"ATTN_K_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"ATTN_V_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"ATTN_OUTPUT_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"FFN_GATE_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"FFN_UP_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"FFN_DOWN_BIAS", TensorPlace::kLayer, TensorKind::kOptionalVector},
    {"ATTN_Q_NORM", TensorPlace::kLayer, TensorKind::kQkNorm},
    {"ATTN_K_NORM", TensorPlace::kLayer, TensorKind::kQkNorm},
};

struct Shape {
    int64_t rows;
    int64_t columns;
};

// Where a role's tensor goes: one of the two is set.
struct Slot {
    Matrix* matrix;
    const float** vector;
};

Shape shape_of(const LayerSet& set, int32_t role) {
    const puna_model_spec& spec = set.spec;
    switch (role) {
        case PUNA_TENSOR_TOKEN_EMBD:
        case PUNA_TENSOR_OUTPUT:
            return {spec.n_vocab, spec.n_embd};
        case PUNA_TENSOR_ATTN_Q:
            return {set.q_columns(), spec.n_embd};
        case PUNA_TENSOR_ATTN_K:
            return {set.k_columns(), spec.n_embd};
        case PUNA_TENSOR_ATTN_V:
            return {set.v_columns(), spec.n_embd};
        case PUNA_TENSOR_ATTN_OUTPUT:
            return {spec.n_embd, set.attn_columns()};
        case PUNA_TENSOR_FFN_GATE:
        case PUNA_TENSOR_FFN_UP:
            return {spec.n_ff, spec.n_embd};
        case PUNA_TENSOR_FFN_DOWN:
            return {spec.n_embd, spec.n_ff};
        case PUNA_TENSOR_ATTN_Q_BIAS:
            return {1, set.q_columns()};
        case PUNA_TENSOR_ATTN_K_BIAS:
            return {1, set.k_columns()};
        case PUNA_TENSOR_ATTN_V_BIAS:
            return {1, set.v_columns()};
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

// `layer` is null for the roles that have none.
Slot slot_of(LayerSet& set, LayerWeights* layer, int32_t role) {
    switch (role) {
        case PUNA_TENSOR_TOKEN_EMBD:
            return {&set.token_embd, nullptr};
        case PUNA_TENSOR_OUTPUT_NORM:
            return {nullptr, &set.output_norm};
        case PUNA_TENSOR_OUTPUT:
            return {&set.output, nullptr};
        case PUNA_TENSOR_ATTN_NORM:
            return {nullptr, &layer->attn_norm};
        case PUNA_TENSOR_ATTN_Q:
            return {&layer->q, nullptr};
        case PUNA_TENSOR_ATTN_K:
            return {&layer->k, nullptr};
        case PUNA_TENSOR_ATTN_V:
            return {&layer->v, nullptr};
        case PUNA_TENSOR_ATTN_OUTPUT:
            return {&layer->attn_output, nullptr};
        case PUNA_TENSOR_FFN_NORM:
            return {nullptr, &layer->ffn_norm};
        case PUNA_TENSOR_FFN_GATE:
            return {&layer->gate, nullptr};
        case PUNA_TENSOR_FFN_UP:
            return {&layer->up, nullptr};
        case PUNA_TENSOR_FFN_DOWN:
            return {&layer->down, nullptr};
        case PUNA_TENSOR_ATTN_Q_BIAS:
            return {nullptr, &layer->q_bias};
        case PUNA_TENSOR_ATTN_K_BIAS:
            return {nullptr, &layer->k_bias};
        case PUNA_TENSOR_ATTN_V_BIAS:
            return {nullptr, &layer->v_bias};
        case PUNA_TENSOR_ATTN_OUTPUT_BIAS:
            return {nullptr, &layer->attn_output_bias};
        case PUNA_TENSOR_FFN_GATE_BIAS:
            return {nullptr, &layer->gate_bias};
        case PUNA_TENSOR_FFN_UP_BIAS:
            return {nullptr, &layer->up_bias};
        case PUNA_TENSOR_FFN_DOWN_BIAS:
            return {nullptr, &layer->down_bias};
        case PUNA_TENSOR_ATTN_Q_NORM:
            return {nullptr, &layer->q_norm};
        default:
            return {nullptr, &layer->k_norm};
    }
}

const char* name_of(const puna_tensor& tensor) {
    return tensor.name ? tensor.name : "(unnamed)";
}

// The place of a tensor in this range, or why it has none.
Status check_place(const LayerSet& set, const puna_tensor& tensor) {
    if (tensor.role < 0 || tensor.role >= PUNA_N_TENSOR_ROLES) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED, "tensor %s: role %d is not known",
                           name_of(tensor), tensor.role);
    }
    const RoleInfo& role = kRoles[tensor.role];
    bool belongs = false;
    switch (role.place) {
        case TensorPlace::kEmbedding:
            belongs = set.has_embedding;
            break;
        case TensorPlace::kHead:
            belongs = set.has_head;
            break;
        case TensorPlace::kLayer:
            belongs =
                tensor.layer >= set.first_layer && tensor.layer - set.first_layer < set.n_layers();
            break;
    }
    if (role.kind == TensorKind::kQkNorm && !set.spec.qk_norm) belongs = false;
    if (!belongs) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "tensor %s: %s of layer %d does not belong to this range of layers",
                           name_of(tensor), role.name, tensor.layer);
    }
    return {};
}

// Checks shape, format and size; the bytes of one row go to *row_bytes.
Status check_layout(const LayerSet& set, const puna_tensor& tensor, int64_t* row_bytes) {
    const Shape shape = shape_of(set, tensor.role);
    if (tensor.rows != shape.rows || tensor.columns != shape.columns) {
        return make_status(
            PUNA_ERROR_ARGUMENT, "tensor %s: shape [%lld][%lld], must be [%lld][%lld]",
            name_of(tensor), static_cast<long long>(tensor.rows),
            static_cast<long long>(tensor.columns), static_cast<long long>(shape.rows),
            static_cast<long long>(shape.columns));
    }
    const auto format = static_cast<uint32_t>(tensor.format);
    const BlockFormatInfo* info = find_block_format(format);
    if (!info || !info->dequantize) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d is not supported by the CPU backend",
                           name_of(tensor), tensor.format);
    }
    const auto bytes = block_format_bytes(info->format, static_cast<uint64_t>(shape.columns));
    uint64_t total = 0;
    if (!bytes || *bytes > INT64_MAX ||
        !checked_mul<uint64_t>(*bytes, static_cast<uint64_t>(shape.rows), &total)) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: %lld columns are no rows of %s",
                           name_of(tensor), static_cast<long long>(shape.columns), info->name);
    }
    if (total != tensor.size_bytes) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: %llu bytes, its shape takes %llu",
                           name_of(tensor), static_cast<unsigned long long>(tensor.size_bytes),
                           static_cast<unsigned long long>(total));
    }
    *row_bytes = static_cast<int64_t>(*bytes);
    return {};
}

Status set_vector(const puna_tensor& tensor, const float** vector) {
    if (tensor.format != PUNA_FORMAT_F32) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d, norms and biases must be F32",
                           name_of(tensor), tensor.format);
    }
    if (reinterpret_cast<uintptr_t>(tensor.data) % alignof(float) != 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: data is not aligned to 4 bytes",
                           name_of(tensor));
    }
    *vector = static_cast<const float*>(tensor.data);
    return {};
}

Status set_matrix(const KernelTable& kernels, const puna_tensor& tensor, int64_t row_bytes,
                  Matrix* matrix) {
    const KernelEntry<LinearFn>* kernel = kernels.linear_of(tensor.format);
    if (!kernel && tensor.role != PUNA_TENSOR_TOKEN_EMBD) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: the CPU backend has no kernel for block format %s",
                           name_of(tensor),
                           find_block_format(static_cast<uint32_t>(tensor.format))->name);
    }
    matrix->data = static_cast<const uint8_t*>(tensor.data);
    matrix->rows = tensor.rows;
    matrix->columns = tensor.columns;
    matrix->row_bytes = row_bytes;
    matrix->format = tensor.format;
    matrix->multiply = kernel ? kernel->run : nullptr;
    matrix->panel = kernels.panel_of(tensor.format);
    matrix->dequantize = find_block_format(static_cast<uint32_t>(tensor.format))->dequantize;
    return {};
}

// The set that multiplies few rows and, if it is another, that which multiplies many.
void name_kernels(const KernelTable& kernels, int32_t format, char* name, size_t size) {
    const KernelEntry<LinearFn>* few = kernels.linear_of(format);
    const PanelEntry* many = kernels.panel_of(format);
    const char* set = few ? few->set : "reference";
    if (many && std::strcmp(many->set, set) != 0) {
        std::snprintf(name, size, "%s+%s", set, many->set);
    } else {
        std::snprintf(name, size, "%s", set);
    }
}

// One row per format; a tied output matrix is the embedding again and not counted twice.
void count_format(LayerSet& set, const puna_tensor& tensor) {
    const bool is_tied =
        tensor.role == PUNA_TENSOR_OUTPUT && tensor.data && set.token_embd.data == tensor.data;
    const bool is_tied_embedding =
        tensor.role == PUNA_TENSOR_TOKEN_EMBD && tensor.data && set.output.data == tensor.data;
    auto row = std::find_if(set.formats.begin(), set.formats.end(),
                            [&](const auto& format) { return format.format >= tensor.format; });
    if (row == set.formats.end() || row->format != tensor.format) {
        puna_layers_format format = {};
        format.struct_size = sizeof format;
        format.format = tensor.format;
        format.in_place = 1;
        name_kernels(*set.kernels, tensor.format, format.kernels, sizeof format.kernels);
        row = set.formats.insert(row, format);
    }
    if (is_tied || is_tied_embedding) return;
    ++row->n_tensors;
    row->size_bytes += tensor.size_bytes;
}

// `seen` has a mark per role of this tensor's layer, or of the tensors that have no layer.
Status add_tensor(LayerSet& set, const puna_tensor& tensor, TensorData data,
                  std::vector<bool>& seen) {
    PUNA_TRY(check_place(set, tensor));
    const RoleInfo& role = kRoles[tensor.role];
    const bool in_layer = role.place == TensorPlace::kLayer;
    const size_t layer = in_layer ? static_cast<size_t>(tensor.layer - set.first_layer) : 0;
    const size_t mark = layer * PUNA_N_TENSOR_ROLES + static_cast<size_t>(tensor.role);
    if (seen[mark]) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: %s of layer %d was given twice",
                           name_of(tensor), role.name, tensor.layer);
    }
    seen[mark] = true;
    int64_t row_bytes = 0;
    PUNA_TRY(check_layout(set, tensor, &row_bytes));
    if (data == TensorData::kPresent && !tensor.data) {
        return make_status(PUNA_ERROR_ARGUMENT, "tensor %s: data is NULL", name_of(tensor));
    }
    const Slot slot = slot_of(set, in_layer ? &set.layers[layer] : nullptr, tensor.role);
    if (slot.vector) return set_vector(tensor, slot.vector);
    count_format(set, tensor);
    return set_matrix(*set.kernels, tensor, row_bytes, slot.matrix);
}

Status check_complete(const LayerSet& set, const std::vector<bool>& seen) {
    const auto check = [&](int32_t layer, int32_t role) -> Status {
        const size_t base = static_cast<size_t>(layer) * PUNA_N_TENSOR_ROLES;
        if (seen[base + static_cast<size_t>(role)]) return {};
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: tensor %s of layer %d is missing",
                           kRoles[role].name, set.first_layer + layer);
    };
    for (int32_t role = 0; role < PUNA_N_TENSOR_ROLES; ++role) {
        const RoleInfo& info = kRoles[role];
        if (info.kind == TensorKind::kOptionalVector) continue;
        if (info.kind == TensorKind::kQkNorm && !set.spec.qk_norm) continue;
        if (info.place == TensorPlace::kEmbedding && !set.has_embedding) continue;
        if (info.place == TensorPlace::kHead && !set.has_head) continue;
        const int32_t n_layers = info.place == TensorPlace::kLayer ? set.n_layers() : 1;
        for (int32_t layer = 0; layer < n_layers; ++layer) PUNA_TRY(check(layer, role));
    }
    return {};
}

Status check_range(const puna_layers_request& request) {
    if (request.first_layer < 0 || request.n_layers < 0 ||
        request.first_layer > request.spec->n_layer ||
        request.n_layers > request.spec->n_layer - request.first_layer) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "layers request: layers %d + %d are not within the model's %d",
                           request.first_layer, request.n_layers, request.spec->n_layer);
    }
    if (request.weights_layout == PUNA_WEIGHTS_REPACKED) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "weights_layout: the CPU backend has no repacked weights yet, use "
                           "PUNA_WEIGHTS_DEFAULT");
    }
    if (request.weights_layout != PUNA_WEIGHTS_DEFAULT) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "weights_layout %d is not known",
                           request.weights_layout);
    }
    if (request.n_tensors < 0 || (request.n_tensors > 0 && !request.tensors)) {
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: tensors is NULL or n_tensors < 0");
    }
    if (request.n_tensors > 0 && request.tensors->struct_size < sizeof(puna_tensor)) {
        return make_status(PUNA_ERROR_ARGUMENT, "puna_tensor: struct_size is %u, must be %zu",
                           request.tensors->struct_size, sizeof(puna_tensor));
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<LayerSet>> resolve_layers(const puna_host_services& services,
                                                 const KernelTable& kernels,
                                                 const puna_layers_request& request,
                                                 TensorData data) {
    PUNA_TRY(check_spec(*request.spec, kernels));
    PUNA_TRY(check_range(request));
    auto set = std::make_unique<LayerSet>();
    set->services = &services;
    set->kernels = &kernels;
    set->spec = *request.spec;
    set->norm = kernels.norm[request.spec->norm].run;
    set->activation = kernels.activation[request.spec->activation].run;
    set->first_layer = request.first_layer;
    set->has_embedding = request.has_embedding != 0;
    set->has_head = request.has_head != 0;

    // A range has at least 9 tensors a layer: no allocation by a count that is not proven.
    if (request.n_layers > request.n_tensors) {
        return make_status(PUNA_ERROR_ARGUMENT, "layers request: %d tensors for %d layers",
                           request.n_tensors, request.n_layers);
    }
    set->layers.resize(static_cast<size_t>(request.n_layers));
    std::vector<bool> seen(std::max<size_t>(set->layers.size(), 1) * PUNA_N_TENSOR_ROLES);
    const auto* tensor = reinterpret_cast<const uint8_t*>(request.tensors);
    for (int32_t i = 0; i < request.n_tensors; ++i, tensor += request.tensors->struct_size) {
        PUNA_TRY(add_tensor(*set, *reinterpret_cast<const puna_tensor*>(tensor), data, seen));
    }
    PUNA_TRY(check_complete(*set, seen));
    return set;
}

}  // namespace puna::core
