#include "base/text_line.h"

#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/utf8.h"

namespace puna::core {
namespace {

bool is_printable(char32_t c) {
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    const bool line_separator = c == 0x2028 || c == 0x2029;
    return !control && !line_separator;
}

// Works in place: what replaces a character is never longer than the character.
size_t clean_line(char* text, size_t length) {
    size_t out = 0;
    for (size_t in = 0; in < length;) {
        const Utf8Char c = decode_utf8(std::string_view(text + in, length - in));
        if (c.valid && is_printable(c.code_point)) {
            std::memmove(text + out, text + in, c.length);
            out += c.length;
        } else {
            text[out++] = '?';
        }
        in += c.length;
    }
    text[out] = '\0';
    return out;
}

}  // namespace

size_t format_line(char* buffer, size_t capacity, const char* format, va_list args) {
    const int wanted = std::vsnprintf(buffer, capacity, format, args);
    size_t length = 0;
    if (wanted >= 0) {
        length = static_cast<size_t>(wanted);
        if (length >= capacity) {
            length = capacity - 1;
            length -= incomplete_utf8_tail(std::string_view(buffer, length));
        }
    }
    return clean_line(buffer, length);
}

}  // namespace puna::core
