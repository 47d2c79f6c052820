/* A backend that serves no version that is asked for. */
#include "puna/puna_backend.h"

PUNA_BACKEND_EXPORT const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version);

const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version) {
    (void)api_version;
    return NULL;
}
