// The architecture families that this library computes: what their files must hold.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "format/gguf_header.h"
#include "puna/puna_backend.h"

namespace puna::core {

// A side of a tensor, as the hyper-parameters give it.
enum class Dim {
    kOne,
    kVocab,
    kEmbd,
    kFf,
    kQueries,      // n_head * head_dim_k
    kKeys,         // n_head_kv * head_dim_k
    kValues,       // n_head_kv * head_dim_v
    kHeadOutputs,  // n_head * head_dim_v
    kRopePairs,    // rope_dim / 2
};

// The divisors of the RoPE frequencies: used by the loader, never seen by a backend.
constexpr int32_t kRoleRopeFreqs = -1;

// One tensor of the file, or one in each layer.
struct TensorRow {
    int32_t role;      // PUNA_TENSOR_*, or kRoleRopeFreqs
    const char* name;  // per layer: what follows "blk.N."
    bool per_layer;
    bool optional;
    Dim rows;  // kOne: a vector, that is a norm or a bias
    Dim columns;
};

struct Family {
    const char* name;  // general.architecture; its keys begin with it too
    int32_t norm;      // PUNA_NORM_*
    int32_t activation;
    int32_t rope;
    std::span<const TensorRow> tensors;
    // Tensors that some converters left behind and nothing reads: what follows "blk.N.".
    std::span<const char* const> ignored;
};

// Null when the family is not supported.
const Family* find_family(std::string_view name);

// By general.architecture; PUNA_ERROR_MODEL_UNSUPPORTED names what the file says.
Result<const Family*> family_of(const GgufHeader& header);

}  // namespace puna::core
