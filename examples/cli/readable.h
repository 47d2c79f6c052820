// Numbers and texts for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

// "12.35" with two decimals.
std::string fixed(double number, int decimals);
// Three digits and a unit: "1.17 GB", "312 B".
std::string readable_bytes(uint64_t n_bytes);
// "1.10 B", "312".
std::string readable_count(uint64_t count);
// On one line, whatever a file says: control characters are spelled out, and what is longer than
// `max_size` bytes is cut.
std::string printable(std::string_view text, size_t max_size);

}  // namespace cli
