#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/file_reader.h"
#include "base/os_error.h"
#include "base/shared_library.h"

namespace puna::core {
namespace {

#if defined(__linux__)

// Whether a line "first-last ...", in hexadecimal, of /proc/self/maps covers the address.
bool covers(std::string_view line, uintptr_t address) {
    uintptr_t first = 0;
    uintptr_t last = 0;
    const char* end = line.data() + line.size();
    const auto dash = std::from_chars(line.data(), end, first, 16);
    if (dash.ec != std::errc() || dash.ptr == end || *dash.ptr != '-') return false;
    if (std::from_chars(dash.ptr + 1, end, last, 16).ec != std::errc()) return false;
    return first <= address && address < last;
}

// dladdr gives the name a module was loaded by, which may be relative to a working folder that has
// changed since, or a program's argv[0]. The kernel's list of mappings has the absolute path.
Result<std::string> mapped_path_of(const void* address) {
    PUNA_TRY_ASSIGN(const std::string maps, read_text_file("/proc/self/maps", size_t{64} << 20));
    for (size_t begin = 0; begin < maps.size();) {
        const size_t end = std::min(maps.find('\n', begin), maps.size());
        const std::string_view line = std::string_view(maps).substr(begin, end - begin);
        const size_t path = line.find('/');
        if (path != std::string_view::npos && covers(line, reinterpret_cast<uintptr_t>(address))) {
            return std::string(line.substr(path));
        }
        begin = end + 1;
    }
    return make_status(PUNA_ERROR_NOT_FOUND, "/proc/self/maps does not name our own module");
}

#else

Result<std::string> mapped_path_of(const void*) {
    return make_status(PUNA_ERROR_NOT_FOUND, "the path of our own module is relative");
}

#endif

}  // namespace

Result<SharedLibrary> SharedLibrary::open(const std::string& path) {
    PUNA_TRY(check_path(path));
    SharedLibrary library;
    library.handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library.handle_) {
        const char* reason = dlerror();
        return make_status(PUNA_ERROR_IO, "%s: cannot load: %s", path.c_str(),
                           reason ? reason : "no reason given");
    }
    return library;
}

SharedLibrary::~SharedLibrary() {
    if (handle_) dlclose(handle_);
}

void* SharedLibrary::symbol(const char* name) const {
    return handle_ ? dlsym(handle_, name) : nullptr;
}

Result<std::string> own_directory() {
    static const char kHere = 0;
    Dl_info info;
    std::string path;
    if (dladdr(&kHere, &info) != 0 && info.dli_fname) path = info.dli_fname;
    if (!path.starts_with('/')) {
        PUNA_TRY_ASSIGN(path, mapped_path_of(&kHere));
    }
    // A library reached through a link has its plugins next to the real file.
    const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (!real) {
        return make_status(PUNA_ERROR_IO, "%s: cannot resolve: %s", path.c_str(),
                           os_error_text(last_os_error()).text);
    }
    path = real.get();
    path.resize(std::max<size_t>(path.rfind('/'), 1));
    return path;
}

}  // namespace puna::core
