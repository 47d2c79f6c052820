#include "fake_executor.h"

#include <chrono>
#include <limits>
#include <thread>

using fake::fail;
using fake::product;
using fake::require;

// ---- Creation ----------------------------------------------------------------------------------

puna_executor_options puna_executor::checked(const puna_executor_options* given) {
    const puna_executor_options o = fake::sized(given, "executor options");
    require(o.n_cells > 0 && o.n_cells % PUNA_KV_PAGE == 0, "n_cells is no multiple of a page");
    require(o.n_ctx > 0 && o.n_threads > 0, "n_ctx or n_threads");
    require(o.max_rows > 0 && o.max_views > 0, "max_rows or max_views");
    require(o.max_outputs >= 0 && o.max_bias >= 0, "max_outputs or max_bias");
    if (o.max_adapters != 0) fail(PUNA_ERROR_UNSUPPORTED, "max_adapters: there are no adapters");
    if (fake::KvArray::element_bytes(o.kv_type_k) == 0) fail(PUNA_ERROR_UNSUPPORTED, "kv_type_k");
    if (fake::KvArray::element_bytes(o.kv_type_v) == 0) fail(PUNA_ERROR_UNSUPPORTED, "kv_type_v");
    return o;
}

uint64_t puna_executor::kv_bytes(const fake::Plan& plan, const puna_executor_options& o) {
    const puna_model_spec& s = plan.spec;
    const uint64_t cell =
        product(s.n_head_kv, s.head_dim_k) * fake::KvArray::element_bytes(o.kv_type_k) +
        product(s.n_head_kv, s.head_dim_v) * fake::KvArray::element_bytes(o.kv_type_v);
    return product(plan.request.n_layers, o.n_cells) * cell;
}

// The hidden rows and the logits of one.
uint64_t puna_executor::scratch_bytes(const fake::Plan& plan, const puna_executor_options& o) {
    return (product(o.max_rows, plan.spec.n_embd) + product(1, plan.spec.n_vocab)) * sizeof(float);
}

puna_executor::puna_executor(puna_layer_set& owner, const puna_executor_options& given)
    : layers(owner),
      options(given),
      kv_share(owner.backend.memory, kv_bytes(owner.plan, given)),
      scratch_share(owner.backend.memory, scratch_bytes(owner.plan, given)),
      spec_(owner.plan.spec),
      keys_(given.kv_type_k, owner.plan.request.n_layers, given.n_cells,
            owner.plan.spec.n_head_kv * owner.plan.spec.head_dim_k),
      values_(given.kv_type_v, owner.plan.request.n_layers, given.n_cells,
              owner.plan.spec.n_head_kv * owner.plan.spec.head_dim_v) {
    cells_.resize(static_cast<size_t>(options.n_cells));
    last_.resize(static_cast<size_t>(options.max_views));
    x_.resize(product(options.max_rows, spec_.n_embd));
    ++layers.n_children;
}

// ---- Batches -----------------------------------------------------------------------------------

void puna_executor::begin(const puna_batch& given) {
    if (active_) fail(PUNA_ERROR_STATE, "another batch is under way");
    batch_ = given;
    check_batch();
    // The cells of the batch are marked first: its rows may see each other.
    int32_t n_marked = 0;
    try {
        for (; n_marked < batch_.n_rows; ++n_marked) {
            const int32_t cell = batch_.rows[n_marked].cell;
            require(cell >= 0 && cell < options.n_cells, "row.cell is no cell");
            require((mark(cell) & kInBatch) == 0, "two rows write one cell");
            mark(cell) |= kInBatch;
        }
        std::fill(last_.begin(), last_.end(), -1);
        for (int32_t i = 0; i < batch_.n_rows; ++i) check_row(i);
    } catch (...) {
        while (n_marked > 0) mark(batch_.rows[--n_marked].cell) &= kHeld;
        throw;
    }
    step_ = 0;
    active_ = true;
}

void puna_executor::check_batch() const {
    const puna_layers_request& r = layers.plan.request;
    const puna_batch& b = batch_;
    require(b.n_rows >= 1 && b.n_rows <= options.max_rows, "batch.n_rows");
    require(b.n_views >= 1 && b.n_views <= options.max_views, "batch.n_views");
    require(b.n_outputs >= 0 && b.n_outputs <= options.max_outputs, "batch.n_outputs");
    require(b.n_adapters == 0 && b.reserved == 0, "batch.n_adapters or reserved");
    require(b.rows != nullptr && b.views != nullptr, "batch.rows or views is NULL");
    require((b.hidden_in == nullptr) == (r.has_embedding != 0), "batch.hidden_in");
    require((b.hidden_out == nullptr) == (r.has_head != 0), "batch.hidden_out");
    require(b.n_outputs == 0 || (r.has_head != 0 && b.outputs != nullptr), "batch.outputs");
    for (int32_t i = 0; i < b.n_outputs; ++i) check_output(i);
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
        if (layers.layers.empty() || mark(cell) != 0) continue;
        fail(PUNA_ERROR_ARGUMENT, "row " + std::to_string(index) + " sees cell " +
                                      std::to_string(cell) + ", which holds nothing");
    }
    const bool has_head = layers.plan.request.has_head != 0;
    check(!has_head || (row.output >= -1 && row.output < batch_.n_outputs), "output");
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
    check(output.log_sum_exp == nullptr || output.kind != PUNA_ROW_OUTPUT_HIDDEN, "log_sum_exp");
    if (!chooses) return;
    check(output.tokens != nullptr, "tokens is NULL");
    check(output.kind != PUNA_ROW_OUTPUT_TOP_K || (output.k >= 1 && output.k <= spec_.n_vocab),
          "k");
    check(output.n_bias >= 0 && output.n_bias <= options.max_bias, "n_bias");
    check(output.n_bias == 0 || output.bias != nullptr, "bias is NULL");
    for (int32_t i = 0; i < output.n_bias; ++i) {
        check(output.bias[i].token >= 0 && output.bias[i].token < spec_.n_vocab, "bias.token");
    }
}

void puna_executor::advance(int64_t deadline_ns, puna_interrupted_fn interrupted, void* user,
                            puna_progress& progress) {
    if (!active_) fail(PUNA_ERROR_STATE, "no batch is under way");
    puna_backend& backend = layers.backend;
    const puna_host_services& services = backend.services;
    const puna_layers_request& r = layers.plan.request;
    if (++backend.n_advances == backend.fail_advance) {
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
    if (batch_.hidden_out != nullptr) {
        std::copy_n(x_.data(), product(batch_.n_rows, spec_.n_embd), batch_.hidden_out);
    }
    for (int32_t i = 0; i < batch_.n_rows; ++i) mark(batch_.rows[i].cell) = kHeld;
    active_ = false;
    progress.done = 1;
}

void puna_executor::run_step() {
    const puna_layers_request& r = layers.plan.request;
    if (step_ == 0) embed();
    if (step_ < r.n_layers) {
        run_layer(static_cast<size_t>(step_));
    } else if (r.has_head) {
        for (int32_t i = 0; i < batch_.n_rows; ++i) {
            const int32_t output = batch_.rows[i].output;
            if (output >= 0) fill(batch_.outputs[output], hidden(i));
        }
    }
}

void puna_executor::embed() {
    if (batch_.hidden_in != nullptr) {
        std::copy_n(batch_.hidden_in, product(batch_.n_rows, spec_.n_embd), x_.data());
        return;
    }
    const fake::Weights& embedding = layers.model[PUNA_TENSOR_TOKEN_EMBD];
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        const float* from = embedding.data() + product(batch_.rows[r].token, spec_.n_embd);
        float* x = hidden(r);
        for (size_t i = 0; i < static_cast<size_t>(spec_.n_embd); ++i)
            x[i] = spec_.embedding_scale * from[i];
    }
}

// Keys and values of a row go to the cache; its queries come back.
fake::Row puna_executor::write_kv(size_t index, const puna_batch_row& row, const float* x) {
    using fake::multiply;
    const fake::LayerWeights& w = layers.layers[index];
    const fake::Row n = fake::normalize(spec_, w[PUNA_TENSOR_ATTN_NORM], x);
    fake::Row q = multiply(w[PUNA_TENSOR_ATTN_Q], w[PUNA_TENSOR_ATTN_Q_BIAS], n);
    fake::Row k = multiply(w[PUNA_TENSOR_ATTN_K], w[PUNA_TENSOR_ATTN_K_BIAS], n);
    const fake::Row v = multiply(w[PUNA_TENSOR_ATTN_V], w[PUNA_TENSOR_ATTN_V_BIAS], n);
    const fake::Row& angles = layers.frequencies;
    fake::finish_heads(spec_, angles, w[PUNA_TENSOR_ATTN_Q_NORM], row.position, q);
    fake::finish_heads(spec_, angles, w[PUNA_TENSOR_ATTN_K_NORM], row.position, k);
    for (size_t i = 0; i < k.size(); ++i) keys_.set(index, row.cell, i, k[i]);
    for (size_t i = 0; i < v.size(); ++i) values_.set(index, row.cell, i, v[i]);
    return q;
}

void puna_executor::run_layer(size_t index) {
    using fake::multiply;
    const fake::LayerWeights& w = layers.layers[index];
    std::vector<fake::Row> q;
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        q.push_back(write_kv(index, batch_.rows[r], hidden(r)));
    }
    for (int32_t r = 0; r < batch_.n_rows; ++r) {
        float* x = hidden(r);
        const auto add = [&](const fake::Row& y) {
            for (size_t i = 0; i < y.size(); ++i) {
                x[i] = static_cast<float>(x[i] + spec_.residual_scale * y[i]);
            }
        };
        const fake::Row a = attend(index, batch_.rows[r], q[static_cast<size_t>(r)]);
        add(multiply(w[PUNA_TENSOR_ATTN_OUTPUT], w[PUNA_TENSOR_ATTN_OUTPUT_BIAS], a));
        const fake::Row n = fake::normalize(spec_, w[PUNA_TENSOR_FFN_NORM], x);
        fake::Row gate = multiply(w[PUNA_TENSOR_FFN_GATE], w[PUNA_TENSOR_FFN_GATE_BIAS], n);
        const fake::Row up = multiply(w[PUNA_TENSOR_FFN_UP], w[PUNA_TENSOR_FFN_UP_BIAS], n);
        for (size_t i = 0; i < gate.size(); ++i) {
            gate[i] = fake::activate(spec_.activation, gate[i]) * up[i];
        }
        add(multiply(w[PUNA_TENSOR_FFN_DOWN], w[PUNA_TENSOR_FFN_DOWN_BIAS], gate));
    }
}

fake::Row puna_executor::attend(size_t index, const puna_batch_row& row, const fake::Row& q) {
    const puna_model_spec& s = spec_;
    const auto dim_k = static_cast<size_t>(s.head_dim_k);
    const auto dim_v = static_cast<size_t>(s.head_dim_v);
    std::vector<int32_t> cells;
    for (int32_t p = row.first; p <= row.position; ++p) {
        const int32_t page = batch_.views[row.view].pages[p / PUNA_KV_PAGE];
        cells.push_back(page * PUNA_KV_PAGE + p % PUNA_KV_PAGE);
    }
    fake::Row a(product(s.n_head, s.head_dim_v));
    fake::Row scores(cells.size());
    for (size_t h = 0; h < static_cast<size_t>(s.n_head); ++h) {
        const size_t g = h / static_cast<size_t>(s.n_head / s.n_head_kv);
        for (size_t j = 0; j < cells.size(); ++j) {
            double dot = 0;
            for (size_t i = 0; i < dim_k; ++i) {
                dot += q[h * dim_k + i] * keys_.get(index, cells[j], g * dim_k + i);
            }
            scores[j] = fake::soft_cap(dot * s.attention_scale, s.attention_softcap);
        }
        const double largest = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (double& score : scores) sum += score = std::exp(score - largest);
        for (size_t j = 0; j < cells.size(); ++j) {
            for (size_t i = 0; i < dim_v; ++i) {
                a[h * dim_v + i] += scores[j] / sum * values_.get(index, cells[j], g * dim_v + i);
            }
        }
    }
    return a;
}

// ---- The head ----------------------------------------------------------------------------------

void puna_executor::fill(puna_batch_output& output, const float* x) {
    const puna_model_spec& s = spec_;
    const auto to_float = [](double value) { return static_cast<float>(value); };
    const fake::Row n = fake::normalize(s, layers.model[PUNA_TENSOR_OUTPUT_NORM], x);
    if (output.kind == PUNA_ROW_OUTPUT_HIDDEN) {
        std::transform(n.begin(), n.end(), output.values, to_float);
        output.n_filled = s.n_embd;
        return;
    }
    const int32_t role = layers.plan.is_tied ? PUNA_TENSOR_TOKEN_EMBD : PUNA_TENSOR_OUTPUT;
    const fake::Row y = fake::multiply(layers.model[static_cast<size_t>(role)], {}, n);
    std::vector<float> logits(y.size());
    std::transform(y.begin(), y.end(), logits.begin(), [&](double value) {
        return to_float(fake::soft_cap(s.logit_scale * value, s.logit_softcap));
    });
    if (output.log_sum_exp != nullptr) {
        const double largest = *std::max_element(logits.begin(), logits.end());
        double sum = 0;
        for (const float logit : logits) sum += std::exp(logit - largest);
        *output.log_sum_exp = to_float(largest + std::log(sum));
    }
    if (output.kind == PUNA_ROW_OUTPUT_LOGITS) {
        std::copy(logits.begin(), logits.end(), output.values);
        output.n_filled = s.n_vocab;
    } else {
        choose(output, logits);
    }
}

// ARGMAX and TOP_K. Neither what the mask bans comes back, nor -infinity or not-a-number.
void puna_executor::choose(puna_batch_output& output, std::vector<float>& logits) const {
    for (int32_t i = 0; i < output.n_bias; ++i) {
        logits[static_cast<size_t>(output.bias[i].token)] += output.bias[i].bias;
    }
    std::vector<std::pair<float, int32_t>> order;  // {-logit, token}
    for (int32_t token = 0; token < spec_.n_vocab; ++token) {
        const float logit = logits[static_cast<size_t>(token)];
        const bool banned =
            output.mask != nullptr && (output.mask[token / 32] >> (token % 32) & 1u) == 0;
        if (!banned && logit > -std::numeric_limits<float>::infinity()) {
            order.emplace_back(-logit, token);
        }
    }
    std::sort(order.begin(), order.end());
    const size_t wanted = output.kind == PUNA_ROW_OUTPUT_ARGMAX ? 1 : static_cast<size_t>(output.k);
    order.resize(std::min(wanted, order.size()));
    for (size_t i = 0; i < order.size(); ++i) {
        output.tokens[i] = order[i].second;
        output.values[i] = -order[i].first;
    }
    output.n_filled = static_cast<int32_t>(order.size());
}

// ---- Cells -------------------------------------------------------------------------------------

void puna_executor::abandon() noexcept {
    if (!active_) return;
    active_ = false;
    for (int32_t i = 0; i < batch_.n_rows; ++i) poison(batch_.rows[i].cell);
}

void puna_executor::poison(int32_t cell) noexcept {
    for (size_t layer = 0; layer < layers.layers.size(); ++layer) {
        keys_.poison(layer, cell);
        values_.poison(layer, cell);
    }
    mark(cell) = 0;
}

void puna_executor::drop(int32_t first_cell, int32_t n_cells) noexcept {
    const int32_t end = std::min(first_cell + n_cells, options.n_cells);
    for (int32_t cell = std::max(first_cell, 0); cell < end; ++cell) {
        if ((mark(cell) & kInBatch) == 0) poison(cell);
    }
}

void puna_executor::move(const puna_kv_move* moves, int32_t n_moves) {
    if (active_) fail(PUNA_ERROR_STATE, "a batch is under way");
    require(n_moves >= 0 && (n_moves == 0 || moves != nullptr), "moves or n_moves");
    for (int32_t i = 0; i < n_moves; ++i) {
        const puna_kv_move& m = moves[i];
        require(m.n_cells >= 0 && m.n_cells <= options.n_cells, "move.n_cells");
        require(m.source >= 0 && m.source <= options.n_cells - m.n_cells, "move.source");
        require(m.target >= 0 && m.target <= options.n_cells - m.n_cells, "move.target");
    }
    for (int32_t i = 0; i < n_moves; ++i) move_one(moves[i]);
}

void puna_executor::move_one(const puna_kv_move& m) {
    std::memmove(cells_.data() + m.target, cells_.data() + m.source,
                 static_cast<size_t>(m.n_cells));
    for (size_t layer = 0; layer < layers.layers.size() && m.n_cells > 0; ++layer) {
        keys_.move(layer, m);
        values_.move(layer, m);
        if (m.delta == 0) continue;
        for (int32_t i = 0; i < m.n_cells * spec_.n_head_kv; ++i) {
            const int32_t cell = m.target + i / spec_.n_head_kv;
            const size_t head = product(i % spec_.n_head_kv, spec_.head_dim_k);
            const auto turn = [&](size_t a, size_t b, double c, double d) {
                const double first = keys_.get(layer, cell, head + a);
                const double second = keys_.get(layer, cell, head + b);
                keys_.set(layer, cell, head + a, first * c - second * d);
                keys_.set(layer, cell, head + b, first * d + second * c);
            };
            fake::for_each_rope_pair(spec_, layers.frequencies, m.delta, turn);
        }
    }
}

void puna_executor::transfer(int32_t layer, int32_t keys_or_values, const int32_t* cells,
                             int32_t n_cells, const void* in, void* out, size_t size) {
    const puna_layers_request& r = layers.plan.request;
    const int32_t index = layer - r.first_layer;
    require(index >= 0 && index < r.n_layers, "layer");
    require(keys_or_values == PUNA_KV_KEYS || keys_or_values == PUNA_KV_VALUES, "keys_or_values");
    require(n_cells >= 0 && (n_cells == 0 || cells != nullptr), "cells or n_cells");
    fake::KvArray& array = keys_or_values == PUNA_KV_KEYS ? keys_ : values_;
    const size_t bytes = array.cell_bytes();
    require(size == static_cast<size_t>(n_cells) * bytes, "size is not exact");
    require(size == 0 || in != nullptr || out != nullptr, "the data is NULL");
    for (int32_t i = 0; i < n_cells; ++i) {
        require(cells[i] >= 0 && cells[i] < options.n_cells, "cells: no such cell");
        if ((mark(cells[i]) & kInBatch) != 0) fail(PUNA_ERROR_STATE, "cells: one of the batch");
        require(in != nullptr || mark(cells[i]) != 0, "cells: one that holds nothing is read");
    }
    for (int32_t i = 0; i < n_cells; ++i) {
        unsigned char* cell = array.cell(static_cast<size_t>(index), cells[i]);
        const size_t offset = static_cast<size_t>(i) * bytes;
        if (out != nullptr) {
            std::memcpy(static_cast<unsigned char*>(out) + offset, cell, bytes);
        } else {
            std::memcpy(cell, static_cast<const unsigned char*>(in) + offset, bytes);
            mark(cells[i]) = kHeld;
        }
    }
}
