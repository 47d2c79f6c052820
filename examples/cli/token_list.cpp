#include "token_list.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "json_text.h"

namespace cli {

std::vector<puna::Token> parse_tokens(std::string_view text, std::string_view name) {
    const auto fail = [&](const std::string& why) -> std::runtime_error {
        return std::runtime_error(std::string(name) + ": " + why +
                                  "; token ids look like 1,2,3 or [1,2,3] or {\"tokens\":[1,2,3]}");
    };
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == text.npos) throw fail("is empty");
    const bool is_json = text[first] == '[' || text[first] == '{';
    const std::string source = is_json ? std::string(text) : "[" + std::string(text) + "]";
    Json list = Json::parse(source, nullptr, false);
    if (list.is_object() && list.contains("tokens")) list = Json(list["tokens"]);
    if (!list.is_array()) throw fail("is no list of token ids");

    std::vector<puna::Token> tokens;
    tokens.reserve(list.size());
    for (const Json& id : list) {
        const bool fits =
            id.is_number_integer() && id >= 0 && id <= std::numeric_limits<puna::Token>::max();
        if (!fits) throw fail("entry " + std::to_string(tokens.size()) + " is no token id");
        tokens.push_back(id.get<puna::Token>());
    }
    return tokens;
}

void check_token(puna::Token token, int32_t n_vocab, std::string_view name) {
    if (token < n_vocab) return;
    throw std::runtime_error(std::string(name) + ": there is no token " + std::to_string(token) +
                             ": the model has " + std::to_string(n_vocab));
}

}  // namespace cli
