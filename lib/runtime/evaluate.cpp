// Context::evaluate: rows of one sequence at once, without sampling.
#include <algorithm>
#include <cmath>

#include "runtime/context.h"

namespace puna::core {

// What puna_sequence_evaluate wants, worked out.
struct EvaluatePlan {
    int32_t row_output = 0;  // PUNA_ROW_OUTPUT_*, or 0
    int32_t row_size = 0;    // floats
    bool all_rows = false;   // of the new tokens; else the last one
    bool mean = false;
    bool normalize = false;
};

namespace {

Result<EvaluatePlan> plan_evaluation(const Model& model, const puna_evaluate_options& options) {
    EvaluatePlan plan;
    switch (options.output) {
        case PUNA_OUTPUT_DEFAULT:
            return plan;
        case PUNA_OUTPUT_LOGITS_LAST:
        case PUNA_OUTPUT_LOGITS_ALL:
            plan.row_output = PUNA_ROW_OUTPUT_LOGITS;
            plan.row_size = model.n_vocab();
            plan.all_rows = options.output == PUNA_OUTPUT_LOGITS_ALL;
            return plan;
        case PUNA_OUTPUT_HIDDEN_LAST:
        case PUNA_OUTPUT_HIDDEN_ALL:
        case PUNA_OUTPUT_HIDDEN_MEAN:
            plan.row_output = PUNA_ROW_OUTPUT_HIDDEN;
            plan.row_size = model.n_embd();
            plan.all_rows = options.output != PUNA_OUTPUT_HIDDEN_LAST;
            plan.mean = options.output == PUNA_OUTPUT_HIDDEN_MEAN;
            plan.normalize = options.normalize != 0;
            return plan;
        default:
            return make_status(PUNA_ERROR_ARGUMENT, "output %d is no PUNA_OUTPUT_ value",
                               static_cast<int>(options.output));
    }
}

Status check_output(const EvaluatePlan& plan, size_t n_tokens, const float* out, size_t out_size) {
    if (plan.row_output == 0) return {};
    if (plan.all_rows && n_tokens == 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_tokens is 0: no rows to give outputs of");
    }
    const size_t n_rows = plan.all_rows && !plan.mean ? n_tokens : 1;
    const auto row_bytes = static_cast<size_t>(plan.row_size) * sizeof(float);
    if (out == nullptr && out_size > 0) return make_status(PUNA_ERROR_ARGUMENT, "out is NULL");
    if (out != nullptr && out_size / row_bytes >= n_rows) return {};
    return make_status(PUNA_ERROR_BUFFER, "out_size is %zu bytes, %zu rows of %zu are needed",
                       out_size, n_rows, row_bytes);
}

// Gives up the batch and takes pending tokens back on every way out but one, exceptions included.
class Attempt {
  public:
    Attempt(Evaluator& evaluator, Sequence& sequence)
        : evaluator_(evaluator), sequence_(sequence) {}
    ~Attempt() {
        evaluator_.abandon();  // its outputs point to memory that goes now
        sequence_.rollback();  // after a commit nothing is pending
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

  private:
    Evaluator& evaluator_;
    Sequence& sequence_;
};

void normalize_row(float* row, int32_t size) {
    double sum = 0;
    for (int32_t i = 0; i < size; ++i) sum += static_cast<double>(row[i]) * row[i];
    if (sum == 0) return;
    const double scale = 1 / std::sqrt(sum);
    for (int32_t i = 0; i < size; ++i) row[i] = static_cast<float>(row[i] * scale);
}

}  // namespace

Status Context::evaluate(Sequence& sequence, std::span<const int32_t> tokens,
                         const puna_evaluate_options& options,
                         const std::shared_ptr<Cancel>& cancel, float* out, size_t out_size) {
    PUNA_TRY_ASSIGN(const EvaluatePlan plan, plan_evaluation(*model_, options));
    PUNA_TRY(check_output(plan, tokens.size(), out, out_size));
    if (sequence.generation() != nullptr) {
        return make_status(PUNA_ERROR_STATE, "a generation is running on the sequence");
    }
    if (plan.row_output != 0 && tokens.empty() && sequence.length() == 0) {
        return make_status(PUNA_ERROR_ARGUMENT, "the sequence is empty: it has no last token");
    }
    PUNA_TRY(finish_batch());
    const Attempt attempt(*evaluator_, sequence);
    PUNA_TRY(sequence.add_pending(tokens));
    PUNA_TRY(evaluate_rows(sequence, plan, cancel, out));
    sequence.commit();
    return {};
}

Status Context::evaluate_rows(Sequence& sequence, const EvaluatePlan& plan,
                              const std::shared_ptr<Cancel>& cancel, float* out) {
    const int32_t n_total = sequence.n_total();
    const bool wants_last = plan.row_output != 0 && !plan.all_rows;
    // Rows whose output is wanted are evaluated, whatever cells could be shared.
    const int32_t n_shareable = plan.all_rows ? sequence.length() : n_total - (wants_last ? 1 : 0);
    if (reuses_prefixes_) count_reused(sequence.reuse_prefix(n_shareable));
    int32_t begin = std::min(sequence.n_valid(), std::max(0, n_shareable));
    // An evaluation that is cut off leaves its cells undefined, also one that is done again.
    sequence.set_valid(begin);
    if (begin < n_total) PUNA_TRY(sequence.prepare_cells(begin, n_total));

    const auto row_size = static_cast<size_t>(plan.row_size);
    const int32_t first_output = wants_last ? n_total - 1 : sequence.length();
    // A mean takes the rows of one batch at a time, and the sum in double.
    std::vector<float> rows(plan.mean ? row_size * static_cast<size_t>(limits_.max_rows) : 0);
    std::vector<double> sum(plan.mean ? row_size : 0);
    while (begin < n_total) {
        const int32_t end = std::min(n_total, begin + limits_.max_rows);
        evaluator_->clear();
        const int32_t view = evaluator_->add_view(sequence.pages());
        for (int32_t position = begin; position < end; ++position) {
            int32_t index = -1;
            if (plan.row_output != 0 && position >= first_output) {
                puna_batch_output output = {};
                output.kind = plan.row_output;
                const int32_t row = plan.mean ? position - begin : position - first_output;
                output.values =
                    (plan.mean ? rows.data() : out) + static_cast<size_t>(row) * row_size;
                index = evaluator_->add_output(output);
            }
            evaluator_->add_row(sequence.token_at(position), position, view, index);
        }
        PUNA_TRY(evaluator_->begin());
        PUNA_TRY(advance_to_end(cancel));
        n_rows_run_ += static_cast<uint64_t>(end - begin);
        for (int32_t position = std::max(begin, first_output); plan.mean && position < end;
             ++position) {
            const float* row = rows.data() + static_cast<size_t>(position - begin) * row_size;
            for (size_t i = 0; i < row_size; ++i) sum[i] += static_cast<double>(row[i]);
        }
        sequence.set_valid(end);
        begin = end;
    }
    if (plan.mean) {
        const double n_rows = n_total - first_output;
        for (size_t i = 0; i < row_size; ++i) out[i] = static_cast<float>(sum[i] / n_rows);
    }
    const int32_t n_out = plan.row_output == 0 ? 0 : plan.mean ? 1 : n_total - first_output;
    for (int32_t i = 0; plan.normalize && i < n_out; ++i) {
        normalize_row(out + static_cast<size_t>(i) * row_size, plan.row_size);
    }
    return {};
}

Status Context::advance_to_end(const std::shared_ptr<Cancel>& cancel) {
    struct Poll {
        Context* context;
        const Cancel* cancel;
    } wanted = {this, cancel.get()};
    const auto interrupted = [](void* user) -> int32_t {
        const Poll& it = *static_cast<const Poll*>(user);
        return poll(it.context) != 0 || (it.cancel != nullptr && it.cancel->is_triggered());
    };
    for (;;) {
        PUNA_TRY_ASSIGN(const bool done, evaluator_->advance(INT64_MAX, interrupted, &wanted));
        if (done) return {};
        // Nobody else's rows are in this batch, so serving the others does not touch it.
        if (Status status = serve_interruption(); !status.ok()) return status;
        if (is_triggered(cancel)) return make_status(PUNA_ERROR_CANCELLED, "cancelled");
    }
}

}  // namespace puna::core
