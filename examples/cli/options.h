// Options that several commands have.
#pragma once

#include <cstdint>
#include <string>

#include "command_line.h"
#include "puna/puna.hpp"

namespace cli {

// How a model is loaded and evaluated.
struct EngineOptions {
    std::string model;  // as it was named
    std::string path;   // of its file; find_model() sets it
    std::string kernels;
    int32_t n_threads = 0;
    int32_t n_batch = 512;
    int32_t n_gpu_layers = 0;
    bool no_mmap = false;
    bool deterministic = false;
    int32_t kv_type_k = PUNA_KV_F16;
    int32_t kv_type_v = PUNA_KV_F16;
};

// How the text goes on.
struct SamplingOptions {
    int32_t n_predict = -1;
    puna::GenerationOptions generation;
    SamplingOptions();
};

void add_model(CommandLine& line, std::string& model);
void add_engine_options(CommandLine& line, EngineOptions& options);
void add_sampling_options(CommandLine& line, SamplingOptions& options);

// What becomes of text on its way to tokens.
struct TokenizeOptions {
    bool no_bos = false;
    bool no_special = false;

    int32_t flags() const {
        return (no_bos ? PUNA_TOKENIZE_NO_BOS_EOS : 0) |
               (no_special ? 0 : PUNA_TOKENIZE_PARSE_SPECIAL);
    }
};

void add_tokenize_options(CommandLine& line, TokenizeOptions& options);

}  // namespace cli
