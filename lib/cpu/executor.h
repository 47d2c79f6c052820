// KV cache and scratch of one context, and the batch that is on its way.
#pragma once

#include <algorithm>
#include <memory>
#include <span>

#include "base/status.h"
#include "cpu/forward.h"
#include "seam/cells_check.h"

namespace puna::core {

struct ExecutorSizes {
    uint64_t kv_bytes;
    uint64_t scratch_bytes;
};

class Executor {
  public:
    // What create() would take; refuses what it would refuse.
    static Result<ExecutorSizes> measure(const LayerSet& layers,
                                         const puna_executor_options& options);
    // The layer set outlives the executor.
    static Result<std::unique_ptr<Executor>> create(const LayerSet& layers,
                                                    const puna_executor_options& options);

    ExecutorSizes sizes() const { return {cache_.size_bytes(), memory_.size()}; }

    Status begin(const puna_batch& batch);
    Status advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                   puna_progress* progress);
    void abandon() { running_ = false; }

    Status kv_move(std::span<const puna_kv_move> moves);
    // `layer` is counted in the whole model; n_bytes must be the exact size.
    Status kv_read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                   uint8_t* out, size_t n_bytes);
    Status kv_write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                    const uint8_t* data, size_t n_bytes);

  private:
    Executor(const LayerSet& layers, const puna_executor_options& options);

    Forward forward() const { return {layers_, cache_, workers_, attention_, scratch_, batch_}; }
    // Layers, then the head; at least one, for a range that only embeds.
    int32_t n_steps() const { return std::max(1, layers_.n_layers() + (layers_.has_head ? 1 : 0)); }
    void run_step(int32_t step);
    // The batch with only the rows whose output is wanted, which lie in the scratch then.
    puna_batch wanted_rows() const;
    Status check_idle(const char* what) const;
    Status check_transfer(const CellsRequest& request) const;

    const LayerSet& layers_;
    const puna_executor_options options_;
    const Workers workers_;
    const AttentionPlan attention_;
    KvCache cache_;
    HostMemory memory_;
    Scratch scratch_;

    bool running_ = false;
    int32_t next_step_ = 0;
    puna_batch batch_ = {};  // while running; after the last layer the rows whose output is wanted
};

}  // namespace puna::core
