// Which models the CPU backend carries out.
#pragma once

#include "base/status.h"
#include "cpu/kernel_table.h"
#include "puna/puna_backend.h"

namespace puna::core {

// PUNA_ERROR_MODEL_UNSUPPORTED with the name of the field for what this backend does not do;
// PUNA_ERROR_ARGUMENT for what is no model at all.
Status check_spec(const puna_model_spec& spec, const KernelTable& kernels);

}  // namespace puna::core
