// Runs batches of rows through all parts of a model, one executor after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/allocator.h"
#include "runtime/model_part.h"

namespace puna::core {

// One per context; used by one thread at a time. All memory is taken at creation.
class Evaluator {
  public:
    // `options` without max_views, which is max_rows. The parts, in the order of their layers, and
    // the allocator outlive the evaluator.
    static Result<std::unique_ptr<Evaluator>> create(std::span<const ModelPart> parts,
                                                     int32_t n_embd, Allocator& allocator,
                                                     const puna_executor_options& options);
    ~Evaluator();
    // Of the rows that one part hands to the next.
    static uint64_t hidden_bytes(const puna_executor_options& options, int32_t n_embd) {
        return 2 * sizeof(float) * static_cast<uint64_t>(options.max_rows) *
               static_cast<uint64_t>(n_embd);
    }
    Evaluator(const Evaluator&) = delete;
    Evaluator& operator=(const Evaluator&) = delete;

    // Building a batch. Pages, and what outputs point to, stay valid until the batch is over.
    void clear();
    int32_t add_view(std::span<const int32_t> pages);
    void add_row(int32_t token, int32_t position, int32_t view, int32_t output);
    int32_t add_output(const puna_batch_output& output);
    int32_t n_rows() const { return static_cast<int32_t>(rows_.size()); }
    int32_t max_rows() const { return max_rows_; }

    // Takes up the batch that was built. Nothing is under way after a failure.
    Status begin();
    bool is_running() const { return is_running_; }
    // Goes on until the batch is done, the deadline has passed or `interrupted` says so, but runs
    // at least one layer. On failure the batch is abandoned.
    Result<bool> advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user);
    void abandon();
    // Of the batch that is done, in the order of add_output.
    const puna_batch_output& output(int32_t index) const {
        return outputs_[static_cast<size_t>(index)];
    }

    // Layers run by all batches, the head counted as one.
    uint64_t n_layers_run() const { return n_layers_run_; }
    // As puna_context_info has it.
    const char* one_row_kernels() const;
    uint64_t kv_bytes() const { return kv_bytes_; }
    uint64_t scratch_bytes() const { return scratch_bytes_; }

    // Between batches; see puna_backend.h.
    Status move(std::span<const puna_kv_move> moves);
    // One layer of the whole model.
    Status read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                std::span<std::byte> out);
    Status write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                 std::span<const std::byte> data);

  private:
    struct Stage {
        const ModelPart* part;
        puna_executor* executor;
        bool has_head;
    };

    Evaluator(int32_t n_embd, int32_t max_rows) : n_embd_(n_embd), max_rows_(max_rows) {}
    Status add_stage(const ModelPart& part, const puna_executor_options& options, bool is_last);
    Status begin_stage();
    Result<Stage*> stage_of(int32_t layer);

    int32_t n_embd_;
    int32_t max_rows_;
    std::vector<Stage> stages_;
    Buffer hidden_;  // [2][max_rows][n_embd]: what one stage hands to the next; none for one stage

    std::vector<puna_batch_row> rows_;
    std::vector<puna_batch_view> views_;
    std::vector<puna_batch_output> outputs_;
    bool is_running_ = false;
    size_t stage_ = 0;  // the one that is at work

    uint64_t n_layers_run_ = 0;
    uint64_t kv_bytes_ = 0;
    uint64_t scratch_bytes_ = 0;
};

}  // namespace puna::core
