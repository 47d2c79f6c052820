#include "model/memory_estimate.h"

#include <cinttypes>

#include "base/checked.h"
#include "format/kv_format.h"

namespace puna::core {

namespace {

// Bytes of one head in one cell.
Result<uint64_t> head_bytes(const char* option, int32_t kv_type, int32_t head_dim) {
    if (const auto bytes = kv_head_bytes(kv_type, head_dim)) return *bytes;
    return make_status(PUNA_ERROR_ARGUMENT, "%s: %" PRId32 " is no type of a KV cache", option,
                       kv_type);
}

}  // namespace

WeightMemory weight_memory(const LoadedModel& model) {
    WeightMemory memory;
    if (!model.has_weights()) return memory;
    memory.layer_bytes.resize(static_cast<size_t>(model.spec.n_layer));
    for (const puna_tensor& tensor : model.tensors) {
        if (tensor.role == PUNA_TENSOR_OUTPUT && model.tied_output) continue;
        if (tensor.layer >= 0) {
            memory.layer_bytes[static_cast<size_t>(tensor.layer)] += tensor.size_bytes;
        } else if (tensor.role == PUNA_TENSOR_TOKEN_EMBD) {
            memory.embedding_bytes += tensor.size_bytes;
        } else {
            memory.head_bytes += tensor.size_bytes;
        }
        memory.total_bytes += tensor.size_bytes;
    }

    memory.allocated_bytes = model.converted_bytes;
    for (size_t i = 0; i < model.sources.size(); ++i) {
        uint64_t stored_bytes = 0;
        for (const GgufTensor& tensor : model.headers[i].tensors()) stored_bytes += tensor.n_bytes;
        const WeightPlace place = model.sources[i]->place();
        if (place == WeightPlace::kMapped) memory.mapped_bytes += stored_bytes;
        if (place == WeightPlace::kBorrowed) memory.borrowed_bytes += stored_bytes;
        memory.allocated_bytes += model.buffer_bytes[i];
    }
    return memory;
}

Result<uint64_t> kv_memory(const puna_model_spec& spec, int32_t n_layers, int64_t n_cells,
                           int32_t kv_type_k, int32_t kv_type_v) {
    PUNA_TRY_ASSIGN(const uint64_t key_bytes, head_bytes("kv_type_k", kv_type_k, spec.head_dim_k));
    PUNA_TRY_ASSIGN(const uint64_t value_bytes,
                    head_bytes("kv_type_v", kv_type_v, spec.head_dim_v));
    uint64_t bytes = key_bytes + value_bytes;
    uint64_t n_rounded = 0;
    const bool fits = n_cells >= 0 && n_layers >= 0 &&
                      checked_align_up(static_cast<uint64_t>(n_cells), PUNA_KV_PAGE, &n_rounded) &&
                      checked_mul(bytes, static_cast<uint64_t>(spec.n_head_kv), &bytes) &&
                      checked_mul(bytes, static_cast<uint64_t>(n_layers), &bytes) &&
                      checked_mul(bytes, n_rounded, &bytes);
    if (fits) return bytes;
    return make_status(PUNA_ERROR_ARGUMENT,
                       "a KV cache of %" PRId64 " cells in %" PRId32 " layers cannot be counted",
                       n_cells, n_layers);
}

}  // namespace puna::core
