// The second version of psapi.h is in kernel32, which everything links to.
#define PSAPI_VERSION 2
#include <windows.h>
// psapi.h stands on windows.h
#include <psapi.h>

#include "process_memory.h"

namespace cli {

uint64_t peak_resident_bytes() {
    PROCESS_MEMORY_COUNTERS counters = {};
    const BOOL ok = GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters);
    return ok != 0 ? counters.PeakWorkingSetSize : 0;
}

uint64_t available_memory() {
    MEMORYSTATUSEX status = {};
    status.dwLength = sizeof status;
    return GlobalMemoryStatusEx(&status) != 0 ? status.ullAvailPhys : 0;
}

// Windows has them only for those with a privilege.
void advise_large_pages(void*, size_t) {}

}  // namespace cli
