// A request for layers, checked, and how its tensors will lie in one block of device memory. Made from
// shapes and formats alone.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/devices.h"
#include "cuda/forward.h"
#include "seam/layers_check.h"

namespace puna::cuda {

struct PlannedTensor {
    puna_tensor tensor;
    int64_t row_bytes = 0;
    uint64_t offset = 0;     // in the block
    bool is_shared = false;  // lies there already: an OUTPUT that is TOKEN_EMBD
};

struct LayersPlan {
    Weights weights;  // everything but pointers
    std::vector<PlannedTensor> tensors;
    uint64_t rope_offset = 0;  // of the frequencies
    uint64_t rope_bytes = 0;
    uint64_t device_bytes = 0;
    std::vector<puna_layers_format> formats;  // by ascending number
};

Result<LayersPlan> plan_layers(const puna_host_services& services,
                               const puna_layers_request& request, core::TensorData data);

// Sets the pointers of a planned tensor to where it lies now.
void place_tensor(const PlannedTensor& planned, const uint8_t* block, Weights& weights);

}  // namespace puna::cuda
