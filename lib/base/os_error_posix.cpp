#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/os_error.h"

namespace puna::core {
namespace {

// strerror_r has two forms: POSIX fills the buffer and returns an int, GNU returns the text.
[[maybe_unused]] const char* chosen_text(int result, const char* buffer) {
    return result == 0 ? buffer : "unknown error";
}
[[maybe_unused]] const char* chosen_text(const char* result, const char*) {
    return result;
}

}  // namespace

int64_t last_os_error() {
    return errno;
}

OsErrorText os_error_text(int64_t error) {
    const int code = static_cast<int>(error);
    char buffer[128] = "";
    const char* text = chosen_text(strerror_r(code, buffer, sizeof buffer), buffer);
    OsErrorText out;
    std::snprintf(out.text, sizeof out.text, "%s (%d)", text, code);
    return out;
}

}  // namespace puna::core
