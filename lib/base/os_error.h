// What the operating system says about a failure.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace puna::core {

struct OsErrorText {
    char text[160];
};

// errno, or GetLastError() on Windows, of this thread's last failed call.
int64_t last_os_error();
// Its description in UTF-8, with the number: "No such file or directory (2)".
OsErrorText os_error_text(int64_t error);

// IO: "cannot <verb>: ", and what the system says of this thread's last failed call.
inline Status io_error(const char* verb) {
    return make_status(PUNA_ERROR_IO, "cannot %s: %s", verb, os_error_text(last_os_error()).text);
}
// The same with "<path>: " before it.
inline Status io_error(const std::string& path, const char* verb) {
    return io_error(verb).within(path.c_str());
}

}  // namespace puna::core
