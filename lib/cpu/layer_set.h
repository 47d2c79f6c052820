// The weights of a range of layers, resolved at load to pointers and kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "cpu/kernel_table.h"
#include "seam/layers_check.h"

namespace puna::core {

struct Matrix {
    const uint8_t* data = nullptr;  // [rows] of row_bytes; not aligned
    int64_t rows = 0;               // outputs
    int64_t columns = 0;            // inputs
    int64_t row_bytes = 0;
    int32_t format = 0;
    LinearFn multiply = nullptr;  // null for an embedding that is only looked up
    ReadOrder read_order = ReadOrder::kRowsTogether;
    const PanelEntry* panel = nullptr;  // null: many rows are multiplied like few
    // Rather than `panel`, for the batches that it takes; or null.
    const PanelEntry* small_panel = nullptr;
    void (*dequantize)(const void* blocks, float* out, int64_t n) = nullptr;
};

// Biases are null where the model has none.
struct LayerWeights {
    const float* attn_norm = nullptr;  // [n_embd]
    Matrix q;                          // [n_head * head_dim_k][n_embd]
    Matrix k;                          // [n_head_kv * head_dim_k][n_embd]
    Matrix v;                          // [n_head_kv * head_dim_v][n_embd]
    const float* q_bias = nullptr;
    const float* k_bias = nullptr;
    const float* v_bias = nullptr;
    const float* q_norm = nullptr;  // [head_dim_k], with spec.qk_norm
    const float* k_norm = nullptr;  // [head_dim_k]
    Matrix attn_output;             // [n_embd][n_head * head_dim_v]
    const float* attn_output_bias = nullptr;
    const float* ffn_norm = nullptr;  // [n_embd]
    Matrix gate;                      // [n_ff][n_embd]
    Matrix up;                        // [n_ff][n_embd]
    Matrix down;                      // [n_embd][n_ff]
    const float* gate_bias = nullptr;
    const float* up_bias = nullptr;
    const float* down_bias = nullptr;
};

// What load_layers makes. Immutable; read from any thread.
struct LayerSet {
    LayerSet() = default;
    LayerSet(const LayerSet&) = delete;
    LayerSet& operator=(const LayerSet&) = delete;
    ~LayerSet() {
        if (release) release(owner);
    }

    int64_t q_columns() const { return int64_t{spec.n_head} * spec.head_dim_k; }
    int64_t k_columns() const { return int64_t{spec.n_head_kv} * spec.head_dim_k; }
    int64_t v_columns() const { return int64_t{spec.n_head_kv} * spec.head_dim_v; }
    int64_t attn_columns() const { return int64_t{spec.n_head} * spec.head_dim_v; }
    int32_t n_layers() const { return static_cast<int32_t>(layers.size()); }
    LayerRange range() const { return {spec, first_layer, n_layers(), has_embedding, has_head}; }

    const puna_host_services* services = nullptr;
    const KernelTable* kernels = nullptr;  // of the backend
    BackendLimits limits;                  // of these kernels
    puna_model_spec spec = {};
    NormFn norm = nullptr;
    ActivationFn activation = nullptr;
    RopeFn rope = nullptr;

    int32_t first_layer = 0;
    bool has_embedding = false;
    bool has_head = false;
    Matrix token_embd;  // [n_vocab][n_embd], with has_embedding
    std::vector<LayerWeights> layers;
    const float* output_norm = nullptr;  // [n_embd], with has_head
    Matrix output;                       // [n_vocab][n_embd], with has_head

    std::vector<puna_layers_format> formats;  // by ascending number

    // Keeps the tensors alive; set last, when nothing can fail any more.
    void* owner = nullptr;
    puna_release_fn release = nullptr;
};

// Reads shapes, formats and pointers, no tensor data; with kAbsent (an estimate) the pointers are
// null. Does not take the owner.
Result<std::unique_ptr<LayerSet>> resolve_layers(const puna_host_services& services,
                                                 const KernelTable& kernels,
                                                 const puna_layers_request& request,
                                                 TensorData data);

}  // namespace puna::core
