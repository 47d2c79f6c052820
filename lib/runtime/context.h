// A context: the KV cache of a model's sequences, and the scheduler that steps their generations.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/call_gate.h"
#include "runtime/evaluator.h"
#include "runtime/generation.h"
#include "runtime/model.h"
#include "runtime/page_pool.h"
#include "runtime/sequence.h"

namespace puna::core {

// What an executor for a context with these options must hold.
Result<puna_executor_options> executor_options(const HyperParameters& hyper, Runtime& runtime,
                                               const puna_context_options& options);

class Context : public std::enable_shared_from_this<Context> {
  public:
    static Result<std::shared_ptr<Context>> create(std::shared_ptr<Model> model,
                                                   const puna_context_options& options);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    // A bias list longer than this is applied by the host.
    static constexpr int32_t kMaxDeviceBias = 1024;

    const Model& model() const { return *model_; }
    int32_t n_ctx() const { return limits_.n_ctx; }
    const puna_executor_options& limits() const { return limits_; }
    Evaluator& evaluator() { return *evaluator_; }
    PagePool& pages() { return *pages_; }
    Status no_cells_error() const;
    bool reuses_prefixes() const { return reuses_prefixes_; }

    // Calls: everything up to "Any thread" runs between enter() and leave().

    // PUNA_ERROR_BUSY, PUNA_ERROR_FORKED. Null for a call on the context itself.
    Status enter(const Generation* generation, const Sequence* sequence);
    void leave();

    // Evaluates one batch, or goes on with one, until the deadline (INT64_MAX: none).
    Status step(int64_t deadline_ns);
    // The same for a budget in microseconds; 0: none.
    Status step_within(int32_t budget_us);
    Result<std::shared_ptr<Generation>> start(const std::shared_ptr<Sequence>& sequence,
                                              std::span<const int32_t> prompt,
                                              GenerationSetup setup);
    // The next event of a generation; steps until there is one or the budget is spent.
    Status next(Generation& generation, int32_t budget_us, puna_event* event);
    // Ends a batch that is under way, so that the cache can be worked on.
    Status finish_batch();
    Status evaluate(Sequence& sequence, std::span<const int32_t> tokens,
                    const puna_evaluate_options& options, const std::shared_ptr<Cancel>& cancel,
                    float* out, size_t out_size);
    Status warm_up();
    void reset();
    void count_ready(int32_t* n_ready, int32_t* n_active) const;
    void fill_info(puna_context_info* info);

    void count_reused(int32_t n_rows) { n_rows_reused_ += static_cast<uint64_t>(n_rows); }

    // Any thread.

    // The user gave a handle back: see [destroy] in puna.h.
    void close_generation(const std::shared_ptr<Generation>& generation);
    void close(const void* handle);

    void add_sequence(Sequence* sequence);
    void remove_sequence(Sequence* sequence);
    // The sequences, which cannot go while the lock is held.
    struct SequenceList {
        explicit SequenceList(Context& context)
            : lock(context.gate_.mutex()), sequences(context.sequences_) {}
        MutexLock lock;
        std::span<Sequence* const> sequences;
    };
    SequenceList lock_sequences() { return SequenceList(*this); }

  private:
    // A generation's rows in the batch that is under way.
    struct BatchItem {
        Generation* generation;
        int32_t end;     // position behind its last row
        int32_t output;  // of its last row, or -1 when more rows follow in later batches
        bool is_prompt;
    };

    Context(std::shared_ptr<Model> model, const puna_context_options& options,
            const puna_executor_options& limits);
    static Status cancelled_error();

    void build_batch(int64_t deadline_ns);
    void add_rows(Generation& generation, int32_t n_left);
    Status advance_batch(int64_t deadline_ns);
    void deliver_batch();
    Status serve_interruption();
    void end_cancelled();
    void abandon_batch();
    bool is_in_batch(const Generation* generation) const;
    void adapt_budget_rows(int64_t budget_ns, int64_t spent_ns, uint64_t n_layers, bool is_done);
    Status advance_to_end(const std::shared_ptr<Cancel>& cancel);
    Status evaluate_rows(Sequence& sequence, const struct EvaluatePlan& plan,
                         const std::shared_ptr<Cancel>& cancel, float* out);
    static int32_t PUNA_CALL poll(void* context);

    bool detach_doomed();
    void release_finished();

    const std::shared_ptr<Model> model_;
    const puna_executor_options limits_;
    const bool reuses_prefixes_;
    std::unique_ptr<PagePool> pages_;
    std::unique_ptr<Evaluator> evaluator_;
    CallGate gate_{this};

    // Changed by the running call, and by destroying threads, with the gate's mutex held.
    std::vector<std::shared_ptr<Generation>> generations_;  // that have not been detached
    std::vector<Sequence*> sequences_;

    std::vector<BatchItem> batch_;
    size_t turn_ = 0;               // whose prompt comes first in the next batch
    int32_t budget_rows_ = 32;      // rows of a batch whose layers fit the budgets that were given
    int64_t slowest_layer_ns_ = 0;  // of the batch under way, in steps with a budget
    uint64_t n_rows_run_ = 0;
    uint64_t n_rows_reused_ = 0;
    Status broken_;  // PUNA_ERROR_INTERNAL: refuse work until reset
};

// A call on a context for as long as it lives.
class ContextCall {
  public:
    ContextCall(std::shared_ptr<Context> context, const Generation* generation,
                const Sequence* sequence)
        : context_(std::move(context)), status_(context_->enter(generation, sequence)) {}
    ~ContextCall() {
        if (status_.ok()) context_->leave();
    }
    ContextCall(const ContextCall&) = delete;
    ContextCall& operator=(const ContextCall&) = delete;

    const Status& status() const { return status_; }

  private:
    const std::shared_ptr<Context> context_;
    const Status status_;
};

}  // namespace puna::core
