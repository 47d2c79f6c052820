/* A guest's smallest use of the installed library: its version, and a runtime made and freed. */
#include <puna/puna.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
    puna_error error = PUNA_ERROR_INIT;
    puna_runtime* runtime = NULL;
    if (argc != 2 || strcmp(puna_version(), argv[1]) != 0) return 1;
    if (puna_abi_version() != PUNA_ABI_VERSION) return 2;
    if (puna_runtime_create(NULL, &runtime, &error) != PUNA_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 3;
    }
    puna_runtime_destroy(runtime);
    return 0;
}
