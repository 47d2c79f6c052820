#include <windows.h>

#include "base/amx_permission.h"

namespace puna::core {

Status request_amx_permission() {
    // Windows 11 and Server 2022 on, so looked up at run time.
    using Enable = BOOL(WINAPI*)(DWORD64);
    constexpr DWORD64 kXstateAmxTileData = DWORD64{1} << 18;
    const FARPROC found =
        GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "EnableProcessOptionalXStateFeatures");
    const auto enable = reinterpret_cast<Enable>(reinterpret_cast<void*>(found));
    if (enable && enable(kXstateAmxTileData)) return Status();
    return make_status(PUNA_ERROR_UNSUPPORTED, "Windows does not grant AMX tile registers");
}

}  // namespace puna::core
