/* A library that is no backend. */
#include "puna/puna_backend.h"

PUNA_BACKEND_EXPORT int no_entry_value(void);

int no_entry_value(void) {
    return 1;
}
