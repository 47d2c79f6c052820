#include "runtime/evaluator.h"

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"

namespace puna::core {

Result<std::unique_ptr<Evaluator>> Evaluator::create(std::span<const ModelPart> parts,
                                                     int32_t n_embd, Allocator& allocator,
                                                     const puna_executor_options& options) {
    const auto max_rows = static_cast<size_t>(options.max_rows);
    std::unique_ptr<Evaluator> evaluator(new Evaluator(n_embd, options.max_rows));
    evaluator->rows_.reserve(max_rows);
    evaluator->views_.reserve(max_rows);
    evaluator->outputs_.reserve(max_rows);
    evaluator->stages_.reserve(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
        PUNA_TRY(evaluator->add_stage(parts[i], options, i + 1 == parts.size()));
    }
    if (parts.size() > 1) {
        // Both factors are capped, so the product fits 64 bits; not so 32.
        const uint64_t bytes = hidden_bytes(options, n_embd);
        if (bytes > SIZE_MAX) {
            return make_status(PUNA_ERROR_OUT_OF_MEMORY, "n_batch %zu is too large", max_rows);
        }
        PUNA_TRY_ASSIGN(evaluator->hidden_,
                        Buffer::create(allocator, static_cast<size_t>(bytes), 64, "hidden rows"));
        evaluator->scratch_bytes_ += bytes;
    }
    return evaluator;
}

Status Evaluator::add_stage(const ModelPart& part, const puna_executor_options& options,
                            bool is_last) {
    puna_executor_options stage_options = options;
    stage_options.struct_size = sizeof stage_options;
    stage_options.max_views = options.max_rows;
    puna_executor* executor = nullptr;
    puna_error error = PUNA_ERROR_INIT;
    puna_status code = part.api().create_executor(part.layers, &stage_options, &executor, &error);
    if (code != PUNA_OK) return status_from(code, error);
    stages_.push_back({&part, executor, is_last});
    uint64_t kv = 0;
    uint64_t scratch = 0;
    code = part.api().executor_memory(executor, &kv, &scratch, &error);
    if (code != PUNA_OK) return status_from(code, error);
    kv_bytes_ += kv;
    scratch_bytes_ += scratch;
    return {};
}

Evaluator::~Evaluator() {
    abandon();
    for (const Stage& stage : stages_) stage.part->api().destroy_executor(stage.executor);
}

const char* Evaluator::one_row_kernels() const {
    for (const Stage& stage : stages_) {
        const auto ask = stage.part->api().one_row_kernels;
        const char* kernels = ask != nullptr ? ask(stage.executor) : "";
        if (*kernels != '\0') return kernels;
    }
    return "";
}

void Evaluator::clear() {
    rows_.clear();
    views_.clear();
    outputs_.clear();
}

int32_t Evaluator::add_view(std::span<const int32_t> pages) {
    views_.push_back({pages.data(), static_cast<int32_t>(pages.size()), 0});
    return static_cast<int32_t>(views_.size()) - 1;
}

void Evaluator::add_row(int32_t token, int32_t position, int32_t view, int32_t output) {
    const int32_t page = views_[static_cast<size_t>(view)].pages[position / PUNA_KV_PAGE];
    puna_batch_row row = {};
    row.token = token;
    row.position = position;
    row.cell = page * PUNA_KV_PAGE + position % PUNA_KV_PAGE;
    row.view = view;
    row.first = 0;
    row.adapter = -1;
    row.output = output;
    rows_.push_back(row);
}

int32_t Evaluator::add_output(const puna_batch_output& output) {
    outputs_.push_back(output);
    return static_cast<int32_t>(outputs_.size()) - 1;
}

Status Evaluator::begin() {
    stage_ = 0;
    PUNA_TRY(begin_stage());
    is_running_ = true;
    return {};
}

Status Evaluator::begin_stage() {
    const Stage& stage = stages_[stage_];
    auto* hidden = hidden_.as<float>();
    const size_t hidden_size = static_cast<size_t>(max_rows_) * static_cast<size_t>(n_embd_);
    puna_batch batch = {};
    batch.struct_size = sizeof batch;
    batch.n_rows = n_rows();
    batch.rows = rows_.data();
    batch.n_views = static_cast<int32_t>(views_.size());
    batch.views = views_.data();
    if (stage.has_head) {
        batch.n_outputs = static_cast<int32_t>(outputs_.size());
        batch.outputs = outputs_.data();
    }
    // Stages alternate between the two halves of the buffer.
    if (stage_ > 0) batch.hidden_in = hidden + (stage_ - 1) % 2 * hidden_size;
    if (!stage.has_head) batch.hidden_out = hidden + stage_ % 2 * hidden_size;
    puna_error error = PUNA_ERROR_INIT;
    return status_from(stage.part->api().begin(stage.executor, &batch, &error), error);
}

Result<bool> Evaluator::advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user) {
    for (;;) {
        const Stage& stage = stages_[stage_];
        puna_progress progress = {};
        progress.struct_size = sizeof progress;
        puna_error error = PUNA_ERROR_INIT;
        const puna_status code = stage.part->api().advance(stage.executor, deadline_ns, interrupted,
                                                           user, &progress, &error);
        n_layers_run_ += static_cast<uint64_t>(progress.n_layers_run);
        if (code != PUNA_OK) {
            is_running_ = false;
            return status_from(code, error);
        }
        if (progress.done == 0) return false;
        if (++stage_ == stages_.size()) {
            is_running_ = false;
            return true;
        }
        if (Status status = begin_stage(); !status.ok()) {
            is_running_ = false;
            return status;
        }
        const bool stop = interrupted != nullptr && interrupted(user) != 0;
        if (stop || (deadline_ns != INT64_MAX && now_ns() >= deadline_ns)) return false;
    }
}

void Evaluator::abandon() {
    if (!is_running_) return;
    const Stage& stage = stages_[stage_];
    stage.part->api().abandon(stage.executor);
    is_running_ = false;
}

Status Evaluator::move(std::span<const puna_kv_move> moves) {
    puna_error error = PUNA_ERROR_INIT;
    for (const Stage& stage : stages_) {
        const puna_status code = stage.part->api().kv_move(
            stage.executor, moves.data(), static_cast<int32_t>(moves.size()), &error);
        if (code != PUNA_OK) return status_from(code, error);
    }
    return {};
}

Result<Evaluator::Stage*> Evaluator::stage_of(int32_t layer) {
    for (Stage& stage : stages_) {
        const int32_t index = layer - stage.part->first_layer;
        if (index >= 0 && index < stage.part->n_layers) return &stage;
    }
    return make_status(PUNA_ERROR_INTERNAL, "layer %d belongs to no part", static_cast<int>(layer));
}

Status Evaluator::read(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                       std::span<std::byte> out) {
    PUNA_TRY_ASSIGN(const Stage* stage, stage_of(layer));
    puna_error error = PUNA_ERROR_INIT;
    const puna_status code = stage->part->api().kv_read(
        stage->executor, layer, keys_or_values, cells.data(), static_cast<int32_t>(cells.size()),
        out.data(), out.size(), &error);
    return status_from(code, error);
}

Status Evaluator::write(int32_t layer, int32_t keys_or_values, std::span<const int32_t> cells,
                        std::span<const std::byte> data) {
    PUNA_TRY_ASSIGN(const Stage* stage, stage_of(layer));
    puna_error error = PUNA_ERROR_INIT;
    const puna_status code = stage->part->api().kv_write(
        stage->executor, layer, keys_or_values, cells.data(), static_cast<int32_t>(cells.size()),
        data.data(), data.size(), &error);
    return status_from(code, error);
}

}  // namespace puna::core
