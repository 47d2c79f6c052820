#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace cli {

// All of the text as a number in decimal, with or without a plus sign, which std::from_chars refuses.
template <class Number>
bool read_number(std::string_view text, Number& value) {
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    return result.ec == std::errc() && result.ptr == end;
}

}  // namespace cli
