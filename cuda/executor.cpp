#include "cuda/executor.h"

#include <algorithm>
#include <thread>

#include "cuda/backend_limits.h"
#include "cuda/outputs.h"
#include "seam/batch_check.h"
#include "seam/options_check.h"

namespace puna::cuda {

namespace {

// The head is run for so many outputs at a time.
puna_executor_options kernel_options(puna_executor_options options) {
    options.max_outputs = std::min(options.max_outputs, kMostHeadRows);
    return options;
}

KvHalf plan_half(int32_t type, int32_t n_head_kv, int32_t head_dim, int32_t n_cells) {
    KvHalf half;
    half.type = type;
    half.n_head_kv = n_head_kv;
    half.head_dim = head_dim;
    half.n_cells = n_cells;
    return half;
}

KvCache plan_cache(const puna_model_spec& spec, const puna_executor_options& options) {
    return {plan_half(options.kv_type_k, spec.n_head_kv, spec.head_dim_k, options.n_cells),
            plan_half(options.kv_type_v, spec.n_head_kv, spec.head_dim_v, options.n_cells)};
}

uint64_t aligned(uint64_t bytes) {
    return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

// Keys, then values.
struct KvSizes {
    uint64_t keys;
    uint64_t values;
};

KvSizes kv_sizes(const KvCache& cache, int32_t n_layers) {
    return {aligned(kv_half_bytes(cache.keys, n_layers)),
            aligned(kv_half_bytes(cache.values, n_layers))};
}

// What the kernels need. The token pass, the staging and the transfer of cells lie behind it.
uint64_t kernel_scratch_bytes(const Weights& weights, const puna_executor_options& options) {
    return aligned(scratch_bytes(weights.spec, weights.has_head, kernel_options(options)));
}

}  // namespace

// ---- Creation ------------------------------------------------------------------------------------

Executor::Executor(const LayerSet& layers, const puna_executor_options& options)
    : layers_(layers),
      weights_(layers.weights()),
      options_(options),
      staging_(weights_, options_),
      transfer_(plan_cache(weights_.spec, options_)) {
    forward_.weights = &weights_;
    forward_.options = kernel_options(options_);
    forward_.cache = plan_cache(weights_.spec, options_);
    forward_.n_processors = device().n_processors();
}

Result<ExecutorSizes> Executor::measure(const Weights& weights,
                                        const puna_executor_options& options) {
    PUNA_TRY(check_options(kLimits, options));
    const KvCache cache = plan_cache(weights.spec, options);
    const KvSizes kv = kv_sizes(cache, static_cast<int32_t>(weights.layers.size()));
    const BatchStaging staging(weights, options);
    const CellTransfer transfer(cache);
    return ExecutorSizes{kv.keys + kv.values, kernel_scratch_bytes(weights, options) +
                                                  token_pass_bytes(weights, cache) +
                                                  staging.device_bytes() + transfer.buffer_bytes()};
}

Result<std::unique_ptr<Executor>> Executor::create(const LayerSet& layers,
                                                   const puna_executor_options& options) {
    PUNA_TRY(check_options(kLimits, options));
    std::unique_ptr<Executor> executor(new Executor(layers, options));
    PUNA_TRY(executor->allocate());
    return executor;
}

Status Executor::allocate() {
    PUNA_TRY_ASSIGN(const ExecutorSizes sizes, measure(weights_, options_));
    PUNA_TRY_ASSIGN(kv_memory_, allocate_device(device(), sizes.kv_bytes, "the KV cache"));
    PUNA_TRY_ASSIGN(scratch_memory_, allocate_device(device(), sizes.scratch_bytes, "scratch"));
    PUNA_TRY_ASSIGN(pinned_,
                    allocate_pinned(device(), staging_.pinned_bytes() + transfer_.buffer_bytes(),
                                    "a context's staging"));
    PUNA_TRY_ASSIGN(stream_, create_stream(device()));
    PUNA_TRY(device().check(prepare_kernels(&forward_.traits), "cudaFuncGetAttributes"));
    for (Piece& piece : pieces_) {
        PUNA_TRY_ASSIGN(piece.done, create_event(device()));
    }

    const KvSizes kv = kv_sizes(forward_.cache, layers_.n_layers());
    const auto set_half = [&](KvHalf& half, uint8_t* data) {
        half.data = data;
        if (half.type != PUNA_KV_Q8_0 || !data) return;
        half.scales =
            reinterpret_cast<uint16_t*>(data + kv_scales_offset(half, layers_.n_layers()));
    };
    set_half(forward_.cache.keys, kv_memory_.data());
    set_half(forward_.cache.values, kv_memory_.data() ? kv_memory_.data() + kv.keys : nullptr);
    forward_.scratch = scratch_memory_.data();
    forward_.stream = stream_.get();
    uint8_t* behind = forward_.scratch + kernel_scratch_bytes(weights_, options_);
    PUNA_TRY(device().check(prepare_token_pass(forward_, behind, &token_pass_), "a pass"));
    if (token_pass_.phases) {
        PUNA_TRY_ASSIGN(timed_from_, create_timer(device()));
        PUNA_TRY_ASSIGN(timed_to_, create_timer(device()));
        trial_.allow_together();
    }
    behind += token_pass_bytes(weights_, forward_.cache);
    staging_.set_memory(behind, pinned_.data());
    transfer_.set_memory(behind + staging_.device_bytes(),
                         pinned_.data() + staging_.pinned_bytes());
    return {};
}

// ---- Batches -------------------------------------------------------------------------------------

int32_t Executor::n_steps() const {
    const int32_t n_head = weights_.has_head ? std::max(1, staging_.n_chunks()) : 0;
    return std::max(1, layers_.n_layers() + n_head);
}

Status Executor::begin(const puna_batch& batch) {
    PUNA_TRY(device().usable());
    if (running_) return make_status(PUNA_ERROR_STATE, "begin: a batch is under way");
    PUNA_TRY(check_batch(kLimits, range_of(weights_), options_, batch));
    PUNA_TRY(staging_.stage(batch));
    batch_ = batch;
    if (weights_.has_embedding) batch_.hidden_in = nullptr;
    if (weights_.has_head) batch_.hidden_out = nullptr;
    forward_.batch = staging_.batch();
    next_step_ = 0;
    n_done_ = 0;
    n_pieces_ = 0;
    is_timed_ = false;
    running_ = true;
    return {};
}

Status Executor::advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                         puna_progress* progress) {
    progress->done = 0;
    progress->n_layers_run = 0;
    PUNA_TRY(device().usable());
    if (!running_) return make_status(PUNA_ERROR_STATE, "advance: no batch is under way");
    Status status = run({deadline_ns, interrupted, user}, progress);
    if (!status.ok()) abandon();
    return status;
}

void Executor::abandon() {
    if (running_) wait_for_all();
    running_ = false;
    n_pieces_ = 0;
}

// After a fault nothing runs any more.
void Executor::wait_for_all() {
    if (!stream_.get() || !device().usable().ok()) return;
    (void)device().check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize").ok();
}

bool Executor::is_allowed(const Limits& limits) const {
    const puna_host_services& services = layers_.services();
    if (limits.deadline_ns != INT64_MAX && services.now_ns(services.host) >= limits.deadline_ns) {
        return false;
    }
    return !limits.interrupted || limits.interrupted(limits.user) == 0;
}

// A chunk of the head is staged where the one before was.
bool Executor::has_room() const {
    if (next_step_ == n_steps() || n_pieces_ == 2) return false;
    return next_step_ <= layers_.n_layers() || n_pieces_ == 0;
}

Status Executor::run(const Limits& limits, puna_progress* progress) {
    // Few rows are through before anybody who waits for an interruption would notice.
    const bool whole =
        limits.deadline_ns == INT64_MAX && (!limits.interrupted || batch_.n_rows <= kFewRows);
    while (running_) {
        const bool must_begin = progress->n_layers_run == 0 && n_pieces_ == 0;
        if (has_room() && (must_begin || is_allowed(limits))) {
            PUNA_TRY(begin_piece(whole));
            continue;
        }
        if (n_pieces_ == 0) return {};
        const bool may_leave = progress->n_layers_run > 0 && n_pieces_ == 1;
        PUNA_TRY_ASSIGN(const bool done, wait_for_piece(limits, may_leave));
        if (!done) return {};
        PUNA_TRY(finish_trial());
        finish_piece(progress);
    }
    return {};
}

// One step; `whole`: all that can be enqueued at once.
Status Executor::begin_piece(bool whole) {
    if (whole && next_step_ == 0) {
        PUNA_TRY(enqueue_pass());
    } else {
        PUNA_TRY(device().check(enqueue_step(next_step_), "a launch"));
        ++next_step_;
    }
    Piece& piece = pieces_[(first_piece_ + n_pieces_) % 2];
    piece.end_step = next_step_;
    ++n_pieces_;  // before the event: what fails now has still to be waited for
    return device().check(cudaEventRecord(piece.done.get(), stream_.get()), "cudaEventRecord");
}

// Only passes of a kind are compared.
bool Executor::is_tried() const {
    return batch_.n_rows == 1 && staging_.n_chunks() == (weights_.has_head ? 1 : 0);
}

// All layers and the first chunk of the head. Few rows: as a graph, once that is worth it.
Status Executor::enqueue_pass() {
    const int32_t last = std::min(n_steps(), layers_.n_layers() + 1) - 1;
    const bool is_captured = batch_.n_rows <= kFewRows && staging_.n_chunks() <= 1;
    const bool is_one = batch_.n_rows == 1 && (is_tried() || trial_.is_decided());
    const PassWay way = is_one ? trial_.next() : PassWay::kApart;
    GraphExec* graph = nullptr;
    if (is_captured) {
        key_.n_rows = batch_.n_rows;
        key_.n_views = batch_.n_views;
        key_.n_pages_of_longest = forward_.batch.n_pages_of_longest;
        key_.requests.assign(staging_.requests().begin(), staging_.requests().end());
        GraphCache::Entry* known = graphs_.find(key_);
        if (known) graph = &known->graphs[static_cast<int>(way)];
    }
    if (graph && !graph->get()) {
        PUNA_TRY_ASSIGN(*graph, capture_graph(device(), stream_.get(),
                                              [this, way] { return enqueue_launches(way); }));
        if (!graph->get() && way == PassWay::kTogether) trial_.forbid_together();
    }
    if (!graph || !graph->get()) {
        for (; next_step_ <= last; ++next_step_) {
            PUNA_TRY(device().check(enqueue_step(next_step_), "a launch"));
        }
        return {};
    }
    cudaStream_t stream = stream_.get();
    PUNA_TRY(device().check(
        staging_.enqueue_input(batch_, puna::cuda::hidden_rows(forward_), stream), "input"));
    PUNA_TRY(launch_graph(graph->get(), way));
    if (staging_.n_chunks() == 1) {
        PUNA_TRY(device().check(staging_.enqueue_results(stream), "results"));
    }
    if (batch_.hidden_out) {
        PUNA_TRY(device().check(
            staging_.enqueue_hidden_out(batch_, puna::cuda::hidden_rows(forward_), stream),
            "hidden rows"));
    }
    next_step_ = last + 1;
    return {};
}

// With a clock, as long as it is to be found out which way is the faster one.
Status Executor::launch_graph(cudaGraphExec_t graph, PassWay way) {
    cudaStream_t stream = stream_.get();
    is_timed_ = is_tried() && !trial_.is_decided();
    timed_way_ = way;
    if (is_timed_) {
        PUNA_TRY(device().check(cudaEventRecord(timed_from_.get(), stream), "cudaEventRecord"));
    }
    PUNA_TRY(device().check(cudaGraphLaunch(graph, stream), "cudaGraphLaunch"));
    if (!is_timed_) return {};
    return device().check(cudaEventRecord(timed_to_.get(), stream), "cudaEventRecord");
}

// Once the pass is done.
Status Executor::finish_trial() {
    if (!is_timed_) return {};
    is_timed_ = false;
    float milliseconds = 0.0f;
    PUNA_TRY(device().check(cudaEventElapsedTime(&milliseconds, timed_from_.get(), timed_to_.get()),
                            "cudaEventElapsedTime"));
    trial_.add(timed_way_, milliseconds);
    return {};
}

// Every kernel of a pass with one chunk.
cudaError_t Executor::enqueue_launches(PassWay way) {
    if (weights_.has_embedding) {
        if (const cudaError_t error = run_embedding(forward_); error != cudaSuccess) return error;
    }
    const DeviceOutput* requests = staging_.requests().data();
    const bool is_together = way == PassWay::kTogether;
    const bool has_logits = is_together && staging_.n_chunks() == 1 && needs_logits(requests, 1);
    if (is_together) {
        const cudaError_t error = run_token_pass(forward_, token_pass_, has_logits);
        if (error != cudaSuccess) return error;
    } else {
        for (int32_t layer = 0; layer < layers_.n_layers(); ++layer) {
            const cudaError_t error = run_layer(forward_, layer);
            if (error != cudaSuccess) return error;
        }
    }
    if (staging_.n_chunks() == 0) return cudaSuccess;
    Forward head = forward_;
    head.batch = staging_.batch();
    if (is_together) head.traits.overlaps = false;  // behind a launch of another kind
    return run_head(head, requests, staging_.device_requests(), has_logits);
}

cudaError_t Executor::enqueue_step(int32_t step) {
    cudaStream_t stream = stream_.get();
    float* hidden = puna::cuda::hidden_rows(forward_);
    cudaError_t error = cudaSuccess;
    if (step == 0) {
        error = staging_.enqueue_input(batch_, hidden, stream);
        if (error == cudaSuccess && weights_.has_embedding) error = run_embedding(forward_);
    }
    if (error != cudaSuccess) return error;
    if (step < layers_.n_layers()) {
        error = run_layer(forward_, step);
    } else if (staging_.n_chunks() > 0) {
        error = enqueue_head(step - layers_.n_layers(), staging_.n_chunks() > 1);
    }
    if (error == cudaSuccess && step == n_steps() - 1 && batch_.hidden_out) {
        error = staging_.enqueue_hidden_out(batch_, hidden, stream);
    }
    return error;
}

cudaError_t Executor::enqueue_head(int32_t chunk, bool with_input) {
    if (with_input) {
        staging_.stage_chunk(batch_, chunk);
        const cudaError_t error = staging_.enqueue_chunk_input(stream_.get());
        if (error != cudaSuccess) return error;
    }
    Forward head = forward_;
    head.batch = staging_.batch();
    if (with_input) head.traits.overlaps = false;  // there is a copy before it
    const cudaError_t error =
        run_head(head, staging_.requests().data(), staging_.device_requests());
    return error != cudaSuccess ? error : staging_.enqueue_results(stream_.get());
}

Result<bool> Executor::wait_for_piece(const Limits& limits, bool may_leave) {
    cudaEvent_t done = pieces_[first_piece_].done.get();
    if (!may_leave) {
        PUNA_TRY(device().check(cudaEventSynchronize(done), "a layer"));
        return true;
    }
    for (;; std::this_thread::yield()) {
        const cudaError_t state = cudaEventQuery(done);
        if (state == cudaSuccess) return true;
        if (state != cudaErrorNotReady) PUNA_TRY(device().check(state, "a layer"));
        if (!is_allowed(limits)) return false;
    }
}

void Executor::finish_piece(puna_progress* progress) {
    const int32_t n_layers = layers_.n_layers();
    const int32_t end = pieces_[first_piece_].end_step;
    first_piece_ ^= 1;
    --n_pieces_;
    // The head counts as a layer when its last chunk is done, and there is one without outputs too.
    const int32_t begin = n_done_;
    n_done_ = end;
    progress->n_layers_run += std::min(end, n_layers) - std::min(begin, n_layers);
    if (end > n_layers && staging_.n_chunks() > 0) staging_.deliver(batch_);
    if (end < n_steps()) return;
    if (weights_.has_head) ++progress->n_layers_run;
    if (batch_.hidden_out) staging_.deliver_hidden(batch_);
    running_ = false;
    progress->done = 1;
}

// ---- Cells ---------------------------------------------------------------------------------------

Status Executor::check_transfer(const core::CellsRequest& request) const {
    const KvHalf& half =
        request.keys_or_values == PUNA_KV_KEYS ? forward_.cache.keys : forward_.cache.values;
    return check_cells(range_of(weights_), options_.n_cells, cell_bytes(half), request);
}

Status Executor::kv_move(std::span<const puna_kv_move> moves) {
    PUNA_TRY(device().usable());
    if (running_) return make_status(PUNA_ERROR_STATE, "kv_move: a batch is under way");
    PUNA_TRY(core::check_moves(options_.n_cells, moves));
    if (layers_.n_layers() == 0) return {};
    for (const puna_kv_move& move : moves) {
        if (move.n_cells == 0) continue;
        PUNA_TRY(device().check(move_cells(forward_, move), "kv_move"));
    }
    return {};
}

Status Executor::kv_read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                         uint8_t* out, size_t n_bytes) {
    PUNA_TRY(device().usable());
    PUNA_TRY(check_transfer({layer, keys_or_values, cells, n_bytes}));
    return transfer_.read(device(), forward_, layer - weights_.first_layer, keys_or_values, cells,
                          out);
}

Status Executor::kv_write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                          const uint8_t* data, size_t n_bytes) {
    PUNA_TRY(device().usable());
    PUNA_TRY(check_transfer({layer, keys_or_values, cells, n_bytes}));
    return transfer_.write(device(), forward_, layer - weights_.first_layer, keys_or_values, cells,
                           data);
}

}  // namespace puna::cuda
