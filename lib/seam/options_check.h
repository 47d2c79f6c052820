// Which executors a backend makes.
#pragma once

#include "base/status.h"
#include "seam/backend_limits.h"

namespace puna::core {

// PUNA_ERROR_ARGUMENT names the option; PUNA_ERROR_UNSUPPORTED for what the backend does not do.
Status check_options(const BackendLimits& limits, const puna_executor_options& options);

}  // namespace puna::core
