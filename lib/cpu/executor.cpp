#include "cpu/executor.h"

#include "seam/batch_check.h"
#include "seam/options_check.h"

namespace puna::core {

Executor::Executor(const LayerSet& layers, const puna_executor_options& options)
    : layers_(layers),
      options_(options),
      workers_(*layers.services, options.n_threads),
      attention_(layers, options, workers_) {}

Result<ExecutorSizes> Executor::measure(const LayerSet& layers,
                                        const puna_executor_options& options) {
    PUNA_TRY(check_options(layers.limits, options));
    const Workers workers(*layers.services, options.n_threads);
    const AttentionPlan attention(layers, options, workers);
    PUNA_TRY_ASSIGN(const KvCache cache, KvCache::plan(layers, options));
    PUNA_TRY_ASSIGN(const uint64_t bytes, scratch_bytes(layers, options, attention, workers));
    return ExecutorSizes{cache.size_bytes(), bytes};
}

Result<std::unique_ptr<Executor>> Executor::create(const LayerSet& layers,
                                                   const puna_executor_options& options) {
    PUNA_TRY(check_options(layers.limits, options));
    std::unique_ptr<Executor> executor(new Executor(layers, options));
    PUNA_TRY_ASSIGN(executor->cache_, KvCache::plan(layers, options));
    PUNA_TRY(executor->cache_.allocate(*layers.services));
    PUNA_TRY_ASSIGN(const uint64_t bytes,
                    scratch_bytes(layers, options, executor->attention_, executor->workers_));
    PUNA_TRY_ASSIGN(executor->memory_, HostMemory::create(*layers.services, bytes, "scratch"));
    executor->scratch_ =
        cut_scratch(layers, options, executor->attention_, executor->workers_, executor->memory_);
    return executor;
}

Status Executor::check_idle(const char* what) const {
    if (!running_) return {};
    return make_status(PUNA_ERROR_STATE, "%s: a batch is under way", what);
}

Status Executor::begin(const puna_batch& batch) {
    PUNA_TRY(check_idle("begin"));
    PUNA_TRY(check_batch(layers_.limits, layers_.range(), options_, batch));
    batch_ = batch;
    next_step_ = 0;
    running_ = true;
    return {};
}

puna_batch Executor::wanted_rows() const {
    puna_batch wanted = batch_;
    const auto is_wanted = [](const puna_batch_row& row) { return row.output >= 0; };
    puna_batch_row* end =
        std::copy_if(batch_.rows, batch_.rows + batch_.n_rows, scratch_.wanted, is_wanted);
    wanted.rows = scratch_.wanted;
    wanted.n_rows = static_cast<int32_t>(end - scratch_.wanted);
    return wanted;
}

void Executor::run_step(int32_t step) {
    const Forward f = forward();
    if (step == 0) run_embedding(f);
    if (step == layers_.n_layers() - 1 && layers_.has_head) {
        const puna_batch wanted = wanted_rows();
        if (wanted.n_rows == batch_.n_rows) {
            run_layer(f, step);
        } else {
            run_last_layer(f, step, wanted);
        }
        batch_ = wanted;
    } else if (step < layers_.n_layers()) {
        run_layer(f, step);
    } else if (layers_.has_head) {
        run_head(f);
    }
    if (step == n_steps() - 1 && !layers_.has_head) run_hidden_out(f);
}

Status Executor::advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                         puna_progress* progress) {
    if (!running_) return make_status(PUNA_ERROR_STATE, "advance: no batch is under way");
    const puna_host_services& services = *layers_.services;
    int32_t n_run = 0;
    do {
        run_step(next_step_++);
        ++n_run;
    } while (next_step_ < n_steps() && services.now_ns(services.host) < deadline_ns &&
             !(interrupted && interrupted(user)));
    running_ = next_step_ < n_steps();
    progress->n_layers_run = n_run;
    progress->done = running_ ? 0 : 1;
    return {};
}

Status Executor::kv_move(std::span<const puna_kv_move> moves) {
    PUNA_TRY(check_idle("kv_move"));
    PUNA_TRY(check_moves(options_.n_cells, moves));
    for (const puna_kv_move& move : moves) PUNA_TRY(cache_.move(workers_, move));
    return {};
}

Status Executor::check_transfer(const CellsRequest& request) const {
    const KvHalf& half = cache_.half(request.keys_or_values);
    const auto cell_bytes = static_cast<uint64_t>(half.line_bytes * half.n_head_kv);
    return check_cells(layers_.range(), options_.n_cells, cell_bytes, request);
}

Status Executor::kv_read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                         uint8_t* out, size_t n_bytes) {
    PUNA_TRY(check_transfer({layer, keys_or_values, cells, n_bytes}));
    KvCache::read(cache_.half(keys_or_values), layer - layers_.first_layer, cells, out);
    return {};
}

Status Executor::kv_write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                          const uint8_t* data, size_t n_bytes) {
    PUNA_TRY(check_transfer({layer, keys_or_values, cells, n_bytes}));
    KvCache::write(cache_.half(keys_or_values), layer - layers_.first_layer, cells, data);
    return {};
}

}  // namespace puna::core
