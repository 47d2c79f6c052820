#include "cuda/layers_plan.h"

#include <algorithm>
#include <cstdio>

#include "base/checked.h"
#include "cuda/backend_limits.h"
#include "cuda/device_memory.h"
#include "seam/tensor_role.h"

namespace puna::cuda {

namespace {

using core::checked_add;
using core::checked_align_up;
using core::name_of;
using core::tensor_role;

// The bytes of one row.
Result<int64_t> check_format(const puna_host_services& services, const puna_tensor& tensor) {
    if (tensor_role(tensor.role).is_matrix && !format_supported(tensor.format)) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d is not supported by the CUDA backend",
                           name_of(tensor), tensor.format);
    }
    int32_t block_length = 0;
    int32_t block_bytes = 0;
    puna_error error = PUNA_ERROR_INIT;
    if (services.block_size(services.host, tensor.format, &block_length, &block_bytes, &error) !=
            PUNA_OK ||
        block_length < 1 || block_bytes < 1) {
        return make_status(PUNA_ERROR_MODEL_UNSUPPORTED,
                           "tensor %s: block format %d is not known to the host", name_of(tensor),
                           tensor.format);
    }
    return core::check_row_bytes(tensor, {block_length, block_bytes});
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

// A checked tensor.
Status add_tensor(LayersPlan& plan, const puna_host_services& services, const puna_tensor& tensor) {
    PlannedTensor planned = {tensor};
    PUNA_TRY_ASSIGN(planned.row_bytes, check_format(services, tensor));
    planned.is_shared =
        tensor.role == PUNA_TENSOR_OUTPUT && tensor.is_tied && plan.weights.has_embedding;
    if (!planned.is_shared) {
        PUNA_TRY(take_bytes(plan, tensor.size_bytes, &planned.offset));
        if (tensor_role(tensor.role).is_matrix) count_format(plan, tensor);
    }
    plan.tensors.push_back(planned);
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
                               const puna_layers_request& request, core::TensorData data) {
    PUNA_TRY(check_layers_request(kLimits, request));
    LayersPlan plan;
    plan.weights.spec = *request.spec;
    plan.weights.first_layer = request.first_layer;
    plan.weights.has_embedding = request.has_embedding != 0;
    plan.weights.has_head = request.has_head != 0;
    plan.weights.layers.resize(static_cast<size_t>(request.n_layers));
    plan.tensors.reserve(static_cast<size_t>(request.n_tensors));
    core::TensorsCheck check(request);
    const auto take = [&](const puna_tensor& tensor) -> Status {
        PUNA_TRY(check.add(tensor, data));
        return add_tensor(plan, services, tensor);
    };
    PUNA_TRY(core::for_each_tensor(request, take));
    PUNA_TRY(check.check_complete());
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
    const auto slot = core::tensor_slot(weights, tensor);
    if (slot.matrix) {
        *slot.matrix = {data, tensor.rows, tensor.columns, planned.row_bytes, tensor.format};
    } else {
        *slot.vector = reinterpret_cast<const float*>(data);
    }
}

}  // namespace puna::cuda
