// Whether a request for layers is one that a backend can carry out. Reads no tensor data.
#pragma once

#include <vector>

#include "base/status.h"
#include "seam/backend_limits.h"
#include "seam/layer_range.h"

namespace puna::core {

enum class TensorData { kPresent, kAbsent };  // absent: an estimate

// "(unnamed)" where there is none.
const char* name_of(const puna_tensor& tensor);

// The spec, the range and the array of tensors: afterwards there is a tensor at least for each layer, so
// that memory can be taken by their number. PUNA_ERROR_ARGUMENT, or unsupported with the field's name.
Status check_layers_request(const BackendLimits& limits, const puna_layers_request& request);

// The tensors of a checked request, one after the other. The spec outlives this.
class TensorsCheck {
  public:
    explicit TensorsCheck(const puna_layers_request& request);

    // Role, place, shape, and the format of norms and biases; that of matrices is the backend's to check.
    Status add(const puna_tensor& tensor, TensorData data);
    // Behind the last one.
    Status check_complete() const;

  private:
    const LayerRange layers_;
    std::vector<bool> seen_;  // by layer and role; roles without a layer are with the first
};

// `row_bytes`: of one row of the tensor, in its format. PUNA_ERROR_ARGUMENT.
Status check_size(const puna_tensor& tensor, uint64_t row_bytes);

}  // namespace puna::core
