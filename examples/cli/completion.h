// A completion as the programs of the OpenAI API expect it: {"object":"text_completion", ...}.
#pragma once

#include <optional>
#include <string>

#include "json_text.h"
#include "puna/puna.hpp"

namespace cli {

struct Timings {
    double load_seconds = 0;
    std::optional<double> seconds_to_first_token;  // if there was one
    puna_generation_info info = PUNA_GENERATION_INFO_INIT;

    // Tokens per second; none of a prompt that was not evaluated to its end, 0 when there were no tokens.
    std::optional<double> prompt_rate() const;
    double generation_rate() const;
};

// "stop", "length" or "cancelled".
const char* finish_name(int32_t finish);

// The most likely tokens with every token of the text, as lists of equal length.
class Logprobs {
  public:
    explicit Logprobs(const puna::Model& model) : model_(model) {}

    void add(const puna::Event& event);
    // What was added since the last call.
    Json take();

  private:
    static Json empty_lists();
    std::string spelled(puna::Token token) const;

    const puna::Model& model_;
    Json lists_ = empty_lists();
    size_t text_offset_ = 0;  // in characters
};

class Completion {
  public:
    explicit Completion(const std::string& model_name);

    // A piece of a stream: more are to come.
    Json piece(const std::string& text, const Json& logprobs) const;
    // The whole, or the last piece of a stream.
    Json last(const std::string& text, const Json& logprobs, const Timings& timings) const;

  private:
    Json head_;
};

}  // namespace cli
