#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace cli {

// Keys stay in the order in which they were added.
using Json = nlohmann::ordered_json;

// One document on one line. Bytes that are no UTF-8 become U+FFFD: no model can break the JSON.
inline std::string json_line(const Json& document) {
    return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cli
