/* A backend whose table ends too early to say more than its version. */
#include "puna/puna_backend.h"

PUNA_BACKEND_EXPORT const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version);

static const puna_backend_api kTable = {.struct_size = 2 * sizeof(uint32_t),
                                        .api_version = PUNA_BACKEND_API_VERSION};

const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version) {
    (void)api_version;
    return &kTable;
}
