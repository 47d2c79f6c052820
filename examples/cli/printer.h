// What `puna run` prints, as the text comes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "completion.h"
#include "puna/puna.hpp"

namespace cli {

class Printer {
  public:
    virtual ~Printer() = default;
    virtual void event(const puna::Event& event) = 0;
    virtual void done(const Timings& timings) = 0;
    // The generation failed; the error is reported elsewhere.
    virtual void failed() {}
};

// The text on standard output and a line of timings on standard error. On a terminal the prompt
// stands before the text and a newline behind it.
std::unique_ptr<Printer> text_printer(std::string_view prompt);

// One document at the end.
std::unique_ptr<Printer> json_printer(const std::string& model_name, const puna::Model& model,
                                      bool with_logprobs);
// A document per line, for each piece of text.
std::unique_ptr<Printer> json_stream_printer(const std::string& model_name,
                                             const puna::Model& model, bool with_logprobs);

}  // namespace cli
