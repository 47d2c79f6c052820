// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace puna::core {

inline constexpr char32_t kReplacementChar = 0xFFFD;

struct Utf8Char {
    char32_t code_point;  // kReplacementChar when not valid
    // Bytes to go on by. When not valid: the "maximal subpart" of Unicode chapter 3.9, that is the
    // longest start of some character, at least one byte. 0 only for empty text.
    uint8_t length;
    bool valid;
};

// Decodes the first character of the text.
Utf8Char decode_utf8(std::string_view text);

// Writes up to 4 bytes and returns how many; 0 when `code_point` is a surrogate or out of range.
size_t encode_utf8(char32_t code_point, char* out);
// Appends the character, U+FFFD for one that cannot be encoded.
void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view text);

// How many bytes at the end (0 to 3) start a character that more bytes could complete.
size_t incomplete_utf8_tail(std::string_view text);

// Each maximal subpart that is no character becomes one U+FFFD, as WHATWG decoders do.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace puna::core
