// Paths on Windows: UTF-16, and a prefix for those longer than 259 units.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace puna::core {

// The absolute path, in the form "\\?\..." where it is too long for the plain one.
Result<std::wstring> wide_path(const std::string& utf8);

// Only the encoding changes. What is not UTF-8 or too long for a path is refused.
Result<std::wstring> wide_text(const std::string& utf8);
std::string narrow_text(std::wstring_view text);

}  // namespace puna::core
