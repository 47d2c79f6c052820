#include "format/split_name.h"

#include <cinttypes>
#include <cstdio>

namespace puna::core {

namespace {

constexpr std::string_view kExtension = ".gguf";
constexpr size_t kDigits = 5;

// Takes a number of exactly five digits from the end.
std::optional<uint32_t> take_number(std::string_view& text) {
    size_t n_digits = 0;
    while (n_digits < text.size() && text[text.size() - 1 - n_digits] >= '0' &&
           text[text.size() - 1 - n_digits] <= '9') {
        ++n_digits;
    }
    if (n_digits != kDigits) return std::nullopt;
    uint32_t value = 0;
    for (const char digit : text.substr(text.size() - n_digits)) {
        value = value * 10 + static_cast<uint32_t>(digit - '0');
    }
    text.remove_suffix(n_digits);
    return value;
}

bool take(std::string_view& text, std::string_view suffix) {
    if (!text.ends_with(suffix)) return false;
    text.remove_suffix(suffix.size());
    return true;
}

}  // namespace

std::string SplitName::path_of_part(uint32_t part) const {
    char tail[48];
    std::snprintf(tail, sizeof tail, "-%05" PRIu32 "-of-%05" PRIu32 ".gguf", part, count);
    return prefix + tail;
}

std::optional<SplitName> parse_split_name(std::string_view path) {
    if (!take(path, kExtension)) return std::nullopt;
    const auto count = take_number(path);
    if (!count || !take(path, "-of-")) return std::nullopt;
    const auto number = take_number(path);
    if (!number || !take(path, "-")) return std::nullopt;
    if (*number < 1 || *number > *count) return std::nullopt;
    return SplitName{std::string(path), *number, *count};
}

SplitName split_name(std::string_view path, uint32_t count) {
    take(path, kExtension);
    return {std::string(path), 1, count};
}

}  // namespace puna::core
