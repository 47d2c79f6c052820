#include "base/text_line.h"

#include <algorithm>
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

// The beginning and the end of text[length] in buffer[capacity], which has room for less.
size_t leave_out_middle(const char* text, size_t length, char* buffer, size_t capacity) {
    constexpr std::string_view kGap = "...";
    const size_t room = capacity - 1 > kGap.size() ? capacity - 1 - kGap.size() : 0;
    size_t head = room / 3;
    size_t tail = length - (room - head);
    head -= incomplete_utf8_tail(std::string_view(text, head));
    while (tail < length && (static_cast<unsigned char>(text[tail]) & 0xC0) == 0x80) ++tail;
    const size_t gap = std::min(kGap.size(), capacity - 1);
    std::memcpy(buffer, text, head);
    std::memcpy(buffer + head, kGap.data(), gap);
    std::memcpy(buffer + head + gap, text + tail, length - tail);
    return head + gap + length - tail;
}

}  // namespace

size_t format_line(char* buffer, size_t capacity, const char* format, va_list args) {
    // Longer ones lose their end: paths have 4,096 bytes at most.
    constexpr size_t kLongest = 6000;
    va_list again;
    va_copy(again, args);
    const int wanted = std::vsnprintf(buffer, capacity, format, args);
    size_t length = wanted > 0 ? static_cast<size_t>(wanted) : 0;
    if (length >= capacity) {
        char whole[kLongest];
        std::vsnprintf(whole, sizeof whole, format, again);
        length = leave_out_middle(whole, std::min(length, kLongest - 1), buffer, capacity);
    }
    va_end(again);
    return clean_line(buffer, length);
}

}  // namespace puna::core
