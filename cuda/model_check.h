// Which models this backend carries out.
#pragma once

#include "cuda/devices.h"

namespace puna::cuda {

// MODEL_UNSUPPORTED with the name of the field for what this backend does not do; ARGUMENT for what is no
// model at all.
Status check_spec(const puna_model_spec& spec);

}  // namespace puna::cuda
