#include "cuda/layer_set.h"

#include "cuda/upload.h"

namespace puna::cuda {

namespace {

uint64_t upload_bytes(const LayersPlan& plan) {
    uint64_t bytes = plan.rope_bytes;
    for (const PlannedTensor& planned : plan.tensors) {
        if (!planned.is_shared) bytes += planned.tensor.size_bytes;
    }
    return bytes;
}

}  // namespace

Result<std::unique_ptr<LayerSet>> LayerSet::load(const puna_host_services& services, Device& device,
                                                 const puna_layers_request& request) {
    PUNA_TRY_ASSIGN(LayersPlan plan, plan_layers(services, request, core::TensorData::kPresent));
    std::unique_ptr<LayerSet> set(new LayerSet(services, device));
    PUNA_TRY_ASSIGN(set->memory_, allocate_device(device, plan.device_bytes, "weights"));
    PUNA_TRY_ASSIGN(Upload upload, Upload::create(device, request, upload_bytes(plan)));
    set->weights_ = std::move(plan.weights);
    uint8_t* block = set->memory_.data();
    if (plan.rope_bytes > 0) {
        PUNA_TRY(
            upload.copy(block + plan.rope_offset, request.spec->rope_frequencies, plan.rope_bytes));
        set->weights_.rope_frequencies = reinterpret_cast<const double*>(block + plan.rope_offset);
    }
    for (const PlannedTensor& planned : plan.tensors) {
        place_tensor(planned, block, set->weights_);
        if (planned.is_shared) continue;
        PUNA_TRY(
            upload.copy(block + planned.offset, planned.tensor.data, planned.tensor.size_bytes));
    }
    PUNA_TRY(upload.finish());
    set->formats_ = std::move(plan.formats);
    return set;
}

}  // namespace puna::cuda
