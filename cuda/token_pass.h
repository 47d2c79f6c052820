// All layers of a pass with one row as one kernel, whose blocks wait for each other (a cooperative launch) and
// whose weights are on their way into shared memory meanwhile. What it computes has the same bits as the
// kernels of forward.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "cuda/forward.h"
#include "cuda/linear.h"

namespace puna::cuda {

// A product or attention, by all blocks.
enum class TokenPhaseKind : int32_t { kProduct, kAttention };

// What the threads of a phase read alike and no kernel writes.
struct TokenConstants {
    const uint8_t* data = nullptr;
    int64_t n_bytes = 0;
};
constexpr int kMostConstants = 1 + kMostParts;

// How the weights of a product come: chunks of columns, of all rows of a task.
struct alignas(16) TokenChunks {
    uint32_t n_bytes = 0;  // of a row
    uint32_t last_bytes = 0;
    uint32_t room = 0;    // of shared memory, for all rows
    uint32_t n_rows = 1;  // of a task: its outputs, one or two
};

struct alignas(16) TokenPhase {
    // A product, which is cut into tasks, on a warp each.
    TokenChunks chunks;
    int32_t n_chunks = 0;
    int32_t n_tasks = 0;
    int32_t first_warp = 0;  // of the grid's, which has task 0
    uint32_t row_bytes = 0;
    int32_t part_ends[kMostParts - 1] = {};  // the outputs behind parts 0 and 1
    int32_t n_outputs = 0;
    int32_t is_gate_up = 0;  // the outputs of a task are one of part 0 and one of part 1
    // Addresses of output 0 if its part began there: row r of the part is at + (its first output + r) * size.
    uint64_t rows[kMostParts] = {};
    uint64_t y[kMostParts] = {};
    uint64_t biases[kMostParts] = {};  // 0: there is none
    int32_t chunk_columns = 0;
    int32_t last_chunk_columns = 0;
    int32_t has_panel = 0;  // that of the product before: its input is the same
    int32_t has_biases = 0;
    int32_t format = 0;
    LinearJob job;

    TokenPhaseKind kind = TokenPhaseKind::kProduct;
    uint32_t meeting =
        0;  // blocks wait for all others before it, for the n-th time; 0: they do not
    // Attention.
    int32_t layer = 0;
    const float* q_norm = nullptr;
    const float* k_norm = nullptr;

    TokenConstants constants[kMostConstants];
};

// Whether there are kernels for such weights and caches. On top of that heads and rows must find room in shared
// memory, which prepare_token_pass() finds out.
bool has_token_pass(const Weights& weights, const KvCache& cache);
// The device memory that it needs, aligned to 256; 0 where there is none.
uint64_t token_pass_bytes(const Weights& weights, const KvCache& cache);

// A pass as it is launched; kept beside Forward, whose batch has one row.
struct TokenPass {
    const TokenPhase* phases = nullptr;  // device memory; null: there is no such pass
    int32_t n_phases = 0;                // with the logits, if there is a head
    uint32_t* counters = nullptr;        // of grid_barrier.cuh
    int32_t n_blocks = 0;
    int32_t ring_bytes = 0;  // of each warp
    int32_t shared_bytes = 0;
};

// Fills `memory`, of token_pass_bytes(), and waits until that is done. Leaves pass->phases null where the
// device has no such kernel or too little shared memory.
cudaError_t prepare_token_pass(const Forward& f, uint8_t* memory, TokenPass* pass);

// From the hidden rows to those behind all layers; with_logits: and logits of them in the scratch.
cudaError_t run_token_pass(const Forward& f, const TokenPass& pass, bool with_logits);

}  // namespace puna::cuda
