#include "text_table.h"

#include <algorithm>
#include <string_view>

namespace cli {
namespace {

size_t n_characters(std::string_view utf8) {
    const auto begins_one = [](char byte) { return (byte & 0xC0) != 0x80; };
    return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), begins_one));
}

}  // namespace

std::string TextTable::text(const std::string& indent) const {
    std::vector<size_t> widths(columns_.size());
    for (const auto& row : rows_) {
        for (size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], n_characters(row[i]));
        }
    }
    std::string text;
    for (const auto& row : rows_) {
        std::string line = indent;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - n_characters(row[i]), ' ');
            if (i > 0) line += "  ";
            line += columns_[i] == 'r' ? padding + row[i] : row[i] + padding;
        }
        line.resize(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

}  // namespace cli
