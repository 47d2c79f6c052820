// Status and Result<T>: how every failure travels inside the library.
//
// A Status holds one of the codes of puna.h and one line of text. It owns no heap memory, so that
// "out of memory" can be reported too. An OK status costs one int to return.
#pragma once

#include <cstdarg>
#include <cstring>
#include <optional>
#include <utility>

#include "puna/puna.h"

// mingw's own printf rules differ from those of the C library, "gnu_printf" names the latter.
#if defined(__clang__)
#define PUNA_PRINTF(format_index, args_index) \
    __attribute__((format(printf, format_index, args_index)))
#elif defined(__GNUC__)
#define PUNA_PRINTF(format_index, args_index) \
    __attribute__((format(gnu_printf, format_index, args_index)))
#else
#define PUNA_PRINTF(format_index, args_index)
#endif

namespace puna::core {

class [[nodiscard]] Status {
  public:
    Status() {}  // not defaulted: `Status()` would clear the whole text then
    Status(const Status& other) { *this = other; }
    Status& operator=(const Status& other) {
        code_ = other.code_;
        if (code_ != PUNA_OK) std::memcpy(text_, other.text_, sizeof text_);
        return *this;
    }

    bool ok() const { return code_ == PUNA_OK; }
    puna_status code() const { return code_; }
    const char* text() const { return code_ == PUNA_OK ? "" : text_; }

    // The same failure with "context: " before its text, for callers that know the file's name.
    Status within(const char* context) const;

  private:
    friend Status make_status(puna_status code, const char* format, ...);
    friend Status make_status_v(puna_status code, const char* format, va_list args);

    puna_status code_ = PUNA_OK;
    char text_[PUNA_ERROR_MESSAGE_SIZE];  // set only when code_ is not PUNA_OK; NUL-terminated
};

// printf-style. Control characters in the result (text from files) become '?', a text that does
// not fit loses its middle: the message is always one line of valid UTF-8.
PUNA_PRINTF(2, 3) Status make_status(puna_status code, const char* format, ...);
PUNA_PRINTF(2, 0) Status make_status_v(puna_status code, const char* format, va_list args);

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(Status status) : status_(std::move(status)) {}

    bool ok() const { return value_.has_value(); }
    const Status& status() const { return status_; }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }

  private:
    Status status_;
    std::optional<T> value_;
};

}  // namespace puna::core

// Returns from the enclosing function when the expression is a failure.
#define PUNA_TRY(expression)                                 \
    do {                                                     \
        ::puna::core::Status puna_try_status = (expression); \
        if (!puna_try_status.ok()) return puna_try_status;   \
    } while (0)

// PUNA_TRY_ASSIGN(auto file, open(path)): declares or assigns the value, or returns the failure.
#define PUNA_TRY_ASSIGN(target, expression) \
    PUNA_TRY_ASSIGN_AT(target, expression, PUNA_TRY_NAME(puna_try_result_, __LINE__))
#define PUNA_TRY_NAME(a, b) PUNA_TRY_NAME_(a, b)
#define PUNA_TRY_NAME_(a, b) a##b
#define PUNA_TRY_ASSIGN_AT(target, expression, name) \
    auto name = (expression);                        \
    if (!name.ok()) return name.status();            \
    target = std::move(*name)
