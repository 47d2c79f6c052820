#pragma once

#include <cstdint>

#include "support/model_file.h"

namespace puna::test {

enum class RopeScaling {
    kNone,
    kLinear,  // positions divided by rope_factor (llama.rope.scaling.*)
    kLlama3,  // a divisor per frequency, in the tensor rope_freqs.weight
};

// What a random model looks like. 0 in a field marked so takes the default named there.
struct ModelShape {
    uint32_t n_embd = 64;
    uint32_t n_layer = 2;
    uint32_t n_head = 4;
    uint32_t n_head_kv = 2;  // 0: n_head
    uint32_t head_dim = 0;   // of queries and keys; 0: n_embd / n_head
    uint32_t value_dim = 0;  // 0: head_dim
    uint32_t n_ff = 160;
    uint32_t n_vocab = 320;
    uint32_t n_ctx_train = 512;
    float eps = 1e-5f;

    uint32_t rope_dim = 0;  // numbers of a head that are rotated; 0: head_dim
    float rope_base = 10000.0f;
    RopeScaling rope_scaling = RopeScaling::kNone;
    float rope_factor = 4.0f;
    float rope_low_freq_factor = 1.0f;   // kLlama3
    float rope_high_freq_factor = 4.0f;  // kLlama3
    uint32_t rope_original_ctx = 64;     // kLlama3

    bool tied_output = false;
    bool biases = false;      // of Q, K, V and the attention output
    bool ffn_biases = false;  // of gate, up and down

    // A matrix whose rows are no multiple of the block length is stored as F16 instead.
    Encoding matrix_encoding = Encoding::kF32;
    Encoding embedding_encoding = Encoding::kF32;
    Encoding output_encoding = Encoding::kF32;

    bool with_tokenizer = true;  // false: no tokenizer.* key at all
    uint64_t seed = 1;
};

// The shape with its zeros filled in. Throws std::invalid_argument, naming the field, when the
// fields contradict each other.
ModelShape resolved(ModelShape shape);

// A valid model of the family "llama". The weights of a tensor depend on the seed, its name and
// its shape alone, so models that differ in encodings only are roundings of one another. Scales
// are chosen so that normalised activations have deviation 1 and logits 3, attention looks at a
// few positions and not at their mean, and no token prefers itself as its successor.
ModelFile make_random_model(const ModelShape& shape);

}  // namespace puna::test
