#include "capi/guard.h"

namespace puna::core {

Status check_struct_size(uint32_t size, const char* name) {
    if (size >= sizeof(uint32_t)) return {};
    return make_status(PUNA_ERROR_ARGUMENT,
                       "%s: struct_size is %u: set it with the PUNA_..._INIT macro or the _init "
                       "function",
                       name, size);
}

Status check_unknown_fields(const unsigned char* tail, size_t size, const char* name) {
    for (size_t i = 0; i < size; ++i) {
        if (tail[i] == 0) continue;
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "%s: a field is set that this library (puna %s) does not know", name,
                           puna_version());
    }
    return {};
}

puna_status init_struct(void* options, size_t size) {
    if (options == nullptr || size < sizeof(uint32_t) || size > UINT32_MAX) {
        return PUNA_ERROR_ARGUMENT;
    }
    std::memset(options, 0, size);
    const auto struct_size = static_cast<uint32_t>(size);
    std::memcpy(options, &struct_size, sizeof struct_size);
    return PUNA_OK;
}

Result<std::string_view> read_text(const char* text, size_t size, const char* name) {
    if (text == nullptr) {
        if (size == 0) return std::string_view();
        return null_argument(name);
    }
    if (size > SIZE_MAX / 2) size = std::strlen(text);
    return std::string_view(text, size);
}

Status write_text(std::string_view text, char* buffer, size_t capacity, size_t* needed) {
    if (needed != nullptr) *needed = text.size();
    if (buffer == nullptr && capacity == 0) return {};
    PUNA_REQUIRE(buffer);
    if (capacity <= text.size()) {
        return make_status(PUNA_ERROR_BUFFER, "capacity is %zu, the text and its NUL need %zu",
                           capacity, text.size() + 1);
    }
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    return {};
}

Status write_tokens(const int32_t* tokens, size_t n_tokens, int32_t* buffer, int32_t capacity,
                    int32_t* n_written) {
    if (n_tokens > INT32_MAX) {
        return make_status(PUNA_ERROR_ARGUMENT, "%zu tokens are more than a call can give",
                           n_tokens);
    }
    if (n_written != nullptr) *n_written = static_cast<int32_t>(n_tokens);
    if (buffer == nullptr && capacity == 0) return {};
    PUNA_REQUIRE(buffer);
    if (capacity < 0 || static_cast<size_t>(capacity) < n_tokens) {
        return make_status(PUNA_ERROR_BUFFER, "capacity is %d tokens, %zu are needed",
                           static_cast<int>(capacity), n_tokens);
    }
    if (n_tokens > 0) std::memcpy(buffer, tokens, n_tokens * sizeof *tokens);
    return {};
}

}  // namespace puna::core
