#include "runtime/part_plan.h"

#include <algorithm>

namespace puna::core {

Result<std::vector<PartPlan>> plan_parts(BackendRegistry& backends, int32_t n_layer,
                                         int32_t n_gpu_layers, int32_t gpu_device) {
    if (n_gpu_layers < 0) n_gpu_layers = n_layer;
    n_gpu_layers = std::min(n_gpu_layers, n_layer);
    const int32_t n_cpu_layers = n_layer - n_gpu_layers;
    std::vector<PartPlan> plan;
    if (n_cpu_layers > 0) {
        PUNA_TRY_ASSIGN(const Device cpu, backends.device(0));
        plan.push_back({cpu, 0, 0, n_cpu_layers, true, n_gpu_layers == 0});
    }
    if (n_gpu_layers > 0) {
        int32_t number = gpu_device;
        if (number == 0) {
            PUNA_TRY_ASSIGN(number, backends.first_gpu());
        }
        PUNA_TRY_ASSIGN(const Device gpu, backends.device(number));
        if (!gpu.is_gpu) {
            return make_status(PUNA_ERROR_ARGUMENT, "gpu_device %d is no GPU",
                               static_cast<int>(number));
        }
        plan.push_back({gpu, number, n_cpu_layers, n_gpu_layers, n_cpu_layers == 0, true});
    }
    return plan;
}

std::vector<puna_tensor> tensors_of(const LoadedModel& model, const PartPlan& plan) {
    std::vector<puna_tensor> tensors;
    for (const puna_tensor& tensor : model.tensors) {
        bool wanted =
            tensor.layer >= plan.first_layer && tensor.layer < plan.first_layer + plan.n_layers;
        if (tensor.layer < 0) {
            wanted = tensor.role == PUNA_TENSOR_TOKEN_EMBD ? plan.has_embedding : plan.has_head;
        }
        if (wanted) tensors.push_back(tensor);
    }
    return tensors;
}

puna_layers_request layers_request(const LoadedModel& model, const PartPlan& plan,
                                   const std::vector<puna_tensor>& tensors,
                                   int32_t weights_layout) {
    puna_layers_request request = {};
    request.struct_size = sizeof request;
    request.device = plan.device.index;
    request.first_layer = plan.first_layer;
    request.n_layers = plan.n_layers;
    request.has_embedding = plan.has_embedding ? 1 : 0;
    request.has_head = plan.has_head ? 1 : 0;
    request.weights_layout = weights_layout;
    request.n_tensors = static_cast<int32_t>(tensors.size());
    request.spec = &model.spec;
    request.tensors = tensors.data();
    return request;
}

}  // namespace puna::core
