// Between Status and the caller-owned puna_error of the C interfaces, puna.h and puna_backend.h.
#pragma once

#include <new>

#include "base/status.h"

namespace puna::core {

// Writes what fits into `error`, which may be null, and returns the code. A struct_size of 0 counts
// as the first version's size.
puna_status fill_error(puna_error* error, const Status& status);

// The failure that a C function reported by its code and `error`.
Status status_from(puna_status code, const puna_error& error);

// Runs the body of a C function, which returns a Status; no exception leaves it.
template <class Body>
puna_status guarded(puna_error* error, Body&& body) {
    try {
        return fill_error(error, body());
    } catch (const std::bad_alloc&) {
        return fill_error(error, make_status(PUNA_ERROR_OUT_OF_MEMORY, "out of memory"));
    } catch (...) {
        return fill_error(error, make_status(PUNA_ERROR_INTERNAL, "unexpected exception"));
    }
}

// The refusal of a NULL argument. PUNA_ERROR_ARGUMENT.
Status null_argument(const char* name);

}  // namespace puna::core
