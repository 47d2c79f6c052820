#include "base/amx_permission.h"

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

#include "base/os_error.h"
#endif

namespace puna::core {

Status request_amx_permission() {
#if defined(__linux__) && defined(__x86_64__)
    constexpr long kArchReqXcompPerm = 0x1023;  // ARCH_REQ_XCOMP_PERM of Linux 5.16
    constexpr long kXfeatureXtiledata = 18;
    if (syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0) return Status();
    return make_status(PUNA_ERROR_UNSUPPORTED, "the kernel does not grant AMX tile registers: %s",
                       os_error_text(last_os_error()).text);
#else
    return make_status(PUNA_ERROR_UNSUPPORTED, "AMX is not supported on this system");
#endif
}

}  // namespace puna::core
