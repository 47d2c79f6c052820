// KV cache and scratch of one context on one device, and the batch that is on its way.
#pragma once

#include <memory>
#include <span>

#include "cuda/batch_staging.h"
#include "cuda/cell_transfer.h"
#include "cuda/graph_cache.h"
#include "cuda/layer_set.h"
#include "cuda/token_pass.h"
#include "seam/cells_check.h"

namespace puna::cuda {

struct ExecutorSizes {
    uint64_t kv_bytes;
    uint64_t scratch_bytes;
};

// The device is the current one in all functions, the destructor too.
class Executor {
  public:
    // What create() would take; refuses what it would refuse.
    static Result<ExecutorSizes> measure(const Weights& weights,
                                         const puna_executor_options& options);
    // The layer set outlives the executor.
    static Result<std::unique_ptr<Executor>> create(const LayerSet& layers,
                                                    const puna_executor_options& options);
    ~Executor() { wait_for_all(); }
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    Device& device() const { return layers_.device(); }
    ExecutorSizes sizes() const { return {kv_memory_.size(), scratch_memory_.size()}; }

    Status begin(const puna_batch& batch);
    Status advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                   puna_progress* progress);
    // Waits for what is under way.
    void abandon();
    const char* one_row_kernels() const { return trial_.text(); }

    Status kv_move(std::span<const puna_kv_move> moves);
    // `layer` is counted in the whole model; n_bytes must be the exact size.
    Status kv_read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                   uint8_t* out, size_t n_bytes);
    Status kv_write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                    const uint8_t* data, size_t n_bytes);

  private:
    // How long a call may go on.
    struct Limits {
        int64_t deadline_ns;
        puna_interrupted_fn interrupted;
        void* user;
    };

    Executor(const LayerSet& layers, const puna_executor_options& options);
    Status allocate();
    void wait_for_all();

    // Layers, then the chunks of the head, of which there is one at least. The embedding belongs to the
    // first step.
    int32_t n_steps() const;
    bool is_allowed(const Limits& limits) const;
    bool has_room() const;
    Status run(const Limits& limits, puna_progress* progress);
    Status begin_piece(bool whole);
    Status enqueue_pass();
    cudaError_t enqueue_launches(PassWay way);
    bool is_tried() const;
    Status launch_graph(cudaGraphExec_t graph, PassWay way);
    Status finish_trial();
    cudaError_t enqueue_step(int32_t step);
    cudaError_t enqueue_head(int32_t chunk, bool with_input);
    // False: the call is to return before the piece is done.
    Result<bool> wait_for_piece(const Limits& limits, bool may_leave);
    void finish_piece(puna_progress* progress);
    Status check_transfer(const core::CellsRequest& request) const;

    const LayerSet& layers_;
    const Weights& weights_;
    const puna_executor_options options_;
    BatchStaging staging_;
    CellTransfer transfer_;
    Forward forward_;
    DeviceMemory kv_memory_;
    DeviceMemory scratch_memory_;
    PinnedMemory pinned_;
    Stream stream_;

    // The batch. Steps are enqueued in pieces, each with an event behind it; two are in flight at most,
    // so that the device goes on while the host looks.
    struct Piece {
        int32_t end_step = 0;
        Event done;
    };
    bool running_ = false;
    puna_batch batch_ = {};
    int32_t next_step_ = 0;  // to be enqueued
    int32_t n_done_ = 0;     // steps
    Piece pieces_[2];
    int32_t first_piece_ = 0;
    int32_t n_pieces_ = 0;  // in flight
    GraphCache graphs_;
    PassKey key_;  // kept for its memory
    // Passes of one row as graphs.
    TokenPass token_pass_;
    PassTrial trial_;
    PassWay timed_way_ = PassWay::kApart;
    bool is_timed_ = false;  // the pass that is under way
    Event timed_from_;
    Event timed_to_;
};

}  // namespace puna::cuda
