#pragma once

#include <string_view>
#include <vector>

#include "puna/puna.hpp"

namespace cli {

// Token ids: "1,2,3", "[1,2,3]" or {"tokens":[1,2,3]}. `name` says in errors where the text is from.
std::vector<puna::Token> parse_tokens(std::string_view text, std::string_view name);

// Throws std::runtime_error if the model has no such token; `name` as above.
void check_token(puna::Token token, int32_t n_vocab, std::string_view name);

}  // namespace cli
