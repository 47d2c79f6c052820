#include "base/status.h"

#include "base/text_line.h"

namespace puna::core {

Status make_status_v(puna_status code, const char* format, va_list args) {
    Status status;
    status.code_ = code;
    format_line(status.text_, sizeof status.text_, format, args);
    return status;
}

Status make_status(puna_status code, const char* format, ...) {
    va_list args;
    va_start(args, format);
    Status status = make_status_v(code, format, args);
    va_end(args);
    return status;
}

Status Status::within(const char* context) const {
    return ok() ? Status() : make_status(code_, "%s: %s", context, text_);
}

}  // namespace puna::core
