#include <windows.h>

#include <cstdlib>
#include <filesystem>

#include "environment.h"
#include "files.h"

namespace cli {

std::string environment_variable(const char* name) {
    const wchar_t* const value = _wgetenv(native_path(name).c_str());
    if (value == nullptr) return "";
    // As it is: utf8_path() would take one of the slashes of "http://".
    const std::u8string text = std::filesystem::path(value).u8string();
    return {text.begin(), text.end()};
}

std::string program_path() {
    std::wstring path(MAX_PATH, L'\0');
    for (;;) {
        const DWORD size =
            GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size()));
        if (size < path.size()) return utf8_path(path.substr(0, size));
        path.resize(path.size() * 2);
    }
}

}  // namespace cli
