// Context: batches of rows from all generations that can go on.
#include <algorithm>

#include "base/clock.h"
#include "runtime/context.h"

namespace puna::core {
namespace {

int64_t deadline_after(int32_t budget_us) {
    return budget_us > 0 ? now_ns() + int64_t{1000} * budget_us : INT64_MAX;
}

}  // namespace

Status Context::step(int64_t deadline_ns) {
    PUNA_TRY(broken_);
    end_cancelled();
    if (!evaluator_->is_running()) {
        build_batch(deadline_ns);
        if (batch_.empty()) return {};
        if (Status status = evaluator_->begin(); !status.ok()) {
            batch_.clear();
            return status;
        }
    }
    return advance_batch(deadline_ns);
}

Status Context::step_within(int32_t budget_us) {
    const Status status = step(deadline_after(budget_us));
    return gate_.is_cancelled() ? cancelled_error() : status;
}

Status Context::next(Generation& generation, int32_t budget_us, puna_event* event) {
    const bool is_limited = budget_us > 0;
    const int64_t deadline_ns = deadline_after(budget_us);
    for (bool stepped = false;; stepped = true) {
        end_cancelled();
        PUNA_TRY(generation.poll(event));
        if (event->kind != PUNA_EVENT_PENDING || budget_us < 0) return {};
        if (!generation.can_run()) return {};
        if (is_limited && stepped && now_ns() >= deadline_ns) return {};
        const Status status = step(deadline_ns);
        if (gate_.is_cancelled()) {
            abandon_batch();
            generation.finish(PUNA_FINISH_CANCELLED);
            return cancelled_error();
        }
        PUNA_TRY(status);
    }
}

Status Context::finish_batch() {
    PUNA_TRY(broken_);
    while (evaluator_->is_running()) PUNA_TRY(advance_batch(INT64_MAX));
    return {};
}

// ---- Building ----------------------------------------------------------------------------------

// Generations with one row left, which is decoding, come first: a long prompt of one does not hold
// up the others. What room is left goes to prompts, each in turn the first.
void Context::build_batch(int64_t deadline_ns) {
    evaluator_->clear();
    batch_.clear();
    slowest_layer_ns_ = 0;
    const int32_t n_rows =
        deadline_ns == INT64_MAX ? limits_.max_rows : std::min(budget_rows_, limits_.max_rows);
    const size_t n = generations_.size();
    for (const bool prompts : {false, true}) {
        for (size_t i = 0; i < n; ++i) {
            Generation& generation = *generations_[(turn_ + i) % n];
            const int32_t n_left = n_rows - evaluator_->n_rows();
            if (n_left == 0) break;
            if (generation.can_run() && generation.is_in_prompt() == prompts) {
                add_rows(generation, n_left);
            }
        }
    }
    ++turn_;
}

void Context::add_rows(Generation& generation, int32_t n_left) {
    if (!generation.prepare()) return;
    const Sequence& sequence = generation.sequence();
    const int32_t begin = generation.next_position();
    const int32_t end = std::min(sequence.n_total(), begin + n_left);
    const bool is_last = end == sequence.n_total();
    const int32_t view = evaluator_->add_view(sequence.pages());
    const auto request = is_last ? generation.output_request() : std::nullopt;
    const int32_t output = request ? evaluator_->add_output(*request) : -1;
    for (int32_t position = begin; position < end; ++position) {
        evaluator_->add_row(sequence.token_at(position), position, view,
                            position + 1 == end ? output : -1);
    }
    batch_.push_back({&generation, end, output, generation.is_in_prompt()});
}

// ---- Running -----------------------------------------------------------------------------------

int32_t Context::poll(void* context) {
    const auto* self = static_cast<const Context*>(context);
    if (self->gate_.needs_attention()) return 1;
    return std::any_of(self->batch_.begin(), self->batch_.end(), [](const BatchItem& item) {
        return item.generation->is_cancel_triggered();
    });
}

Status Context::advance_batch(int64_t deadline_ns) {
    const int64_t begin_ns = now_ns();
    const uint64_t n_layers_before = evaluator_->n_layers_run();
    const Result<bool> done = evaluator_->advance(deadline_ns, poll, this);
    const int64_t spent_ns = now_ns() - begin_ns;
    if (!done.ok()) {
        batch_.clear();
        if (done.status().code() == PUNA_ERROR_INTERNAL) broken_ = done.status();
        return done.status();
    }
    for (const BatchItem& item : batch_) {
        item.generation->add_seconds(item.is_prompt, static_cast<double>(spent_ns) * 1e-9);
    }
    if (deadline_ns != INT64_MAX) {
        adapt_budget_rows(deadline_ns - begin_ns, spent_ns,
                          evaluator_->n_layers_run() - n_layers_before, *done);
    }
    if (!*done) return serve_interruption();
    deliver_batch();
    return {};
}

// Steers towards batches whose layers take between a quarter and the whole of the budget. Whether
// there is time for more rows shows when the batch is done: a head without outputs takes none.
void Context::adapt_budget_rows(int64_t budget_ns, int64_t spent_ns, uint64_t n_layers,
                                bool is_done) {
    if (n_layers == 0) return;
    slowest_layer_ns_ = std::max(slowest_layer_ns_, spent_ns / static_cast<int64_t>(n_layers));
    const int32_t n_rows = evaluator_->n_rows();
    if (slowest_layer_ns_ > budget_ns) {
        budget_rows_ = std::max(1, n_rows / 2);
    } else if (is_done && slowest_layer_ns_ < budget_ns / 4 && n_rows >= budget_rows_) {
        budget_rows_ = std::min(limits_.max_rows, budget_rows_ * 2);
    }
}

Status Context::serve_interruption() {
    if (gate_.needs_attention()) {
        MutexLock lock(gate_.mutex());
        if (detach_doomed()) gate_.notify();
    }
    if (gate_.is_cancelled()) {
        abandon_batch();
        return cancelled_error();
    }
    end_cancelled();
    return {};
}

void Context::end_cancelled() {
    for (const auto& generation : generations_) {
        if (!generation->is_cancel_triggered()) continue;
        if (is_in_batch(generation.get())) abandon_batch();
        generation->cancel();
    }
}

bool Context::is_in_batch(const Generation* generation) const {
    return std::any_of(batch_.begin(), batch_.end(),
                       [&](const BatchItem& item) { return item.generation == generation; });
}

void Context::abandon_batch() {
    evaluator_->abandon();
    batch_.clear();
}

// A generation that fails here by lack of memory has ended; the others get their turn still.
void Context::deliver_batch() {
    n_rows_run_ += static_cast<uint64_t>(evaluator_->n_rows());
    for (const BatchItem& item : batch_) {
        const puna_batch_output* output =
            item.output < 0 ? nullptr : &evaluator_->output(item.output);
        item.generation->on_rows_done(item.end, output);
    }
    batch_.clear();
}

}  // namespace puna::core
