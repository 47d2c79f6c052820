// The forward pass on the device, with the step names of lib/cpu/forward.cpp. Every function here only
// enqueues work on the stream and returns cudaSuccess or why it could not; nothing waits for the device,
// so that whatever is enqueued can be captured as a CUDA graph.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "puna/puna_backend.h"

namespace puna::cuda {

// Weights in device memory: [rows][columns] in blocks of a format, as in the file, rows without gaps.
// data is aligned to 256 bytes and readable up to the next multiple of 16.
struct Matrix {
    const uint8_t* data = nullptr;
    int64_t rows = 0;
    int64_t columns = 0;
    int64_t row_bytes = 0;
    int32_t format = 0;  // PUNA_FORMAT_*
};

// Norms and biases are floats in device memory; null where the model has none.
struct LayerWeights {
    const float* attn_norm = nullptr;  // [n_embd]
    Matrix q, k, v;
    const float *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr;
    const float *q_norm = nullptr, *k_norm = nullptr;  // [head_dim_k]
    Matrix attn_output;
    const float* attn_output_bias = nullptr;
    const float* ffn_norm = nullptr;  // [n_embd]
    Matrix gate, up, down;
    const float *gate_bias = nullptr, *up_bias = nullptr, *down_bias = nullptr;
};

// What a layer set holds on one device.
struct Weights {
    puna_model_spec spec = {};
    const double* rope_frequencies = nullptr;  // [rope_dim / 2], device memory
    bool has_embedding = false;
    bool has_head = false;
    Matrix token_embd;
    Matrix output;
    const float* output_norm = nullptr;  // [n_embd]
    int32_t first_layer = 0;             // of the whole model
    std::vector<LayerWeights> layers;
};

// The keys or the values of all layers of a set, in device memory: [n_layers][n_cells][n_head_kv][head_dim]
// elements. Q8_0 keeps bytes there and its F16 scales in [n_layers][n_cells][n_head_kv][(head_dim + 31) / 32].
struct KvHalf {
    uint8_t* data = nullptr;
    uint16_t* scales = nullptr;  // null unless type is PUNA_KV_Q8_0
    int32_t type = 0;            // PUNA_KV_*
    int32_t n_head_kv = 0;
    int32_t head_dim = 0;
    int64_t n_cells = 0;
};
struct KvCache {
    KvHalf keys, values;
};

// Rows of a batch that attend together. They follow each other and have one view, and each of the positions
// first .. last is seen by one of them at least.
struct AttentionPiece {
    int32_t first_row;
    int32_t n_rows;
    int32_t first;
    int32_t last;
};
// The most queries of a piece: of its rows, and of the heads that share keys. A row with more is a piece.
constexpr int32_t kQueriesTogether = 64;

// A batch in device memory. pages has those of all views one after the other, view_pages[i] is where
// view i begins there. output_rows[j] is the row that delivers output j.
struct DeviceBatch {
    int32_t n_rows = 0;
    int32_t n_outputs = 0;
    // Of the row that sees the most pages: how far attention is split.
    int32_t n_pages_of_longest = 0;
    // Of more rows than kFewRows: what attends together where it can, and rows that do not; all of them are
    // in one of both.
    int32_t n_pieces = 0;
    int32_t n_alone = 0;
    int32_t n_pages_of_alone = 0;            // as n_pages_of_longest, of those rows
    const AttentionPiece* pieces = nullptr;  // [n_pieces]
    const int32_t* alone = nullptr;          // [n_alone]
    const puna_batch_row* rows = nullptr;    // [n_rows]
    const int32_t* view_pages = nullptr;     // [n_views]
    const int32_t* pages = nullptr;
    const int32_t* output_rows = nullptr;  // [n_outputs]
    // These are all outputs of the batch, and there when its layers run: with a head, other rows end with their
    // keys and values of the last layer.
    bool has_all_outputs = false;
};

// What kernels can do on a device, with its driver.
struct KernelTraits {
    // They may begin while the one before them still runs: launch.h.
    bool overlaps = false;
    // There are those for tensor cores and 16-bit floats, which come with asynchronous copies.
    bool has_floats16 = false;
    int32_t shared_bytes = 0;            // of shared memory that a block may ask for
    int32_t processor_shared_bytes = 0;  // that a multiprocessor has
    // There are copies by the copy engine, and launches of blocks that wait for each other.
    bool has_token_pass = false;
    // There are products by warpgroups: warpgroup_mma.cuh.
    bool has_warpgroups = false;
};

// What an executor keeps. `scratch` has scratch_bytes() and is aligned to 256.
struct Forward {
    const Weights* weights = nullptr;
    puna_executor_options options = {};
    KvCache cache;
    DeviceBatch batch;
    uint8_t* scratch = nullptr;
    int32_t n_processors = 1;  // multiprocessors of the device
    KernelTraits traits;       // of the device
    cudaStream_t stream = nullptr;
};

// The most rows that kernels of few rows take together, which norm and round what they read by themselves;
// also the most whose pass is captured as a graph, and run to its end once it has begun.
constexpr int32_t kFewRows = 8;
// The most outputs that one run of the head fills: their logits, and the copy on the host, are memory.
constexpr int32_t kMostHeadRows = 32;
// Larger heads do not fit the shared memory in which keys are turned.
constexpr int32_t kMostHeadDim = 8192;

// To be called before any other of these functions, once for a device that is the current one.
cudaError_t prepare_kernels(KernelTraits* traits);

// Formats of matrices that can be multiplied and looked up.
bool format_supported(int32_t format);

// Bytes of device memory that batches within the options need beside weights and cache.
uint64_t scratch_bytes(const puna_model_spec& spec, bool has_head,
                       const puna_executor_options& options);

// Bytes of one half of the cache for n_layers, with its scales; each layer's part is aligned to 256.
uint64_t kv_half_bytes(const KvHalf& half, int32_t n_layers);
// Where the scales of Q8_0 begin in it: `scales` is data + this.
uint64_t kv_scales_offset(const KvHalf& half, int32_t n_layers);

// The hidden rows [max_rows][n_embd] within the scratch: input of the first layer, output of the last.
float* hidden_rows(const Forward& f);

cudaError_t run_embedding(const Forward& f);             // x = scale * table[token]
cudaError_t run_layer(const Forward& f, int32_t layer);  // counted within the set

// What one output wants; the arrays are in device memory. As puna_batch_output describes it.
struct DeviceOutput {
    int32_t kind = 0;  // PUNA_ROW_OUTPUT_*
    int32_t k = 0;
    int32_t n_bias = 0;
    const puna_logit_bias* bias = nullptr;
    const uint32_t* mask = nullptr;
    float* values = nullptr;       // [n_embd], [n_vocab], [1] or [k]
    int32_t* tokens = nullptr;     // [1] or [k]
    int32_t* n_filled = nullptr;   // [1]
    float* log_sum_exp = nullptr;  // [1] or null
};

// Output norm, logits and what the outputs want. `outputs` [n_outputs] is in device memory; `requests` the
// same on the host, with device pointers, to choose kernels by. has_logits: there is one output, whose logits
// are there already (token_pass.h).
cudaError_t run_head(const Forward& f, const DeviceOutput* requests, const DeviceOutput* outputs,
                     bool has_logits = false);

// Copies cells and turns keys, in order, as puna_backend.h describes kv_move. Source and target of one
// move may overlap.
cudaError_t move_cells(const Forward& f, const puna_kv_move& move);

// Cells of one layer in the canonical layout of puna_backend.h from or to `bytes`, device memory; `cells`
// [n_cells] is in device memory.
cudaError_t gather_cells(const Forward& f, int32_t layer, int32_t keys_or_values,
                         const int32_t* cells, int32_t n_cells, uint8_t* bytes);
cudaError_t scatter_cells(const Forward& f, int32_t layer, int32_t keys_or_values,
                          const int32_t* cells, int32_t n_cells, const uint8_t* bytes);

}  // namespace puna::cuda
