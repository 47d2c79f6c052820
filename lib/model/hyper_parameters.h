// The hyper-parameters of a model: read from its keys, checked against each other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "format/gguf_header.h"
#include "model/family.h"

namespace puna::core {

enum class RopeScaling {
    kNone,
    kLinear,  // every frequency divided by the factor
    kLlama3,  // low frequencies divided by it, high ones kept, the ones between blended
};

// Every count is within its cap, so that products of two fit 64 bits with room to spare.
struct HyperParameters {
    int32_t n_vocab = 0;
    int32_t n_ctx_train = 0;
    int32_t n_embd = 0;
    int32_t n_layer = 0;
    int32_t n_head = 0;
    int32_t n_head_kv = 0;
    int32_t head_dim_k = 0;
    int32_t head_dim_v = 0;
    int32_t n_ff = 0;
    float norm_epsilon = 0;

    int32_t rope_dim = 0;
    double rope_base = 0;
    float rope_magnitude = 1;
    RopeScaling rope_scaling = RopeScaling::kNone;
    double rope_factor = 1;
    // kLlama3
    double rope_low_freq_factor = 0;
    double rope_high_freq_factor = 0;
    double rope_original_ctx = 0;
};

// From the first header; the others are the further parts of a split file, where the embedding may
// lie. PUNA_ERROR_MODEL, _MODEL_UNSUPPORTED or _FORMAT, naming the key.
Result<HyperParameters> read_hyper_parameters(std::span<const GgufHeader> headers,
                                              const Family& family);

int64_t dim_size(const HyperParameters& hyper, Dim dim);

// Angle per position of each pair, [rope_dim / 2]. `divisors` are the numbers of the file's
// rope_freqs tensor, or empty; where they exist, they hold the scaling of kLlama3 already.
std::vector<double> rope_frequencies(const HyperParameters& hyper, std::span<const float> divisors);

}  // namespace puna::core
