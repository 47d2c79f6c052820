// One line of printable text in a fixed buffer: error messages and log lines.
#pragma once

#include <cstdarg>
#include <cstddef>

namespace puna::core {

// Formats into buffer[capacity] (capacity >= 1), always NUL-terminated, and returns the length.
// What a file or a caller put into the text cannot break the line or the encoding: control
// characters, line separators and invalid UTF-8 become '?', and a text that does not fit loses its middle, between
// characters: a path comes first, and what is wrong with it last.
size_t format_line(char* buffer, size_t capacity, const char* format, va_list args);

}  // namespace puna::core
