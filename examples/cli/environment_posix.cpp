#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "environment.h"

namespace cli {

std::string environment_variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

// With symbolic links resolved: what belongs to the program lies beside the file itself.
std::string program_path() {
    std::error_code error;
#ifdef __APPLE__
    uint32_t size = 0;
    _NSGetExecutablePath(nullptr, &size);
    std::string path(size, '\0');
    if (_NSGetExecutablePath(path.data(), &size) != 0) return "";
    return std::filesystem::canonical(path.c_str(), error).string();
#else
    return std::filesystem::read_symlink("/proc/self/exe", error).string();
#endif
}

}  // namespace cli
