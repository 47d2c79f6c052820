// How the parts of a split GGUF file are called: "NAME-00001-of-00003.gguf", as the tools of the
// format write and expect them. Numbers begin at 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace puna::core {

struct SplitName {
    std::string prefix;  // with its folder
    uint32_t number = 0;
    uint32_t count = 0;

    std::string path_of_part(uint32_t part) const;
};

// Empty for a path that is not so named.
std::optional<SplitName> parse_split_name(std::string_view path);

// For the parts of a file that would be called `path` if it were whole.
SplitName split_name(std::string_view path, uint32_t count);

}  // namespace puna::core
