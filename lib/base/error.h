// Between Status and the caller-owned puna_error of the C interfaces.
#pragma once

#include "base/status.h"

namespace puna::core {

// Writes what fits into `error`, which may be null, and returns the code. A struct_size of 0 counts
// as the first version's size.
puna_status fill_error(puna_error* error, const Status& status);

// The failure that a C function reported by its code and `error`.
Status status_from(puna_status code, const puna_error& error);

}  // namespace puna::core
