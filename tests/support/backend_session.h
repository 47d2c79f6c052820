#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend_host.h"
#include "puna/puna_backend.h"
#include "spec_model.h"

namespace puna::test {

// Throws what a call of a backend reported.
inline void require(puna_status status, const puna_error& error) {
    if (status != PUNA_OK) throw std::runtime_error(error.message);
}

inline puna_executor_options executor_options(int32_t max_rows = 64,
                                              int32_t kv_type = PUNA_KV_F32) {
    puna_executor_options options = {};
    options.struct_size = sizeof options;
    options.n_cells = 1024;
    options.n_ctx = 1024;
    options.max_rows = max_rows;
    options.max_views = 8;
    options.max_outputs = max_rows;
    options.max_bias = 8;
    options.kv_type_k = kv_type;
    options.kv_type_v = kv_type;
    // What tests compare must not depend on how much they put in a batch.
    options.deterministic = 1;
    return options;
}

// A request for layers of a model; the tensors live in it.
struct LayersRequest : puna_layers_request {
    LayersRequest(const SpecModel& model, int32_t first, int32_t n, bool embedding, bool head)
        : puna_layers_request{}, list(model.tensors(first, n, embedding, head)) {
        struct_size = sizeof(puna_layers_request);
        first_layer = first;
        n_layers = n;
        has_embedding = embedding;
        has_head = head;
        spec = &model.spec();
        n_tensors = static_cast<int32_t>(list.size());
        tensors = list.data();
    }
    explicit LayersRequest(const SpecModel& model)
        : LayersRequest(model, 0, model.spec().n_layer, true, true) {}
    LayersRequest(const LayersRequest&) = delete;

    std::vector<puna_tensor> list;
};

// A backend object, layers and an executor of it.
class BackendSession {
  public:
    BackendSession(const puna_backend_api& api, const BackendHost& host, const char* kernels,
                   const puna_layers_request& request, const puna_executor_options& options)
        : api_(api) {
        puna_error error = PUNA_ERROR_INIT;
        puna_backend_options backend_options = {};
        backend_options.struct_size = sizeof backend_options;
        backend_options.kernels = kernels;
        require(api.create(&host.services(), &backend_options, &backend, &error), error);
        require(api.load_layers(backend, &request, &layers, &error), error);
        require(api.create_executor(layers, &options, &executor, &error), error);
    }
    BackendSession(const BackendSession&) = delete;
    ~BackendSession() {
        if (executor) api_.destroy_executor(executor);
        if (layers) api_.destroy_layers(layers);
        if (backend) api_.destroy(backend);
    }

    void run(const puna_batch& batch) {
        puna_error error = PUNA_ERROR_INIT;
        require(api_.begin(executor, &batch, &error), error);
        if (!advance(INT64_MAX).done) throw std::runtime_error("not done without a deadline");
    }
    puna_status begin(const puna_batch& batch) {
        puna_error error = PUNA_ERROR_INIT;
        const puna_status status = api_.begin(executor, &batch, &error);
        message = error.message;
        return status;
    }
    puna_progress advance(int64_t deadline_ns, puna_interrupted_fn interrupted = nullptr,
                          void* user = nullptr) {
        puna_error error = PUNA_ERROR_INIT;
        puna_progress progress = {};
        progress.struct_size = sizeof progress;
        require(api_.advance(executor, deadline_ns, interrupted, user, &progress, &error), error);
        return progress;
    }

    std::string message;  // of the last begin()
    puna_backend* backend = nullptr;
    puna_layer_set* layers = nullptr;
    puna_executor* executor = nullptr;

  private:
    const puna_backend_api& api_;
};

// A batch under construction; its arrays live in it.
class BatchBuilder {
  public:
    explicit BatchBuilder(const puna_model_spec& spec) : spec_(spec) {}

    int32_t add_view(std::vector<int32_t> pages) {
        pages_.push_back(std::move(pages));
        return static_cast<int32_t>(pages_.size()) - 1;
    }
    // Returns the index of the output, or -1 with kind 0.
    int32_t add_row(int32_t view, int32_t position, int32_t token, int32_t kind = 0, int32_t k = 1,
                    int32_t first = 0) {
        puna_batch_row row = {};
        row.token = token;
        row.position = position;
        const auto page = static_cast<size_t>(position / PUNA_KV_PAGE);
        row.cell = pages_[static_cast<size_t>(view)][page] * PUNA_KV_PAGE + position % PUNA_KV_PAGE;
        row.view = view;
        row.first = first;
        row.adapter = -1;
        row.output = kind == 0 ? -1 : static_cast<int32_t>(outputs.size());
        rows.push_back(row);
        if (kind != 0) add_output(kind, k);
        return row.output;
    }
    // Valid until the next add.
    const puna_batch& batch() {
        views.clear();
        for (const auto& pages : pages_) {
            views.push_back({pages.data(), static_cast<int32_t>(pages.size()), 0});
        }
        batch_ = {};
        batch_.struct_size = sizeof batch_;
        batch_.n_rows = static_cast<int32_t>(rows.size());
        batch_.n_views = static_cast<int32_t>(views.size());
        batch_.n_outputs = static_cast<int32_t>(outputs.size());
        batch_.rows = rows.data();
        batch_.views = views.data();
        batch_.outputs = outputs.data();
        batch_.hidden_in = hidden_in.empty() ? nullptr : hidden_in.data();
        batch_.hidden_out = hidden_out.empty() ? nullptr : hidden_out.data();
        return batch_;
    }
    std::span<const float> values(int32_t output) const {
        const auto& filled = outputs[static_cast<size_t>(output)];
        return {filled.values, static_cast<size_t>(filled.n_filled)};
    }
    std::span<const int32_t> tokens(int32_t output) const {
        const auto& filled = outputs[static_cast<size_t>(output)];
        return {filled.tokens, static_cast<size_t>(filled.n_filled)};
    }

    // Of all outputs, one after the other.
    std::vector<float> all_values() const {
        std::vector<float> all;
        for (size_t i = 0; i < outputs.size(); ++i) {
            const auto one = values(static_cast<int32_t>(i));
            all.insert(all.end(), one.begin(), one.end());
        }
        return all;
    }

    std::vector<puna_batch_row> rows;
    std::vector<puna_batch_view> views;
    std::vector<puna_batch_output> outputs;
    std::vector<float> hidden_in;
    std::vector<float> hidden_out;

  private:
    void add_output(int32_t kind, int32_t k) {
        const auto n = static_cast<size_t>(kind == PUNA_ROW_OUTPUT_HIDDEN   ? spec_.n_embd
                                           : kind == PUNA_ROW_OUTPUT_LOGITS ? spec_.n_vocab
                                                                            : k);
        storage_.push_back(std::make_unique<Storage>());
        storage_.back()->values.resize(n);
        storage_.back()->tokens.resize(n);
        puna_batch_output output = {};
        output.kind = kind;
        output.k = k;
        output.values = storage_.back()->values.data();
        output.tokens = storage_.back()->tokens.data();
        outputs.push_back(output);
    }

    struct Storage {
        std::vector<float> values;
        std::vector<int32_t> tokens;
    };

    const puna_model_spec& spec_;
    std::vector<std::vector<int32_t>> pages_;
    std::vector<std::unique_ptr<Storage>> storage_;
    puna_batch batch_ = {};
};

// Rows begin .. end - 1 of one sequence in pages 1, 2, ..., each with an output of a kind.
inline BatchBuilder batch_of(const puna_model_spec& spec, std::span<const int32_t> tokens,
                             int32_t begin, int32_t end, int32_t kind = PUNA_ROW_OUTPUT_LOGITS) {
    BatchBuilder batch(spec);
    std::vector<int32_t> pages((tokens.size() + PUNA_KV_PAGE - 1) / PUNA_KV_PAGE);
    std::iota(pages.begin(), pages.end(), 1);
    const int32_t view = batch.add_view(pages);
    for (int32_t i = begin; i < end; ++i) {
        batch.add_row(view, i, tokens[static_cast<size_t>(i)], kind);
    }
    return batch;
}

// The logits of all rows of one sequence, evaluated in batches of n_batch rows.
inline std::vector<float> run_logits(const puna_model_spec& spec, BackendSession& session,
                                     std::span<const int32_t> tokens, int32_t n_batch) {
    std::vector<float> logits;
    const auto n = static_cast<int32_t>(tokens.size());
    for (int32_t begin = 0; begin < n; begin += n_batch) {
        BatchBuilder batch = batch_of(spec, tokens, begin, std::min(n, begin + n_batch));
        session.run(batch.batch());
        const auto values = batch.all_values();
        logits.insert(logits.end(), values.begin(), values.end());
    }
    return logits;
}

}  // namespace puna::test
