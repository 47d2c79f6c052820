#include <windows.h>

#include "base/os_error.h"
#include "base/shared_library.h"
#include "base/wide_path.h"

namespace puna::core {

Result<SharedLibrary> SharedLibrary::open(const std::string& path) {
    SharedLibrary library;
    if (path.find_first_of("/\\") == std::string::npos) {
        // A bare name must stay bare, or it would not be searched. Never in the working folder.
        PUNA_TRY_ASSIGN(const std::wstring name, wide_text(path));
        library.handle_ = LoadLibraryExW(name.c_str(), nullptr, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
    } else {
        PUNA_TRY_ASSIGN(const std::wstring wide, wide_path(path));
        // What the plugin needs is searched next to it first.
        library.handle_ = LoadLibraryExW(wide.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
    }
    if (!library.handle_) {
        return make_status(PUNA_ERROR_IO, "%s: cannot load: %s", path.c_str(),
                           os_error_text(last_os_error()).text);
    }
    return library;
}

SharedLibrary::~SharedLibrary() {
    if (handle_) FreeLibrary(static_cast<HMODULE>(handle_));
}

void* SharedLibrary::symbol(const char* name) const {
    if (!handle_) return nullptr;
    return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name));
}

Result<std::string> own_directory() {
    static const char kHere = 0;
    const DWORD flags =
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    HMODULE module = nullptr;
    std::wstring path(32768, L'\0');  // the longest path there is
    DWORD n = 0;
    if (GetModuleHandleExW(flags, reinterpret_cast<const wchar_t*>(&kHere), &module)) {
        n = GetModuleFileNameW(module, path.data(), static_cast<DWORD>(path.size()));
    }
    if (n == 0) {
        return make_status(PUNA_ERROR_IO, "cannot find the path of our own module: %s",
                           os_error_text(last_os_error()).text);
    }
    path.resize(n);
    size_t end = path.find_last_of(L"\\/");
    if (end == std::wstring::npos) {
        return make_status(PUNA_ERROR_NOT_FOUND, "the path of our own module has no folder");
    }
    if (end > 0 && path[end - 1] == L':') ++end;  // "C:\"
    return narrow_text(std::wstring_view(path).substr(0, end));
}

}  // namespace puna::core
