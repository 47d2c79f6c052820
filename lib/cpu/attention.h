// Attention of the rows of a batch over the cache.
//
// The unit of work is one row and up to kAttentionQueries query heads of one KV head. It goes
// through the positions that the row sees in chunks that begin at multiples of kAttentionChunk;
// each chunk gives a partial softmax, and partials are merged in the order of the chunks. So a
// result depends neither on the threads nor on the batch, and with few rows the chunks of one unit
// can be computed at the same time.
//
// Where the kernel set multiplies many rows at once, rows of one sequence that follow each other in a
// batch go through its AttentionRowsFn instead, kAttentionRows at a time.
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/kv_cache.h"
#include "cpu/layer_set.h"
#include "cpu/linear.h"
#include "cpu/workers.h"

namespace puna::core {

// How a batch of at most max_rows rows that see at most n_ctx cells is cut.
class AttentionPlan {
  public:
    AttentionPlan() = default;
    AttentionPlan(const LayerSet& layers, const puna_executor_options& options,
                  const Workers& workers);

    // Units of one row: a KV head with many query heads is several.
    int64_t units_per_row() const { return units_per_row_; }
    // With so few units, chunks are computed apart.
    bool splits_chunks(int32_t n_rows) const { return n_rows * units_per_row_ <= split_units_; }
    // Chunks that one row can touch: its first cell may lie anywhere in a chunk.
    int64_t max_chunks() const { return max_chunks_; }
    // Floats of one partial result: maximum, sum and values of each query head.
    int64_t partial_size() const { return partial_size_; }

    // The kernel for rows of one sequence, or null.
    AttentionRowsFn rows_kernel() const { return rows_kernel_; }
    // Its memory, for each part of n_rows_memories().
    int64_t rows_memory() const { return rows_memory_; }
    int64_t n_rows_memories() const { return n_rows_memories_; }

    // Scratch: partials (floats = n_partials * partial_size) and a counter for each split unit.
    int64_t n_partials() const { return n_partials_; }
    int64_t n_counters() const { return split_units_; }

  private:
    int64_t units_per_row_ = 0;
    int64_t split_units_ = 0;
    int64_t max_chunks_ = 0;
    int64_t partial_size_ = 0;
    int64_t n_partials_ = 0;
    AttentionRowsFn rows_kernel_ = nullptr;
    int64_t rows_memory_ = 0;
    int64_t n_rows_memories_ = 0;
};

struct AttentionInput {
    const LayerSet& layers;
    const KvCache& cache;
    const Workers& workers;
    const AttentionPlan& plan;
    float* partials;                 // [n_partials][partial_size]
    std::atomic<int32_t>* counters;  // [n_counters]
    uint8_t* rows_memory;            // [n_rows_memories][rows_memory]
    const puna_batch& batch;
    int32_t layer;  // of the range, from 0
    Rows q;         // [n_rows][n_head * head_dim_k], turned and scaled
    Rows out;       // [n_rows][n_head * head_dim_v]
};

void attend(const AttentionInput& input);

}  // namespace puna::core
