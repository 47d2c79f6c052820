// The working memory of an executor: one block, cut once.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/status.h"
#include "cpu/attention.h"
#include "cpu/host_memory.h"
#include "cpu/layer_set.h"
#include "cpu/linear.h"

namespace puna::core {

// Rows of logits that are computed together.
constexpr int32_t kHeadRows = 32;

// Rows are row_stride(columns) apart, but those of `rope`, `partials` and `wanted`.
struct Scratch {
    float* x = nullptr;       // [max_rows][n_embd]: the residual stream
    float* normed = nullptr;  // [max_rows][n_embd]
    float* qkv = nullptr;     // [max_rows][q_columns + k_columns + v_columns]
    float* attn = nullptr;    // [max_rows][n_head * head_dim_v]
    float* gate = nullptr;    // [max_rows][n_ff]
    float* up = nullptr;      // [max_rows][n_ff]
    float* change = nullptr;  // [max_rows][n_embd]: what is added to x
    float* rope = nullptr;    // [max_rows][rope_dim / 2][2]: cosine and sine
    PanelScratch panels;      // empty in deterministic mode and where no matrix has a panel kernel
    float* logits = nullptr;  // [min(max_rows, kHeadRows)][n_vocab], with a head
    float* partials = nullptr;
    std::atomic<int32_t>* counters = nullptr;
    uint8_t* attention_rows = nullptr;  // memory of the AttentionRowsFn
    puna_batch_row* wanted = nullptr;   // [max_rows], with a head: those whose output is wanted
};

// Bytes of the scratch. OUT_OF_MEMORY when they do not fit 64 bits.
Result<uint64_t> scratch_bytes(const LayerSet& layers, const puna_executor_options& options,
                               const AttentionPlan& attention, const Workers& workers);
// `memory` has as many bytes as scratch_bytes() says.
Scratch cut_scratch(const LayerSet& layers, const puna_executor_options& options,
                    const AttentionPlan& attention, const Workers& workers,
                    const HostMemory& memory);

}  // namespace puna::core
