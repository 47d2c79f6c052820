#include "readable.h"

#include <cstdio>
#include <initializer_list>

namespace cli {
namespace {

std::string with_unit(uint64_t number, std::initializer_list<const char*> units) {
    auto value = static_cast<double>(number);
    const char* const* unit = units.begin();
    for (; value >= 999.5 && unit + 1 != units.end(); ++unit) value /= 1000;
    const bool is_whole = unit == units.begin() || value >= 99.95;
    return fixed(value, is_whole ? 0 : value >= 9.995 ? 1 : 2) + *unit;
}

}  // namespace

std::string fixed(double number, int decimals) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", decimals, number);
    return text;
}

std::string readable_bytes(uint64_t n_bytes) {
    return with_unit(n_bytes, {" B", " kB", " MB", " GB", " TB"});
}

std::string readable_count(uint64_t count) {
    return with_unit(count, {"", " k", " M", " B"});
}

std::string printable(std::string_view text, size_t max_size) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool begins_character = (byte & 0xC0) != 0x80;
        if (begins_character && out.size() >= max_size) return out + "...";
        // U+0080 to U+009F command terminals too.
        const bool is_c1 =
            byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
        if (byte == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte == 0x7F || is_c1) {
            char escape[8];
            const int code = is_c1 ? static_cast<unsigned char>(text[++i]) : byte;
            std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(code));
            out += escape;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace cli
