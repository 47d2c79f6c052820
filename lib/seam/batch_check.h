// Whether a batch is one that an executor can take up.
#pragma once

#include "base/status.h"
#include "seam/backend_limits.h"
#include "seam/layer_range.h"

namespace puna::core {

// Everything that a kernel relies on: a device answers a bad index with a fault that ends its use.
// PUNA_ERROR_ARGUMENT names the row, view or output; PUNA_ERROR_UNSUPPORTED for what the backend does
// not do.
Status check_batch(const BackendLimits& limits, const LayerRange& layers,
                   const puna_executor_options& options, const puna_batch& batch);

}  // namespace puna::core
