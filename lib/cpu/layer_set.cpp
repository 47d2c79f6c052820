#include "cpu/layer_set.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "format/block_format.h"
#include "seam/tensor_role.h"

namespace puna::core {

namespace {

// The bytes of one row.
Result<int64_t> check_format(const puna_tensor& tensor) {
    const BlockFormatInfo* info = find_block_format(static_cast<uint32_t>(tensor.format));
    if (!info || !info->dequantize) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d is not supported by the CPU backend",
                           name_of(tensor), tensor.format);
    }
    return check_row_bytes(tensor, {info->block_length, info->block_bytes});
}

Status set_vector(const puna_tensor& tensor, const float** vector) {
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
    matrix->read_order = kernels.read_order;
    matrix->panel = kernels.panel_of(tensor.format);
    matrix->small_panel = kernels.small_panel_of(tensor.format);
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

// A checked tensor.
Status add_tensor(LayerSet& set, const puna_tensor& tensor) {
    PUNA_TRY_ASSIGN(const int64_t row_bytes, check_format(tensor));
    const TensorSlot<LayerSet> slot = tensor_slot(set, tensor);
    if (slot.vector) return set_vector(tensor, slot.vector);
    count_format(set, tensor);
    return set_matrix(*set.kernels, tensor, row_bytes, slot.matrix);
}

}  // namespace

Result<std::unique_ptr<LayerSet>> resolve_layers(const puna_host_services& services,
                                                 const KernelTable& kernels,
                                                 const puna_layers_request& request,
                                                 TensorData data) {
    const BackendLimits limits = limits_of(kernels);
    PUNA_TRY(check_layers_request(limits, request));
    auto set = std::make_unique<LayerSet>();
    set->services = &services;
    set->kernels = &kernels;
    set->limits = limits;
    set->spec = *request.spec;
    set->norm = kernels.norm[request.spec->norm].run;
    set->activation = kernels.activation[request.spec->activation].run;
    set->rope = kernels.rope[request.spec->rope].run;
    set->first_layer = request.first_layer;
    set->has_embedding = request.has_embedding != 0;
    set->has_head = request.has_head != 0;
    set->layers.resize(static_cast<size_t>(request.n_layers));
    TensorsCheck check(request);
    const auto take = [&](const puna_tensor& tensor) -> Status {
        PUNA_TRY(check.add(tensor, data));
        return add_tensor(*set, tensor);
    };
    PUNA_TRY(for_each_tensor(request, take));
    PUNA_TRY(check.check_complete());
    return set;
}

}  // namespace puna::core
