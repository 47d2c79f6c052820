#include <windows.h>

#include <cstdio>

#include "base/os_error.h"

namespace puna::core {

int64_t last_os_error() {
    return GetLastError();
}

OsErrorText os_error_text(int64_t error) {
    const DWORD code = static_cast<DWORD>(error);
    wchar_t wide[256];
    const DWORD flags =
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    DWORD n = FormatMessageW(flags, nullptr, code, 0, wide, 255, nullptr);
    while (n > 0 && (wide[n - 1] == L' ' || wide[n - 1] == L'.')) --n;
    wide[n] = L'\0';

    char utf8[256 * 3] = "";  // a UTF-16 unit becomes at most three bytes
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, sizeof utf8, nullptr, nullptr);
    OsErrorText out;
    std::snprintf(out.text, sizeof out.text, "%.140s (%lu)", n > 0 ? utf8 : "unknown error", code);
    return out;
}

}  // namespace puna::core
