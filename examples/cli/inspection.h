// What the headers of a model's files say, and what the library makes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json_text.h"
#include "options.h"
#include "puna/puna.hpp"
#include "terminal.h"

namespace cli {

struct SpecialToken {
    const char* name;  // "bos"
    int32_t id;        // -1: the model has none
    std::string text;
};

struct FormatSummary {
    std::string format;
    int32_t n_tensors = 0;
    uint64_t size_bytes = 0;
};

struct Inspection {
    uint32_t gguf_version = 0;  // 0: it could not be read
    uint64_t file_bytes = 0;    // of all files of a split model
    puna_model_info info;       // as far as the vocabulary gives it
    Json hyper;                 // hyper-parameters by name, numbers
    std::vector<std::pair<std::string, std::string>> metadata;

    std::string tokenizer;     // its kind; "": there is none
    std::string why_no_texts;  // it makes no tokens of them, or ""
    std::vector<SpecialToken> special_tokens;

    std::vector<puna_tensor_info> tensors;
    uint64_t n_tensors = 0;  // more than there are above when files of a split model are missing
    uint64_t n_parameters = 0;
    uint64_t size_bytes = 0;
    std::vector<FormatSummary> formats;  // the largest first

    int32_t n_ctx = 0;
    std::optional<puna_memory_estimate> memory;  // none without weights
    std::string why_not;                         // it would not run, or ""

    bool runs() const { return memory.has_value(); }
};

// The memory is that of a context of n_ctx tokens, or with 0 of as many as the model was trained
// for. Throws what a load throws when no GGUF header can be read.
Inspection inspect(const EngineOptions& engine, int32_t n_ctx, const Interrupt& interrupt);

// The dimensions up to the last one that is not 1, innermost first.
std::vector<uint64_t> shape_of(const puna_tensor_info& tensor);

}  // namespace cli
