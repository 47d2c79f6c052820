/* Prints the kernel set that a runtime chooses on this processor. */
#include <puna/puna.h>
#include <stdio.h>

int main(void) {
    puna_runtime* runtime = NULL;
    puna_device_info cpu = PUNA_DEVICE_INFO_INIT;
    if (puna_runtime_create(NULL, &runtime, NULL) != PUNA_OK) return 1;
    if (puna_runtime_device(runtime, 0, &cpu, NULL) != PUNA_OK) return 1;
    puts(cpu.kernels);
    puna_runtime_destroy(runtime);
    return 0;
}
