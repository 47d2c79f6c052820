#pragma once

#include "options.h"
#include "puna/puna.hpp"
#include "terminal.h"

namespace cli {

// What the library says of an option, with the name that the program has for it. Functions below that
// throw say it so.
puna::Failure in_program_words(puna::Failure failure);

puna::Runtime make_runtime(const EngineOptions& options);
puna::ModelOptions model_options(const EngineOptions& options);

// To be called first: sets the path of the model that is named. A download may be part of it.
void find_model(EngineOptions& options, const Interrupt& interrupt);

// Loads a model as the options say; on a terminal with a progress bar. Ctrl-C stops it.
puna::Model load_model(const puna::Runtime& runtime, const EngineOptions& options,
                       const Interrupt& interrupt);
puna::Model load_model(const EngineOptions& options, const Interrupt& interrupt);

// Only the tokenizer of a model: quick, and vocabulary-only files will do.
puna::Model load_vocabulary(const std::string& path, const Interrupt& interrupt);

puna::ContextOptions context_options(const EngineOptions& options, int32_t n_ctx);
// `remedy`, as "a smaller --ctx", is what to try when memory is too small for it.
puna::Context make_context(const puna::Model& model, const puna::ContextOptions& options,
                           const std::string& remedy);

}  // namespace cli
