// Whether a request for layers is one that a backend can carry out. Reads no tensor data.
#pragma once

#include <cstdint>
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
    // PUNA_ERROR_MODEL: another shape than the spec's, or given twice. PUNA_ERROR_MODEL_UNSUPPORTED: an
    // unknown role, a norm or bias that is not F32. PUNA_ERROR_ARGUMENT: not of these layers, without data.
    Status add(const puna_tensor& tensor, TensorData data);
    // Behind the last one. PUNA_ERROR_MODEL names what is missing.
    Status check_complete() const;

  private:
    const LayerRange layers_;
    std::vector<bool> seen_;  // by layer and role; roles without a layer are with the first
};

// The tensors of a checked request: fn(tensor), a Status, for each until one fails.
template <class Fn>
Status for_each_tensor(const puna_layers_request& request, const Fn& fn) {
    const auto* tensor = reinterpret_cast<const uint8_t*>(request.tensors);
    for (int32_t i = 0; i < request.n_tensors; ++i, tensor += request.tensors->struct_size) {
        PUNA_TRY(fn(*reinterpret_cast<const puna_tensor*>(tensor)));
    }
    return {};
}

// One block of a format; both are 1 or more.
struct BlockSize {
    int64_t n_elements;
    int64_t n_bytes;
};
// The bytes of one row of a tensor whose shape was checked. PUNA_ERROR_MODEL: a row is no whole number
// of blocks, or size_bytes is not what all rows take.
Result<int64_t> check_row_bytes(const puna_tensor& tensor, const BlockSize& block);

}  // namespace puna::core
