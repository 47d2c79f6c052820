// What every exported function does: catch, check arguments, obey the struct_size rules.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/status.h"

namespace puna::core {

Status check_struct_size(uint32_t size, const char* name);
// `tail`: what a newer header's struct has behind the fields that we know.
Status check_unknown_fields(const unsigned char* tail, size_t size, const char* name);

// Copies an option struct of the caller's size into a whole one; null gives the defaults.
template <class T>
Status read_options(const T* options, const char* name, T* out) {
    *out = T();
    if (options != nullptr) {
        PUNA_TRY(check_struct_size(options->struct_size, name));
        const size_t size = options->struct_size;
        std::memcpy(out, options, std::min(size, sizeof(T)));
        if (size > sizeof(T)) {
            const auto* bytes = reinterpret_cast<const unsigned char*>(options);
            PUNA_TRY(check_unknown_fields(bytes + sizeof(T), size - sizeof(T), name));
        }
    }
    out->struct_size = sizeof(T);
    return {};
}

// Has `fill` fill a whole output struct and gives the caller as much of it as fits.
template <class T, class Fill>
Status write_struct(T* out, const char* name, Fill&& fill) {
    if (out == nullptr) return null_argument(name);
    PUNA_TRY(check_struct_size(out->struct_size, name));
    T whole = T();
    PUNA_TRY(fill(&whole));
    whole.struct_size = static_cast<uint32_t>(std::min<size_t>(out->struct_size, sizeof(T)));
    std::memcpy(out, &whole, whole.struct_size);
    return {};
}

// For the _init functions: `size` bytes of the caller's struct become the defaults.
puna_status init_struct(void* options, size_t size);

// Text by pointer and size.
Result<std::string_view> read_text(const char* text, size_t size, const char* name);
// Text out by the (buffer, capacity, &needed) rule.
Status write_text(std::string_view text, char* buffer, size_t capacity, size_t* needed);
// Tokens likewise.
Status write_tokens(const int32_t* tokens, size_t n_tokens, int32_t* buffer, int32_t capacity,
                    int32_t* n_written);

}  // namespace puna::core

// Returns from a guarded body when a pointer argument is null.
#define PUNA_REQUIRE(pointer)                                                   \
    do {                                                                        \
        if ((pointer) == nullptr) return ::puna::core::null_argument(#pointer); \
    } while (0)
