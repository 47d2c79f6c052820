// Which layers of a model go to which device.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend_registry.h"
#include "model/model_loader.h"

namespace puna::core {

struct PartPlan {
    Device device;
    int32_t device_number = 0;
    int32_t first_layer = 0;
    int32_t n_layers = 0;
    bool has_embedding = false;
    bool has_head = false;
};

// One part on the CPU, or the first layers there and the last ones, with the head, on a GPU; with
// all layers on the GPU the embedding is there too. PUNA_ERROR_NO_DEVICE when layers are asked for
// and there is no GPU.
Result<std::vector<PartPlan>> plan_parts(BackendRegistry& backends, int32_t n_layer,
                                         int32_t n_gpu_layers, int32_t gpu_device);

// Copies of the tensors that a part holds.
std::vector<puna_tensor> tensors_of(const LoadedModel& model, const PartPlan& plan);

// Everything of the request but the owner and the progress. `tensors` outlives it.
puna_layers_request layers_request(const LoadedModel& model, const PartPlan& plan,
                                   const std::vector<puna_tensor>& tensors, int32_t weights_layout);

}  // namespace puna::core
