// What a model and its caches take, from the headers alone. Scratch is the backend's to say.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/model_loader.h"
#include "puna/puna_backend.h"

namespace puna::core {

struct WeightMemory {
    // As backends get them: norms and biases in F32; the output of a tied model is the embedding.
    std::vector<uint64_t> layer_bytes;
    uint64_t embedding_bytes = 0;
    uint64_t head_bytes = 0;  // output norm, and output where it is a tensor of its own
    uint64_t total_bytes = 0;

    // Where a load puts them: pages of files, memory of the host, memory of the allocator.
    uint64_t mapped_bytes = 0;
    uint64_t borrowed_bytes = 0;
    uint64_t allocated_bytes = 0;
};

// Of a model that was loaded, or read with ModelContents::kHeaders. All 0 without weights.
WeightMemory weight_memory(const LoadedModel& model);

// Keys and values of `n_layers` layers for `n_cells` cells, which are handed out in pages. Types
// are PUNA_KV_*, DEFAULT included. PUNA_ERROR_UNSUPPORTED for a type that the heads do not divide
// into, PUNA_ERROR_ARGUMENT when it is no type or the size does not fit 64 bits.
Result<uint64_t> kv_memory(const puna_model_spec& spec, int32_t n_layers, int64_t n_cells,
                           int32_t kv_type_k, int32_t kv_type_v);

}  // namespace puna::core
