#include <windows.h>

#include "base/process.h"

namespace puna::core {

int64_t current_process_id() {
    return GetCurrentProcessId();
}

}  // namespace puna::core
