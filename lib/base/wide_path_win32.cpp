#include "base/wide_path.h"

#include <windows.h>

#include "base/file_reader.h"
#include "base/os_error.h"

namespace puna::core {

Result<std::wstring> wide_text(const std::string& utf8) {
    PUNA_TRY(check_path(utf8));
    constexpr size_t kLongestPath = 32767;  // UTF-16 units, of at most three bytes each
    if (utf8.size() > kLongestPath * 3) {
        return make_status(PUNA_ERROR_ARGUMENT, "%.80s...: the path is too long", utf8.c_str());
    }
    const int n_bytes = static_cast<int>(utf8.size());
    const DWORD flags = MB_ERR_INVALID_CHARS;
    const int n = MultiByteToWideChar(CP_UTF8, flags, utf8.data(), n_bytes, nullptr, 0);
    if (n <= 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "%s: the path is not UTF-8", utf8.c_str());
    }
    std::wstring text(static_cast<size_t>(n), L'\0');
    MultiByteToWideChar(CP_UTF8, flags, utf8.data(), n_bytes, text.data(), n);
    return text;
}

Result<std::wstring> wide_path(const std::string& utf8) {
    PUNA_TRY_ASSIGN(const std::wstring path, wide_text(utf8));
    std::wstring full;
    DWORD n = GetFullPathNameW(path.c_str(), 0, nullptr, nullptr);  // with the NUL
    if (n > 0) {
        full.resize(n);
        n = GetFullPathNameW(path.c_str(), n, full.data(), nullptr);
    }
    if (n == 0 || n >= full.size()) {  // the second: another thread changed the working folder
        return make_status(PUNA_ERROR_IO, "%s: not a path: %s", utf8.c_str(),
                           os_error_text(last_os_error()).text);
    }
    full.resize(n);
    if (n < MAX_PATH || full.starts_with(L"\\\\?\\") || full.starts_with(L"\\\\.\\")) return full;
    if (full.starts_with(L"\\\\")) return L"\\\\?\\UNC" + full.substr(1);
    return L"\\\\?\\" + full;
}

std::string narrow_text(std::wstring_view text) {
    const int n_units = static_cast<int>(text.size());
    const int n =
        WideCharToMultiByte(CP_UTF8, 0, text.data(), n_units, nullptr, 0, nullptr, nullptr);
    std::string utf8(n > 0 ? static_cast<size_t>(n) : 0, '\0');
    WideCharToMultiByte(CP_UTF8, 0, text.data(), n_units, utf8.data(), n, nullptr, nullptr);
    return utf8;
}

}  // namespace puna::core
