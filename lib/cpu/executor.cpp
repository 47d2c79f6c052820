#include "cpu/executor.h"

#include "base/checked.h"
#include "cpu/batch_check.h"

namespace puna::core {

namespace {

Status check_options(const LayerSet& layers, const puna_executor_options& options) {
    const struct {
        const char* name;
        int32_t value;
        int32_t least;
    } counts[] = {
        {"n_cells", options.n_cells, PUNA_KV_PAGE}, {"n_ctx", options.n_ctx, 1},
        {"max_rows", options.max_rows, 1},          {"max_views", options.max_views, 1},
        {"n_threads", options.n_threads, 0},
    };
    for (const auto& count : counts) {
        if (count.value < count.least) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "executor options: %s is %d, must be %d or more", count.name,
                               count.value, count.least);
        }
    }
    if (options.n_cells % PUNA_KV_PAGE != 0) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "executor options: n_cells is %d, must be a multiple of %d",
                           options.n_cells, PUNA_KV_PAGE);
    }
    if (!layers.kernels->has_kv_type(options.kv_type_k)) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "kv_type_k: the CPU backend has no cache of type %d", options.kv_type_k);
    }
    if (!layers.kernels->has_kv_type(options.kv_type_v)) {
        return make_status(PUNA_ERROR_UNSUPPORTED,
                           "kv_type_v: the CPU backend has no cache of type %d", options.kv_type_v);
    }
    return {};
}

}  // namespace

Executor::Executor(const LayerSet& layers, const puna_executor_options& options)
    : layers_(layers),
      options_(options),
      workers_(*layers.services, options.n_threads),
      attention_(layers, options, workers_) {}

Result<ExecutorSizes> Executor::measure(const LayerSet& layers,
                                        const puna_executor_options& options) {
    PUNA_TRY(check_options(layers, options));
    const Workers workers(*layers.services, options.n_threads);
    const AttentionPlan attention(layers, options, workers);
    PUNA_TRY_ASSIGN(const KvCache cache, KvCache::plan(layers, options));
    PUNA_TRY_ASSIGN(const uint64_t bytes, scratch_bytes(layers, options, attention));
    return ExecutorSizes{cache.size_bytes(), bytes};
}

Result<std::unique_ptr<Executor>> Executor::create(const LayerSet& layers,
                                                   const puna_executor_options& options) {
    PUNA_TRY(check_options(layers, options));
    std::unique_ptr<Executor> executor(new Executor(layers, options));
    PUNA_TRY_ASSIGN(executor->cache_, KvCache::plan(layers, options));
    PUNA_TRY(executor->cache_.allocate(*layers.services));
    PUNA_TRY_ASSIGN(const uint64_t bytes, scratch_bytes(layers, options, executor->attention_));
    PUNA_TRY_ASSIGN(executor->memory_, HostMemory::create(*layers.services, bytes, "scratch"));
    executor->scratch_ = cut_scratch(layers, options, executor->attention_, executor->memory_);
    return executor;
}

Status Executor::check_idle(const char* what) const {
    if (!running_) return {};
    return make_status(PUNA_ERROR_STATE, "%s: a batch is under way", what);
}

Status Executor::begin(const puna_batch& batch) {
    PUNA_TRY(check_idle("begin"));
    PUNA_TRY(check_batch(layers_, options_, batch));
    batch_ = batch;
    next_step_ = 0;
    running_ = true;
    return {};
}

void Executor::run_step(int32_t step) {
    const Forward f = forward();
    if (step == 0) run_embedding(f);
    if (step < layers_.n_layers()) {
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
    for (const puna_kv_move& move : moves) {
        if (move.n_cells < 0 || move.source < 0 || move.target < 0 ||
            move.source > options_.n_cells - move.n_cells ||
            move.target > options_.n_cells - move.n_cells) {
            return make_status(PUNA_ERROR_ARGUMENT,
                               "kv_move: %d cells from %d to %d are not within %d", move.n_cells,
                               move.source, move.target, options_.n_cells);
        }
    }
    for (const puna_kv_move& move : moves) PUNA_TRY(cache_.move(workers_, move));
    return {};
}

Status Executor::check_transfer(int32_t layer, int32_t keys_or_values,
                                std::span<const int32_t> cells, size_t n_bytes) const {
    PUNA_TRY(check_idle("kv transfer"));
    if (layer < layers_.first_layer || layer - layers_.first_layer >= layers_.n_layers()) {
        return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: layer %d is not in this range",
                           layer);
    }
    if (keys_or_values != PUNA_KV_KEYS && keys_or_values != PUNA_KV_VALUES) {
        return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: %d is neither keys nor values",
                           keys_or_values);
    }
    for (const int32_t cell : cells) {
        if (cell < 0 || cell >= options_.n_cells) {
            return make_status(PUNA_ERROR_ARGUMENT, "kv transfer: cell %d does not exist", cell);
        }
    }
    const KvHalf& half = cache_.half(keys_or_values);
    const auto cell_bytes = static_cast<uint64_t>(half.line_bytes * half.n_head_kv);
    uint64_t expected = 0;
    if (!checked_mul<uint64_t>(cells.size(), cell_bytes, &expected) || expected != n_bytes) {
        return make_status(PUNA_ERROR_ARGUMENT,
                           "kv transfer: size is %zu, %zu cells of this layer take %llu", n_bytes,
                           cells.size(), static_cast<unsigned long long>(expected));
    }
    return {};
}

Status Executor::kv_read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                         uint8_t* out, size_t n_bytes) {
    PUNA_TRY(check_transfer(layer, keys_or_values, cells, n_bytes));
    KvCache::read(cache_.half(keys_or_values), layer - layers_.first_layer, cells, out);
    return {};
}

Status Executor::kv_write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                          const uint8_t* data, size_t n_bytes) {
    PUNA_TRY(check_transfer(layer, keys_or_values, cells, n_bytes));
    KvCache::write(cache_.half(keys_or_values), layer - layers_.first_layer, cells, data);
    return {};
}

}  // namespace puna::core
