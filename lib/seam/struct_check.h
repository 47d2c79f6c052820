// Whether a struct of puna_backend.h that came in is there and of this version.
#pragma once

#include "base/error.h"

namespace puna::core {

// PUNA_ERROR_ARGUMENT.
template <class Struct>
Status check_struct(const Struct* value, const char* name) {
    if (!value) return null_argument(name);
    if (value->struct_size >= sizeof(Struct)) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "%s: struct_size is %u, must be %zu", name,
                       value->struct_size, sizeof(Struct));
}

}  // namespace puna::core
