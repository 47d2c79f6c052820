// Permission to use the AMX tile registers.
#pragma once

#include "base/status.h"

namespace puna::core {

// Their state is large, so the operating system hands it out on request, once per process and for
// all its threads. Call it before the first tile instruction, also more than once. Fails with
// PUNA_ERROR_UNSUPPORTED where the system does not grant it: choose another kernel set then.
Status request_amx_permission();

}  // namespace puna::core
