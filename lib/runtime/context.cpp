#include "runtime/context.h"

#include <algorithm>
#include <cstdio>

#include "base/clock.h"

namespace puna::core {
namespace {

constexpr int32_t kDefaultCtx = 4096;
constexpr int32_t kDefaultBatch = 512;

Status check_range(const char* name, int32_t value, int32_t limit) {
    if (value >= 0 && value <= limit) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "%s is %d, not 0 .. %d", name, static_cast<int>(value),
                       static_cast<int>(limit));
}

Status check_kv_type(const char* name, int32_t value) {
    if (value >= PUNA_KV_DEFAULT && value <= PUNA_KV_Q8_0) return {};
    return make_status(PUNA_ERROR_ARGUMENT, "%s %d is no PUNA_KV_ value", name,
                       static_cast<int>(value));
}

}  // namespace

Result<puna_executor_options> executor_options(const HyperParameters& hyper, Runtime& runtime,
                                               const puna_context_options& options) {
    PUNA_TRY(check_range("n_ctx", options.n_ctx, PUNA_MAX_CTX));
    PUNA_TRY(check_range("n_cells", options.n_cells, PUNA_MAX_CELLS));
    PUNA_TRY(check_range("n_batch", options.n_batch, PUNA_MAX_BATCH));
    PUNA_TRY(check_range("n_threads", options.n_threads, INT32_MAX));
    PUNA_TRY(check_kv_type("kv_type_k", options.kv_type_k));
    PUNA_TRY(check_kv_type("kv_type_v", options.kv_type_v));
    if (options.reserved != 0) {
        return make_status(PUNA_ERROR_UNSUPPORTED, "puna_context_options.reserved is not 0");
    }
    puna_executor_options out = {};
    out.struct_size = sizeof out;
    out.n_ctx = options.n_ctx;
    if (out.n_ctx == 0) {
        out.n_ctx = std::clamp(hyper.n_ctx_train, int32_t{1}, kDefaultCtx);
    }
    const int32_t n_cells = options.n_cells == 0 ? out.n_ctx : options.n_cells;
    out.n_cells = (n_cells + PUNA_KV_PAGE - 1) / PUNA_KV_PAGE * PUNA_KV_PAGE;
    const int32_t n_batch = options.n_batch == 0 ? kDefaultBatch : options.n_batch;
    out.max_rows = std::min(n_batch, out.n_cells);
    out.max_views = out.max_rows;
    out.max_outputs = out.max_rows;
    out.max_bias = Context::kMaxDeviceBias;
    const int32_t n_threads = runtime.host().n_threads();
    out.n_threads = options.n_threads == 0 ? n_threads : std::min(options.n_threads, n_threads);
    out.kv_type_k = options.kv_type_k == PUNA_KV_DEFAULT ? PUNA_KV_F16 : options.kv_type_k;
    out.kv_type_v = options.kv_type_v == PUNA_KV_DEFAULT ? PUNA_KV_F16 : options.kv_type_v;
    out.deterministic = options.deterministic;
    return out;
}

Result<std::shared_ptr<Context>> Context::create(std::shared_ptr<Model> model,
                                                 const puna_context_options& options) {
    if (!model->has_weights()) {
        return make_status(PUNA_ERROR_STATE, "%s: loaded without weights: it only tokenizes",
                           model->file().metadata().name().c_str());
    }
    PUNA_TRY_ASSIGN(const puna_executor_options wanted,
                    executor_options(model->file().hyper, model->runtime(), options));
    std::shared_ptr<Context> context(new Context(std::move(model), options, wanted));
    PUNA_TRY_ASSIGN(context->evaluator_,
                    Evaluator::create(context->model_->parts(), context->model_->n_embd(),
                                      context->model_->runtime().allocator(), wanted));
    LogSink& log = context->model_->runtime().log();
    if (wanted.n_ctx > context->model_->n_ctx_train()) {
        log.log(PUNA_LOG_WARNING, "n_ctx %d is more than the %d tokens the model was trained for",
                static_cast<int>(wanted.n_ctx), static_cast<int>(context->model_->n_ctx_train()));
    }
    log.log(PUNA_LOG_INFO, "context: n_ctx %d, %d cells, %llu bytes of KV cache, %llu of scratch",
            static_cast<int>(wanted.n_ctx), static_cast<int>(wanted.n_cells),
            static_cast<unsigned long long>(context->evaluator_->kv_bytes()),
            static_cast<unsigned long long>(context->evaluator_->scratch_bytes()));
    return context;
}

Context::Context(std::shared_ptr<Model> model, const puna_context_options& options,
                 const puna_executor_options& wanted)
    : model_(std::move(model)),
      limits_(wanted),
      reuses_prefixes_(options.disable_prefix_reuse == 0),
      pages_(std::make_unique<PagePool>(wanted.n_cells / PUNA_KV_PAGE)) {
    batch_.reserve(static_cast<size_t>(wanted.max_rows));
}

Context::~Context() = default;

Status Context::cancelled_error() {
    return make_status(PUNA_ERROR_CANCELLED, "cancelled: the handle was destroyed");
}

Status Context::no_cells_error() const {
    return make_status(PUNA_ERROR_NO_CELLS,
                       "only %d of the context's %d KV cells are free: destroy or truncate a "
                       "sequence, or create the context with a larger n_cells",
                       static_cast<int>(pages_->n_free() * PUNA_KV_PAGE),
                       static_cast<int>(limits_.n_cells));
}

// ---- Calls and handles -------------------------------------------------------------------------

Status Context::enter(const Generation* generation, const Sequence* sequence) {
    PUNA_TRY(model_->runtime().check_process());
    if (!gate_.enter(generation, sequence)) {
        return make_status(PUNA_ERROR_BUSY, "another call is under way on this context");
    }
    return {};
}

void Context::leave() {
    release_finished();
    gate_.leave();
}

Result<std::shared_ptr<Generation>> Context::start(const std::shared_ptr<Sequence>& sequence,
                                                   std::span<const int32_t> prompt,
                                                   GenerationSetup setup) {
    {
        MutexLock lock(gate_.mutex());
        generations_.reserve(generations_.size() + 1);
    }
    PUNA_TRY_ASSIGN(auto generation, Generation::start(sequence, prompt, std::move(setup)));
    MutexLock lock(gate_.mutex());
    generations_.push_back(generation);
    return generation;
}

bool Context::detach_doomed() {
    bool found = false;
    for (const auto& generation : generations_) {
        if (!generation->is_doomed || generation->is_detached) continue;
        if (is_in_batch(generation.get())) abandon_batch();
        generation->finish(PUNA_FINISH_CANCELLED);
        generation->is_detached = true;
        found = true;
    }
    return found;
}

void Context::release_finished() {
    for (;;) {
        // Outlives the lock: with the last reference a sequence goes, which takes the lock too.
        std::shared_ptr<Generation> released;
        MutexLock lock(gate_.mutex());
        if (detach_doomed()) gate_.notify();
        const auto it =
            std::find_if(generations_.begin(), generations_.end(), [](const auto& generation) {
                return generation->is_detached ||
                       (generation->is_done() && !generation->has_events());
            });
        if (it == generations_.end()) return;
        released = std::move(*it);
        released->is_detached = true;
        generations_.erase(it);
    }
}

void Context::close_generation(const std::shared_ptr<Generation>& generation) {
    MutexLock lock(gate_.mutex());
    generation->is_doomed = true;
    if (generation->is_detached) return;
    if (gate_.is_busy()) {
        if (gate_.is_on(generation.get())) gate_.cancel_call();
        if (gate_.is_own_call()) return;  // leave() does the rest
        gate_.wait_until([&] { return !gate_.is_busy() || generation->is_detached; });
    }
    if (generation->is_detached) return;
    detach_doomed();
    std::erase(generations_, generation);  // not the last reference: ours is
}

void Context::close(const void* handle) {
    MutexLock lock(gate_.mutex());
    if (!gate_.is_busy() || !gate_.is_on(handle)) return;
    gate_.cancel_call();
    if (gate_.is_own_call()) return;
    const uint64_t call = gate_.call_number();
    gate_.wait_until([&] { return !gate_.is_busy() || gate_.call_number() != call; });
}

void Context::add_sequence(Sequence* sequence) {
    MutexLock lock(gate_.mutex());
    sequences_.push_back(sequence);
}

void Context::remove_sequence(Sequence* sequence) {
    MutexLock lock(gate_.mutex());
    std::erase(sequences_, sequence);
}

// ---- The rest ----------------------------------------------------------------------------------

Status Context::warm_up() {
    PUNA_TRY(finish_batch());
    const int32_t page = pages_->allocate();
    if (page == kNoPage) return no_cells_error();
    const std::span<const int32_t> pages(&page, 1);
    int32_t token = -1;
    float logit = 0;
    puna_batch_output output = {};
    output.kind = PUNA_ROW_OUTPUT_ARGMAX;
    output.tokens = &token;
    output.values = &logit;
    evaluator_->clear();
    const int32_t view = evaluator_->add_view(pages);
    evaluator_->add_row(0, 0, view, evaluator_->add_output(output));
    Status status = evaluator_->begin();
    while (status.ok() && evaluator_->is_running()) {
        auto done = evaluator_->advance(INT64_MAX, poll, this);
        if (!done.ok()) status = done.status();
        if (gate_.is_cancelled()) {
            evaluator_->abandon();
            status = cancelled_error();
        }
    }
    pages_->release(pages);
    return status;
}

void Context::reset() {
    abandon_batch();
    for (const auto& generation : generations_) generation->finish(PUNA_FINISH_ERROR);
    const SequenceList list(*this);
    for (Sequence* sequence : list.sequences) sequence->truncate(0);
    broken_ = Status();
}

void Context::count_ready(int32_t* n_ready, int32_t* n_active) const {
    int32_t ready = 0;
    int32_t active = 0;
    for (const auto& generation : generations_) {
        if (generation->has_events()) ++ready;
        if (generation->can_run()) ++active;
    }
    if (n_ready != nullptr) *n_ready = ready;
    if (n_active != nullptr) *n_active = active;
}

void Context::fill_info(puna_context_info* info) {
    info->n_ctx = limits_.n_ctx;
    info->n_cells = limits_.n_cells;
    info->n_cells_used = (pages_->n_pages() - pages_->n_free()) * PUNA_KV_PAGE;
    info->n_batch = limits_.max_rows;
    info->n_threads = limits_.n_threads;
    info->kv_type_k = limits_.kv_type_k;
    info->kv_type_v = limits_.kv_type_v;
    info->n_sequences = static_cast<int32_t>(lock_sequences().sequences.size());
    info->n_generations = static_cast<int32_t>(
        std::count_if(generations_.begin(), generations_.end(),
                      [](const auto& generation) { return !generation->is_done(); }));
    info->kv_bytes = evaluator_->kv_bytes();
    info->scratch_bytes = evaluator_->scratch_bytes();
    info->n_layers_run = evaluator_->n_layers_run();
    info->n_rows_run = n_rows_run_;
    info->n_rows_reused = n_rows_reused_;
    std::snprintf(info->one_row_kernels, sizeof info->one_row_kernels, "%s",
                  evaluator_->one_row_kernels());
}

}  // namespace puna::core
