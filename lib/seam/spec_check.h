// Which models a backend carries out.
#pragma once

#include "base/status.h"
#include "seam/backend_limits.h"

namespace puna::core {

// PUNA_ERROR_MODEL_UNSUPPORTED with the name of the field for what the backend does not do;
// PUNA_ERROR_ARGUMENT for what is no model at all.
Status check_spec(const BackendLimits& limits, const puna_model_spec& spec);

}  // namespace puna::core
