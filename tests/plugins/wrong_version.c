/* A backend of another version, that does not look at what is asked for. */
#include "puna/puna_backend.h"

PUNA_BACKEND_EXPORT const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version);

static const puna_backend_api kTable = {.struct_size = sizeof kTable,
                                        .api_version = PUNA_BACKEND_API_VERSION + 1};

const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version) {
    (void)api_version;
    return &kTable;
}
