// fake_backend.cpp - a backend plugin that pretends to be a GPU: a test double that really
// computes.
//
// SPDX-License-Identifier: MIT
//
// One device, "fake gpu". Weights are dequantised to float in its memory at load, and the host's
// are let go; hidden rows are float between layers, everything else is double, so a cut model gives
// the same bits as a whole one. It holds the host to its side of the contract: rows that break a
// rule are refused by name, and cells that hold nothing (never written, dropped, or of an abandoned
// batch) are not-a-number and may not be seen.
//
// Environment, read when the backend object is made:
//   PUNA_FAKE_GPU_BYTES       memory of the device; 256 MiB
//   PUNA_FAKE_GPU_LAYER_US    each layer takes at least so many microseconds of the host's clock
//   PUNA_FAKE_GPU_FAIL_LAYER  that `advance` of the backend object, counted from 1, fails; the
//                             executor lives on
//
// To export nothing but the entry (the standard library's templates are weak symbols otherwise),
// link with -Wl,--version-script=exports.map.
#include <chrono>
#include <cstdlib>
#include <limits>
#include <memory>
#include <thread>

#include "fake_device.h"
#include "fake_model.h"

#if defined(_WIN32)
#define FAKE_EXPORT __declspec(dllexport)
#else
#define FAKE_EXPORT __attribute__((visibility("default")))
#endif

struct puna_backend {
    puna_backend(const puna_host_services& host_services, uint64_t bytes)
        : services(host_services), memory(bytes) {}

    bool supports(int32_t format) const;

    const puna_host_services services;
    fake::DeviceMemory memory;
    int64_t layer_us = 0;
    int64_t fail_layer = 0;
    std::atomic<int64_t> n_advances{0};
    std::atomic<int32_t> n_children{0};
};

struct puna_layer_set {
    puna_layer_set(puna_backend& owner, fake::Plan&& checked);
    ~puna_layer_set() { --backend.n_children; }

    puna_backend& backend;
    const fake::Plan plan;  // its pointers are not used after the load
    fake::DeviceShare share;
    std::vector<double> frequencies;
    fake::LayerWeights model;  // roles without a layer
    std::vector<fake::LayerWeights> layers;
    std::vector<puna_layers_format> formats;
    mutable std::atomic<int32_t> n_children{0};
};

struct puna_executor {
    puna_executor(puna_layer_set& owner, const puna_executor_options& checked);
    ~puna_executor() { --layers.n_children; }

    void begin(const puna_batch& given);
    void advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                 puna_progress& progress);
    void abandon() noexcept;
    void move(const puna_kv_move& move);
    void drop(int32_t first_cell, int32_t n_cells) noexcept;
    void check_cells(const int32_t* cells, int32_t n_cells) const;
    void hold(int32_t cell) { cells_[static_cast<size_t>(cell)] = kHeld; }

    puna_layer_set& layers;
    const puna_executor_options options;
    fake::DeviceShare kv_share;
    fake::DeviceShare scratch_share;
    fake::KvArray keys;
    fake::KvArray values;
    bool active = false;

  private:
    enum : uint8_t { kHeld = 1, kInBatch = 2 };

    void check_row(int32_t index);
    void check_output(int32_t index) const;
    void run_step();
    void embed();
    void run_layer(size_t index);
    void attend(size_t index, const puna_batch_row& row, const double* q);
    void run_head();
    void fill(puna_batch_output& output, const float* hidden_row);
    void choose(puna_batch_output& output);
    void finish();
    void poison(int32_t cell) noexcept;

    const puna_model_spec& spec_;
    puna_batch batch_{};
    int32_t step_ = 0;
    std::vector<uint8_t> cells_;  // kHeld, kInBatch
    std::vector<int32_t> last_;   // by view: the position of its last row
    std::vector<float> x_;        // [rows][n_embd]
    std::vector<double> q_;       // [rows][n_head * head_dim_k]
    // Of one row:
    std::vector<double> n_, k_, v_, a_, y_, gate_, up_, scores_;
    std::vector<float> logits_;
    std::vector<int32_t> order_;
};

namespace {

using fake::fail;
using fake::guarded;
using fake::require;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t product(int32_t a, int32_t b) {
    return static_cast<size_t>(a) * static_cast<size_t>(b);
}

puna_executor_options checked_options(const puna_executor_options* given) {
    const puna_executor_options o = fake::read_struct(given, "executor options");
    require(o.n_cells > 0 && o.n_cells % PUNA_KV_PAGE == 0, "n_cells is no multiple of a page");
    require(o.n_ctx > 0, "n_ctx");
    require(o.max_rows > 0, "max_rows");
    require(o.max_views > 0, "max_views");
    if (fake::KvArray::element_bytes(o.kv_type_k) == 0) fail(PUNA_ERROR_UNSUPPORTED, "kv_type_k");
    if (fake::KvArray::element_bytes(o.kv_type_v) == 0) fail(PUNA_ERROR_UNSUPPORTED, "kv_type_v");
    if (o.reserved != 0) fail(PUNA_ERROR_UNSUPPORTED, "a reserved executor option");
    return o;
}

uint64_t kv_bytes(const fake::Plan& plan, const puna_executor_options& o) {
    const puna_model_spec& s = plan.spec;
    const uint64_t cell =
        product(s.n_head_kv, s.head_dim_k) * fake::KvArray::element_bytes(o.kv_type_k) +
        product(s.n_head_kv, s.head_dim_v) * fake::KvArray::element_bytes(o.kv_type_v);
    return product(plan.request.n_layers, o.n_cells) * cell;
}

uint64_t scratch_bytes(const fake::Plan& plan, const puna_executor_options& o) {
    const puna_model_spec& s = plan.spec;
    const uint64_t floats = product(o.max_rows, s.n_embd) + static_cast<size_t>(s.n_vocab);
    const uint64_t doubles = product(o.max_rows, s.n_head) * static_cast<size_t>(s.head_dim_k) +
                             product(s.n_head_kv, s.head_dim_k + s.head_dim_v) +
                             product(s.n_head, s.head_dim_v) + product(2, s.n_embd) +
                             product(2, s.n_ff) + static_cast<size_t>(o.n_ctx);
    return floats * sizeof(float) + doubles * sizeof(double) +
           static_cast<size_t>(s.n_vocab) * sizeof(int32_t) + static_cast<size_t>(o.n_cells);
}

}  // namespace

// ---- backend and layer set ---------------------------------------------------------------------

// Asks the host's dequantiser with a block of zeros; 256 is a multiple of every block length.
bool puna_backend::supports(int32_t format) const {
    alignas(64) static const unsigned char zeros[256 * sizeof(float)] = {};
    float out[256];
    if (format == PUNA_FORMAT_F32) return true;
    return services.dequantize(services.host, format, zeros, 256, out, nullptr) == PUNA_OK;
}

puna_layer_set::puna_layer_set(puna_backend& owner, fake::Plan&& checked)
    : backend(owner),
      plan(std::move(checked)),
      share(backend.memory, plan.device_bytes),
      layers(static_cast<size_t>(plan.request.n_layers)) {
    const puna_model_spec& s = plan.spec;
    if (s.rope != PUNA_ROPE_NONE && s.rope_dim > 0) {
        frequencies.assign(s.rope_frequencies, s.rope_frequencies + s.rope_dim / 2);
    }
    std::map<int32_t, puna_layers_format> by_format;
    for (const auto& [key, t] : plan.tensors) {
        if (plan.tied && t.role == PUNA_TENSOR_OUTPUT) continue;
        const auto n = static_cast<size_t>(t.rows * t.columns);
        fake::LayerWeights& target =
            t.layer < 0 ? model : layers[static_cast<size_t>(t.layer - plan.request.first_layer)];
        fake::Weights& weights = target[static_cast<size_t>(t.role)];
        weights.resize(n);
        if (t.format == PUNA_FORMAT_F32) {
            std::memcpy(weights.data(), t.data, n * sizeof(float));
        } else {
            puna_error error = PUNA_ERROR_INIT;
            const puna_status status =
                backend.services.dequantize(backend.services.host, t.format, t.data,
                                            t.rows * t.columns, weights.data(), &error);
            if (status != PUNA_OK) fail(status, error.message);
        }
        if (!fake::is_matrix(t.role)) continue;
        puna_layers_format& row = by_format[t.format];
        row.format = t.format;
        row.n_tensors += 1;
        row.size_bytes += t.size_bytes;
        fake::write_text(row.kernels, "fake f32");
    }
    for (const auto& [format, row] : by_format) formats.push_back(row);
    ++backend.n_children;
}

// ---- executor: batches -------------------------------------------------------------------------

puna_executor::puna_executor(puna_layer_set& owner, const puna_executor_options& checked)
    : layers(owner),
      options(checked),
      kv_share(owner.backend.memory, kv_bytes(owner.plan, checked)),
      scratch_share(owner.backend.memory, scratch_bytes(owner.plan, checked)),
      keys(checked.kv_type_k, owner.plan.request.n_layers, checked.n_cells,
           owner.plan.spec.n_head_kv * owner.plan.spec.head_dim_k),
      values(checked.kv_type_v, owner.plan.request.n_layers, checked.n_cells,
             owner.plan.spec.n_head_kv * owner.plan.spec.head_dim_v),
      spec_(owner.plan.spec) {
    const puna_model_spec& s = spec_;
    cells_.resize(static_cast<size_t>(options.n_cells));
    last_.resize(static_cast<size_t>(options.max_views));
    x_.resize(product(options.max_rows, s.n_embd));
    q_.resize(product(options.max_rows, s.n_head) * static_cast<size_t>(s.head_dim_k));
    n_.resize(static_cast<size_t>(s.n_embd));
    y_.resize(static_cast<size_t>(s.n_embd));
    k_.resize(product(s.n_head_kv, s.head_dim_k));
    v_.resize(product(s.n_head_kv, s.head_dim_v));
    a_.resize(product(s.n_head, s.head_dim_v));
    gate_.resize(static_cast<size_t>(s.n_ff));
    up_.resize(static_cast<size_t>(s.n_ff));
    scores_.resize(static_cast<size_t>(options.n_ctx));
    logits_.resize(static_cast<size_t>(s.n_vocab));
    order_.reserve(static_cast<size_t>(s.n_vocab));
    ++layers.n_children;
}

void puna_executor::begin(const puna_batch& given) {
    const puna_layers_request& r = layers.plan.request;
    if (active) fail(PUNA_ERROR_STATE, "another batch is under way");
    require(given.n_rows >= 1 && given.n_rows <= options.max_rows, "batch.n_rows");
    require(given.n_views >= 1 && given.n_views <= options.max_views, "batch.n_views");
    require(given.rows != nullptr && given.views != nullptr, "batch.rows or views is NULL");
    if (given.n_adapters != 0) fail(PUNA_ERROR_UNSUPPORTED, "batch.adapters");
    if (given.reserved != 0) fail(PUNA_ERROR_UNSUPPORTED, "a reserved field of the batch");
    require(r.has_embedding ? given.hidden_in == nullptr : given.hidden_in != nullptr,
            "batch.hidden_in");
    require(r.has_head ? given.hidden_out == nullptr : given.hidden_out != nullptr,
            "batch.hidden_out");
    batch_ = given;
    if (!r.has_head) batch_.n_outputs = 0;
    require(batch_.n_outputs == 0 || batch_.outputs != nullptr, "batch.outputs is NULL");
    for (int32_t i = 0; i < batch_.n_outputs; ++i) check_output(i);
    // The cells of the batch are marked first: its rows may see each other.
    int32_t n_marked = 0;
    try {
        std::fill(last_.begin(), last_.end(), -1);
        for (; n_marked < batch_.n_rows; ++n_marked) {
            const int32_t cell = batch_.rows[n_marked].cell;
            require(cell >= 0 && cell < options.n_cells, "row.cell is no cell");
            uint8_t& mark = cells_[static_cast<size_t>(cell)];
            require((mark & kInBatch) == 0, "two rows write one cell");
            mark |= kInBatch;
        }
        for (int32_t i = 0; i < batch_.n_rows; ++i) check_row(i);
    } catch (...) {
        for (int32_t i = 0; i < n_marked; ++i) {
            cells_[static_cast<size_t>(batch_.rows[i].cell)] &= static_cast<uint8_t>(~kInBatch);
        }
        throw;
    }
    step_ = 0;
    active = true;
}

void puna_executor::check_row(int32_t index) {
    const puna_batch_row& row = batch_.rows[index];
    const auto check = [index](bool good, const char* what) {
        if (!good) fail(PUNA_ERROR_ARGUMENT, "row " + std::to_string(index) + ": " + what);
    };
    if (layers.plan.request.has_embedding) {
        check(row.token >= 0 && row.token < spec_.n_vocab, "token");
    }
    check(row.view >= 0 && row.view < batch_.n_views, "view");
    check(row.adapter == -1, "adapter");
    check(row.first >= 0 && row.first <= row.position, "first");
    check(row.position - row.first < options.n_ctx, "sees more than n_ctx cells");
    const puna_batch_view& view = batch_.views[row.view];
    check(view.pages != nullptr && row.position / PUNA_KV_PAGE < view.n_pages,
          "position is not in the view");
    int32_t& last = last_[static_cast<size_t>(row.view)];
    check(row.position > last, "the rows of its view are not in order of position");
    last = row.position;
    for (int32_t p = row.first; p <= row.position; ++p) {
        const int32_t page = view.pages[p / PUNA_KV_PAGE];
        check(page >= 0 && page < options.n_cells / PUNA_KV_PAGE, "its view names no page");
        const int32_t cell = page * PUNA_KV_PAGE + p % PUNA_KV_PAGE;
        check(p != row.position || cell == row.cell, "cell is not that of its position");
        // Without layers nothing is ever written, so nothing is known about the cells.
        if (layers.layers.empty() || cells_[static_cast<size_t>(cell)] != 0) continue;
        fail(PUNA_ERROR_ARGUMENT, "row " + std::to_string(index) + " sees cell " +
                                      std::to_string(cell) + ", which holds nothing");
    }
    check(batch_.n_outputs == 0 || (row.output >= -1 && row.output < batch_.n_outputs), "output");
}

void puna_executor::check_output(int32_t index) const {
    const puna_batch_output& output = batch_.outputs[index];
    const auto check = [index](bool good, const char* what) {
        if (!good) fail(PUNA_ERROR_ARGUMENT, "output " + std::to_string(index) + ": " + what);
    };
    int32_t n_named = 0;
    for (int32_t i = 0; i < batch_.n_rows; ++i) n_named += batch_.rows[i].output == index;
    check(n_named == 1, "not exactly one row names it");
    const bool chooses =
        output.kind == PUNA_ROW_OUTPUT_ARGMAX || output.kind == PUNA_ROW_OUTPUT_TOP_K;
    check(chooses || output.kind == PUNA_ROW_OUTPUT_HIDDEN || output.kind == PUNA_ROW_OUTPUT_LOGITS,
          "kind");
    check(output.values != nullptr, "values is NULL");
    if (!chooses) return;
    check(output.tokens != nullptr, "tokens is NULL");
    check(output.kind != PUNA_ROW_OUTPUT_TOP_K || (output.k >= 1 && output.k <= spec_.n_vocab),
          "k");
    check(output.n_bias == 0 || (output.n_bias > 0 && output.bias != nullptr), "bias");
    for (int32_t i = 0; i < output.n_bias; ++i) {
        check(output.bias[i].token >= 0 && output.bias[i].token < spec_.n_vocab, "bias.token");
    }
}

void puna_executor::advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                            puna_progress& progress) {
    if (!active) fail(PUNA_ERROR_STATE, "no batch is under way");
    puna_backend& backend = layers.backend;
    const puna_host_services& services = backend.services;
    const puna_layers_request& r = layers.plan.request;
    if (++backend.n_advances == backend.fail_layer) {
        abandon();
        fail(PUNA_ERROR_BACKEND, "PUNA_FAKE_GPU_FAIL_LAYER: this advance fails");
    }
    // An embedding alone has one step, which runs no layer.
    const int32_t n_steps = std::max(r.n_layers + (r.has_head ? 1 : 0), 1);
    do {
        const int64_t start_ns = services.now_ns(services.host);
        run_step();
        ++step_;
        progress.n_layers_run += r.n_layers > 0 || r.has_head;
        while (services.now_ns(services.host) - start_ns < backend.layer_us * 1000) {
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
    } while (step_ < n_steps && services.now_ns(services.host) < deadline_ns &&
             (interrupted == nullptr || interrupted(user) == 0));
    if (step_ < n_steps) return;
    finish();
    progress.done = 1;
}

void puna_executor::abandon() noexcept {
    if (!active) return;
    active = false;
    for (int32_t i = 0; i < batch_.n_rows; ++i) poison(batch_.rows[i].cell);
}

void puna_executor::run_step() {
    const puna_layers_request& r = layers.plan.request;
    if (step_ == 0) embed();
    if (step_ < r.n_layers) {
        run_layer(static_cast<size_t>(step_));
    } else if (r.has_head) {
        run_head();
    }
}

void puna_executor::finish() {
    if (batch_.hidden_out != nullptr) {
        std::copy_n(x_.data(), product(batch_.n_rows, spec_.n_embd), batch_.hidden_out);
    }
    for (int32_t i = 0; i < batch_.n_rows; ++i) {
        cells_[static_cast<size_t>(batch_.rows[i].cell)] = kHeld;
    }
    active = false;
}

void puna_executor::embed() {
    const size_t n = n_.size();
    if (batch_.hidden_in != nullptr) {
        std::copy_n(batch_.hidden_in, product(batch_.n_rows, spec_.n_embd), x_.data());
        return;
    }
    const fake::Weights& embedding = layers.model[PUNA_TENSOR_TOKEN_EMBD];
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        const float* from = embedding.data() + product(batch_.rows[r].token, spec_.n_embd);
        float* x = x_.data() + product(r, spec_.n_embd);
        for (size_t i = 0; i < n; ++i) x[i] = spec_.embedding_scale * from[i];
    }
}

void puna_executor::run_layer(size_t index) {
    const puna_model_spec& s = spec_;
    const fake::LayerWeights& w = layers.layers[index];
    const size_t n_embd = n_.size();
    const size_t n_q = product(s.n_head, s.head_dim_k);
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        const puna_batch_row& row = batch_.rows[r];
        double* q = q_.data() + static_cast<size_t>(r) * n_q;
        fake::normalize(s, w[PUNA_TENSOR_ATTN_NORM], x_.data() + product(r, s.n_embd), n_.data());
        fake::multiply(w[PUNA_TENSOR_ATTN_Q], w[PUNA_TENSOR_ATTN_Q_BIAS], n_.data(), q, n_q);
        fake::multiply(w[PUNA_TENSOR_ATTN_K], w[PUNA_TENSOR_ATTN_K_BIAS], n_.data(), k_.data(),
                       k_.size());
        fake::multiply(w[PUNA_TENSOR_ATTN_V], w[PUNA_TENSOR_ATTN_V_BIAS], n_.data(), v_.data(),
                       v_.size());
        fake::finish_heads(s, layers.frequencies, w[PUNA_TENSOR_ATTN_Q_NORM], row.position, q,
                           s.n_head);
        fake::finish_heads(s, layers.frequencies, w[PUNA_TENSOR_ATTN_K_NORM], row.position,
                           k_.data(), s.n_head_kv);
        for (size_t i = 0; i < k_.size(); ++i) keys.set(index, row.cell, i, k_[i]);
        for (size_t i = 0; i < v_.size(); ++i) values.set(index, row.cell, i, v_[i]);
    }
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        float* x = x_.data() + product(r, s.n_embd);
        const auto add = [&] {
            for (size_t i = 0; i < n_embd; ++i) {
                x[i] = static_cast<float>(x[i] + s.residual_scale * y_[i]);
            }
        };
        attend(index, batch_.rows[r], q_.data() + static_cast<size_t>(r) * n_q);
        fake::multiply(w[PUNA_TENSOR_ATTN_OUTPUT], w[PUNA_TENSOR_ATTN_OUTPUT_BIAS], a_.data(),
                       y_.data(), n_embd);
        add();
        fake::normalize(s, w[PUNA_TENSOR_FFN_NORM], x, n_.data());
        fake::multiply(w[PUNA_TENSOR_FFN_GATE], w[PUNA_TENSOR_FFN_GATE_BIAS], n_.data(),
                       gate_.data(), gate_.size());
        fake::multiply(w[PUNA_TENSOR_FFN_UP], w[PUNA_TENSOR_FFN_UP_BIAS], n_.data(), up_.data(),
                       up_.size());
        for (size_t i = 0; i < gate_.size(); ++i) {
            gate_[i] = fake::activate(s.activation, gate_[i]) * up_[i];
        }
        fake::multiply(w[PUNA_TENSOR_FFN_DOWN], w[PUNA_TENSOR_FFN_DOWN_BIAS], gate_.data(),
                       y_.data(), n_embd);
        add();
    }
}

// a_ = attention of one row.
void puna_executor::attend(size_t index, const puna_batch_row& row, const double* q) {
    const puna_model_spec& s = spec_;
    const auto dim_k = static_cast<size_t>(s.head_dim_k);
    const auto dim_v = static_cast<size_t>(s.head_dim_v);
    const int32_t* pages = batch_.views[row.view].pages;
    const auto cell_of = [pages](int32_t p) {
        return pages[p / PUNA_KV_PAGE] * PUNA_KV_PAGE + p % PUNA_KV_PAGE;
    };
    std::fill(a_.begin(), a_.end(), 0.0);
    for (int32_t h = 0; h < s.n_head; ++h) {
        const auto g = static_cast<size_t>(h / (s.n_head / s.n_head_kv));
        const double* head_q = q + static_cast<size_t>(h) * dim_k;
        double* head_a = a_.data() + static_cast<size_t>(h) * dim_v;
        double largest = -kInfinity;
        for (int32_t p = row.first; p <= row.position; ++p) {
            double dot = 0;
            for (size_t i = 0; i < dim_k; ++i) {
                dot += head_q[i] * keys.get(index, cell_of(p), g * dim_k + i);
            }
            const double score = fake::soft_cap(dot * s.attention_scale, s.attention_softcap);
            scores_[static_cast<size_t>(p - row.first)] = score;
            largest = std::max(largest, score);
        }
        double sum = 0;
        for (int32_t p = row.first; p <= row.position; ++p) {
            const double weight = std::exp(scores_[static_cast<size_t>(p - row.first)] - largest);
            sum += weight;
            for (size_t i = 0; i < dim_v; ++i) {
                head_a[i] += weight * values.get(index, cell_of(p), g * dim_v + i);
            }
        }
        for (size_t i = 0; i < dim_v; ++i) head_a[i] /= sum;
    }
}

// ---- executor: the head ------------------------------------------------------------------------

void puna_executor::run_head() {
    for (int32_t r = 0; r < batch_.n_rows && batch_.n_outputs > 0; ++r) {
        const int32_t output = batch_.rows[r].output;
        if (output >= 0) fill(batch_.outputs[output], x_.data() + product(r, spec_.n_embd));
    }
}

void puna_executor::fill(puna_batch_output& output, const float* hidden_row) {
    const puna_model_spec& s = spec_;
    fake::normalize(s, layers.model[PUNA_TENSOR_OUTPUT_NORM], hidden_row, n_.data());
    if (output.kind == PUNA_ROW_OUTPUT_HIDDEN) {
        std::transform(n_.begin(), n_.end(), output.values,
                       [](double x) { return static_cast<float>(x); });
        output.n_filled = s.n_embd;
        if (output.log_sum_exp == nullptr) return;
    }
    const fake::Weights& matrix =
        layers.model[layers.plan.tied ? PUNA_TENSOR_TOKEN_EMBD : PUNA_TENSOR_OUTPUT];
    for (size_t i = 0; i < logits_.size(); ++i) {
        const float* row = matrix.data() + i * n_.size();
        double sum = 0;
        for (size_t j = 0; j < n_.size(); ++j) sum += row[j] * n_[j];
        logits_[i] = static_cast<float>(fake::soft_cap(s.logit_scale * sum, s.logit_softcap));
    }
    if (output.log_sum_exp != nullptr) {
        const double largest = *std::max_element(logits_.begin(), logits_.end());
        double sum = 0;
        for (const float logit : logits_) sum += std::exp(logit - largest);
        *output.log_sum_exp = static_cast<float>(largest + std::log(sum));
    }
    if (output.kind == PUNA_ROW_OUTPUT_LOGITS) {
        std::copy(logits_.begin(), logits_.end(), output.values);
        output.n_filled = s.n_vocab;
    } else if (output.kind != PUNA_ROW_OUTPUT_HIDDEN) {
        choose(output);
    }
}

// ARGMAX and TOP_K. What the mask or a bias of -infinity bans does not come back.
void puna_executor::choose(puna_batch_output& output) {
    for (int32_t i = 0; i < output.n_bias; ++i) {
        logits_[static_cast<size_t>(output.bias[i].token)] += output.bias[i].bias;
    }
    order_.clear();
    for (int32_t token = 0; token < spec_.n_vocab; ++token) {
        if (output.mask != nullptr && (output.mask[token / 32] >> (token % 32) & 1u) == 0) continue;
        if (static_cast<double>(logits_[static_cast<size_t>(token)]) > -kInfinity) {
            order_.push_back(token);
        }
    }
    const size_t wanted = output.kind == PUNA_ROW_OUTPUT_ARGMAX ? 1 : static_cast<size_t>(output.k);
    const size_t n = std::min(wanted, order_.size());
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(n), order_.end(),
                      [this](int32_t a, int32_t b) {
                          const float x = logits_[static_cast<size_t>(a)];
                          const float y = logits_[static_cast<size_t>(b)];
                          return x > y || (x == y && a < b);
                      });
    for (size_t i = 0; i < n; ++i) {
        output.tokens[i] = order_[i];
        output.values[i] = logits_[static_cast<size_t>(order_[i])];
    }
    output.n_filled = static_cast<int32_t>(n);
}

// ---- executor: cells ---------------------------------------------------------------------------

void puna_executor::poison(int32_t cell) noexcept {
    for (size_t layer = 0; layer < layers.layers.size(); ++layer) {
        std::memset(keys.cell(layer, cell), 0xFF, keys.cell_bytes());
        std::memset(values.cell(layer, cell), 0xFF, values.cell_bytes());
    }
    cells_[static_cast<size_t>(cell)] = 0;
}

void puna_executor::drop(int32_t first_cell, int32_t n_cells) noexcept {
    for (int32_t i = std::max(first_cell, 0); i - first_cell < n_cells && i < options.n_cells;
         ++i) {
        if ((cells_[static_cast<size_t>(i)] & kInBatch) == 0) poison(i);
    }
}

void puna_executor::check_cells(const int32_t* cells, int32_t n_cells) const {
    require(n_cells >= 0 && (n_cells == 0 || cells != nullptr), "cells or n_cells");
    for (int32_t i = 0; i < n_cells; ++i) {
        require(cells[i] >= 0 && cells[i] < options.n_cells, "cells: no such cell");
        if ((cells_[static_cast<size_t>(cells[i])] & kInBatch) != 0) {
            fail(PUNA_ERROR_STATE, "a cell of the batch that is under way");
        }
    }
}

void puna_executor::move(const puna_kv_move& m) {
    const auto n = static_cast<size_t>(m.n_cells);
    std::memmove(cells_.data() + m.target, cells_.data() + m.source, n);
    for (size_t layer = 0; layer < layers.layers.size() && n > 0; ++layer) {
        std::memmove(keys.cell(layer, m.target), keys.cell(layer, m.source), n * keys.cell_bytes());
        std::memmove(values.cell(layer, m.target), values.cell(layer, m.source),
                     n * values.cell_bytes());
        if (m.delta == 0) continue;
        for (int32_t cell = m.target; cell < m.target + m.n_cells; ++cell) {
            for (int32_t h = 0; h < spec_.n_head_kv; ++h) {
                const size_t head = product(h, spec_.head_dim_k);
                const auto turn = [&](size_t a, size_t b, double c, double d) {
                    const double first = keys.get(layer, cell, head + a);
                    const double second = keys.get(layer, cell, head + b);
                    keys.set(layer, cell, head + a, first * c - second * d);
                    keys.set(layer, cell, head + b, first * d + second * c);
                };
                fake::for_each_rope_pair(spec_, layers.frequencies, m.delta, turn);
            }
        }
    }
}

// ---- the table ---------------------------------------------------------------------------------

namespace {

int64_t environment(const char* name, int64_t standard) {
    const char* text = std::getenv(name);
    return text == nullptr || *text == 0 ? standard : std::strtoll(text, nullptr, 10);
}

// Destroying what still has children would leave them with dangling references: it is kept.
template <typename T>
bool may_destroy(const T& object, const puna_host_services& services, const char* text) {
    if (object.n_children.load() == 0) return true;
    services.log(services.host, PUNA_LOG_ERROR, text, std::strlen(text));
    return false;
}

puna_status PUNA_CALL create(const puna_host_services* services,
                             const puna_backend_options* options, puna_backend** backend,
                             puna_error* error) {
    return guarded(error, [&] {
        require(backend != nullptr, "backend is NULL");
        const auto host = fake::read_struct(services, "services");
        require(host.now_ns != nullptr && host.dequantize != nullptr && host.log != nullptr,
                "a host service is NULL");
        if (options != nullptr) {
            const auto given = fake::read_struct(options, "backend options");
            if (given.kernels != nullptr) fail(PUNA_ERROR_UNSUPPORTED, "kernels: there are none");
            if (given.reserved != 0 || given.reserved2 != nullptr) {
                fail(PUNA_ERROR_UNSUPPORTED, "a reserved backend option");
            }
        }
        const int64_t bytes = environment("PUNA_FAKE_GPU_BYTES", int64_t{256} << 20);
        auto made = std::make_unique<puna_backend>(host, static_cast<uint64_t>(bytes));
        made->layer_us = environment("PUNA_FAKE_GPU_LAYER_US", 0);
        made->fail_layer = environment("PUNA_FAKE_GPU_FAIL_LAYER", 0);
        *backend = made.release();
    });
}

void PUNA_CALL destroy(puna_backend* backend) {
    if (backend == nullptr) return;
    if (may_destroy(*backend, backend->services, "fake gpu: destroyed before its layer sets")) {
        delete backend;
    }
}

int32_t PUNA_CALL n_devices(const puna_backend* backend) {
    return backend == nullptr ? 0 : 1;
}

puna_status PUNA_CALL device_info(const puna_backend* backend, int32_t device,
                                  puna_device_info* info, puna_error* error) {
    return guarded(error, [&] {
        require(backend != nullptr, "backend is NULL");
        if (device != 0) fail(PUNA_ERROR_NOT_FOUND, "there is no device but 0");
        puna_device_info filled = PUNA_DEVICE_INFO_INIT;
        filled.is_gpu = 1;
        filled.total_bytes = backend->memory.total();
        filled.free_bytes = backend->memory.available();
        fake::write_text(filled.backend, "fake");
        fake::write_text(filled.name, "fake gpu");
        fake::write_text(filled.kernels, "fake");
        fake::write_struct(info, filled, "info");
    });
}

int32_t PUNA_CALL format_supported(const puna_backend* backend, int32_t format) {
    return backend != nullptr && backend->supports(format) ? 1 : 0;
}

// Does not look at what is free: that is for the host to compare.
puna_status PUNA_CALL estimate(puna_backend* backend, const puna_layers_request* request,
                               const puna_executor_options* options, puna_backend_estimate* out,
                               puna_error* error) {
    return guarded(error, [&] {
        require(backend != nullptr, "backend is NULL");
        const fake::Plan plan = fake::make_plan(
            request, false, [backend](int32_t format) { return backend->supports(format); });
        puna_backend_estimate filled{};
        filled.device_weight_bytes = plan.device_bytes;
        if (options != nullptr) {
            const puna_executor_options checked = checked_options(options);
            filled.kv_bytes = kv_bytes(plan, checked);
            filled.scratch_bytes = scratch_bytes(plan, checked);
        }
        fake::write_struct(out, filled, "estimate");
    });
}

puna_status PUNA_CALL load_layers(puna_backend* backend, const puna_layers_request* request,
                                  puna_layer_set** layers, puna_error* error) {
    return guarded(error, [&] {
        require(backend != nullptr && layers != nullptr, "backend or layers is NULL");
        fake::Plan plan = fake::make_plan(
            request, true, [backend](int32_t format) { return backend->supports(format); });
        const puna_release_fn release = plan.request.release;
        void* const owner = plan.request.owner;
        *layers = std::make_unique<puna_layer_set>(*backend, std::move(plan)).release();
        if (release != nullptr) release(owner);
    });
}

void PUNA_CALL destroy_layers(puna_layer_set* layers) {
    if (layers == nullptr) return;
    const char* text = "fake gpu: a layer set was destroyed before its executors";
    if (may_destroy(*layers, layers->backend.services, text)) delete layers;
}

puna_status PUNA_CALL layers_info(const puna_layer_set* layers, puna_layers_info* info,
                                  puna_error* error) {
    return guarded(error, [&] {
        require(layers != nullptr, "layers is NULL");
        puna_layers_info filled{};
        filled.n_formats = static_cast<int32_t>(layers->formats.size());
        filled.device_bytes = layers->share.bytes();
        fake::write_struct(info, filled, "info");
    });
}

puna_status PUNA_CALL layers_format(const puna_layer_set* layers, int32_t index,
                                    puna_layers_format* format, puna_error* error) {
    return guarded(error, [&] {
        require(layers != nullptr, "layers is NULL");
        if (index < 0 || static_cast<size_t>(index) >= layers->formats.size()) {
            fail(PUNA_ERROR_NOT_FOUND, "there is no such format");
        }
        fake::write_struct(format, layers->formats[static_cast<size_t>(index)], "format");
    });
}

puna_status PUNA_CALL create_executor(puna_layer_set* layers, const puna_executor_options* options,
                                      puna_executor** executor, puna_error* error) {
    return guarded(error, [&] {
        require(layers != nullptr && executor != nullptr, "layers or executor is NULL");
        const puna_executor_options checked = checked_options(options);
        *executor = std::make_unique<puna_executor>(*layers, checked).release();
    });
}

void PUNA_CALL destroy_executor(puna_executor* executor) {
    delete executor;
}

puna_status PUNA_CALL executor_memory(const puna_executor* executor, uint64_t* kv_bytes_out,
                                      uint64_t* scratch_bytes_out, puna_error* error) {
    return guarded(error, [&] {
        require(executor != nullptr, "executor is NULL");
        if (kv_bytes_out != nullptr) *kv_bytes_out = executor->kv_share.bytes();
        if (scratch_bytes_out != nullptr) *scratch_bytes_out = executor->scratch_share.bytes();
    });
}

puna_status PUNA_CALL begin(puna_executor* executor, const puna_batch* batch, puna_error* error) {
    return guarded(error, [&] {
        require(executor != nullptr, "executor is NULL");
        executor->begin(fake::read_struct(batch, "batch"));
    });
}

puna_status PUNA_CALL advance(puna_executor* executor, int64_t deadline_ns,
                              puna_interrupted_fn interrupted, void* user, puna_progress* progress,
                              puna_error* error) {
    return guarded(error, [&] {
        require(executor != nullptr, "executor is NULL");
        puna_progress filled{};
        fake::write_struct(progress, filled, "progress");
        executor->advance(deadline_ns, interrupted, user, filled);
        fake::write_struct(progress, filled, "progress");
    });
}

void PUNA_CALL abandon(puna_executor* executor) {
    if (executor != nullptr) executor->abandon();
}

puna_status PUNA_CALL kv_move(puna_executor* executor, const puna_kv_move* moves, int32_t n_moves,
                              puna_error* error) {
    return guarded(error, [&] {
        require(executor != nullptr, "executor is NULL");
        require(n_moves >= 0 && (n_moves == 0 || moves != nullptr), "moves or n_moves");
        if (executor->active) fail(PUNA_ERROR_STATE, "a batch is under way");
        const int32_t n_cells = executor->options.n_cells;
        for (int32_t i = 0; i < n_moves; ++i) {
            const puna_kv_move& m = moves[i];
            require(m.n_cells >= 0 && m.n_cells <= n_cells, "move.n_cells");
            require(m.source >= 0 && m.source <= n_cells - m.n_cells, "move.source");
            require(m.target >= 0 && m.target <= n_cells - m.n_cells, "move.target");
        }
        for (int32_t i = 0; i < n_moves; ++i) executor->move(moves[i]);
    });
}

void PUNA_CALL kv_drop(puna_executor* executor, int32_t first_cell, int32_t n_cells) {
    if (executor != nullptr) executor->drop(first_cell, n_cells);
}

// Both directions: `in` is NULL when reading, `out` when writing.
puna_status kv_transfer(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                        const int32_t* cells, int32_t n_cells, const void* in, void* out,
                        size_t size, puna_error* error) {
    return guarded(error, [&] {
        require(executor != nullptr, "executor is NULL");
        const puna_layers_request& r = executor->layers.plan.request;
        const int32_t index = layer - r.first_layer;
        require(index >= 0 && index < r.n_layers, "layer");
        require(keys_or_values == PUNA_KV_KEYS || keys_or_values == PUNA_KV_VALUES,
                "keys_or_values");
        executor->check_cells(cells, n_cells);
        fake::KvArray& array = keys_or_values == PUNA_KV_KEYS ? executor->keys : executor->values;
        const size_t bytes = array.cell_bytes();
        require(size == static_cast<size_t>(n_cells) * bytes, "size is not exact");
        require(size == 0 || in != nullptr || out != nullptr, "the data is NULL");
        for (size_t i = 0; i < static_cast<size_t>(n_cells); ++i) {
            unsigned char* cell = array.cell(static_cast<size_t>(index), cells[i]);
            if (out != nullptr) {
                std::memcpy(static_cast<unsigned char*>(out) + i * bytes, cell, bytes);
            } else {
                std::memcpy(cell, static_cast<const unsigned char*>(in) + i * bytes, bytes);
                executor->hold(cells[i]);
            }
        }
    });
}

puna_status PUNA_CALL kv_read(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                              const int32_t* cells, int32_t n_cells, void* out, size_t size,
                              puna_error* error) {
    return kv_transfer(executor, layer, keys_or_values, cells, n_cells, nullptr, out, size, error);
}

puna_status PUNA_CALL kv_write(puna_executor* executor, int32_t layer, int32_t keys_or_values,
                               const int32_t* cells, int32_t n_cells, const void* data, size_t size,
                               puna_error* error) {
    return kv_transfer(executor, layer, keys_or_values, cells, n_cells, data, nullptr, size, error);
}

constexpr puna_backend_api kApi = {sizeof(puna_backend_api),
                                   PUNA_BACKEND_API_VERSION,
                                   "fake",
                                   "test double, on one thread",
                                   create,
                                   destroy,
                                   n_devices,
                                   device_info,
                                   format_supported,
                                   estimate,
                                   load_layers,
                                   destroy_layers,
                                   layers_info,
                                   layers_format,
                                   nullptr,
                                   nullptr,
                                   create_executor,
                                   destroy_executor,
                                   executor_memory,
                                   begin,
                                   advance,
                                   abandon,
                                   kv_move,
                                   kv_drop,
                                   kv_read,
                                   kv_write};

}  // namespace

extern "C" FAKE_EXPORT const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version);

const puna_backend_api* PUNA_CALL puna_backend_entry(uint32_t api_version) {
    return api_version == PUNA_BACKEND_API_VERSION ? &kApi : nullptr;
}
