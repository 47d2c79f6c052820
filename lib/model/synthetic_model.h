// Models with random weights and a given shape: for measuring speed without a download, and for
// tests. Activations stay near 1 in every layer, so no path meets numbers that a real model has not.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/load_progress.h"

namespace puna::core {

struct SyntheticModel {
    uint32_t n_embd = 0;
    uint32_t n_layer = 0;
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;
    uint32_t head_dim = 0;
    uint32_t n_ff = 0;
    uint32_t n_vocab = 0;  // 0: as many as the vocabulary file has
    uint32_t n_ctx_train = 0;
    bool tied_output = false;
    std::string type;  // a name that FormatMix knows
    bool pure = false;
    uint64_t seed = 0;
    // A GGUF file whose tokenizer is copied; empty: one of bytes and made-up words is made, or none
    // where n_vocab does not hold the bytes.
    std::string vocabulary_path;
    uint64_t part_bytes = 0;  // as GgufWriter::write takes it
};

// The same description gives the same bytes. Returns the number of files written.
// PUNA_ERROR_ARGUMENT names the field that cannot be.
Result<uint32_t> write_synthetic_model(const SyntheticModel& model, const std::string& path,
                                       LoadProgress& progress);

}  // namespace puna::core
