// The weights of a range of layers on one device.
#pragma once

#include <memory>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/layers_plan.h"

namespace puna::cuda {

// What load_layers makes: immutable, read from any thread. The device is the current one when it is made
// and destroyed.
class LayerSet {
  public:
    // Copies the tensors to the device and does not take the owner: nothing of the host's is read after
    // this. `services` and `device` outlive the layer set.
    static Result<std::unique_ptr<LayerSet>> load(const puna_host_services& services,
                                                  Device& device,
                                                  const puna_layers_request& request);

    const puna_host_services& services() const { return services_; }
    Device& device() const { return device_; }
    const Weights& weights() const { return weights_; }
    const std::vector<puna_layers_format>& formats() const { return formats_; }
    uint64_t device_bytes() const { return memory_.size(); }
    int32_t n_layers() const { return static_cast<int32_t>(weights_.layers.size()); }

  private:
    LayerSet(const puna_host_services& services, Device& device)
        : services_(services), device_(device) {}

    const puna_host_services& services_;
    Device& device_;
    Weights weights_;
    std::vector<puna_layers_format> formats_;
    DeviceMemory memory_;
};

}  // namespace puna::cuda
