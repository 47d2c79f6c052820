#include "base/error.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace puna::core {

puna_status fill_error(puna_error* error, const Status& status) {
    if (error == nullptr) return status.code();
    size_t size = error->struct_size == 0 ? sizeof(puna_error) : error->struct_size;
    size = std::min(size, sizeof(puna_error));
    constexpr size_t kText = offsetof(puna_error, message);
    if (size >= kText) error->status = status.code();
    if (size <= kText) return status.code();
    const size_t length = std::min(std::strlen(status.text()), size - kText - 1);
    std::memcpy(error->message, status.text(), length);
    error->message[length] = '\0';
    return status.code();
}

Status status_from(puna_status code, const puna_error& error) {
    if (code == PUNA_OK) return {};
    const auto* end = std::find(error.message, error.message + sizeof error.message, '\0');
    const int length = static_cast<int>(end - error.message);
    return make_status(code, "%.*s", length, error.message);
}

Status null_argument(const char* name) {
    return make_status(PUNA_ERROR_ARGUMENT, "%s is NULL", name);
}

}  // namespace puna::core
