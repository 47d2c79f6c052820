// Whether a batch is one that an executor can take up.
#pragma once

#include "base/status.h"
#include "cpu/layer_set.h"
#include "puna/puna_backend.h"

namespace puna::core {

// Everything that a kernel relies on. PUNA_ERROR_ARGUMENT names the row, view or output.
Status check_batch(const LayerSet& layers, const puna_executor_options& options,
                   const puna_batch& batch);

}  // namespace puna::core
