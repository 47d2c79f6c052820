// What the operating system says about a failure.
#pragma once

#include <cstdint>

namespace puna::core {

struct OsErrorText {
    char text[160];
};

// errno, or GetLastError() on Windows, of this thread's last failed call.
int64_t last_os_error();
// Its description in UTF-8, with the number: "No such file or directory (2)".
OsErrorText os_error_text(int64_t error);

}  // namespace puna::core
