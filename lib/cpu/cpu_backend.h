// The CPU backend, registered through the same table as a plugin.
#pragma once

#include "puna/puna_backend.h"

namespace puna::core {

const puna_backend_api* cpu_backend_api();

}  // namespace puna::core
