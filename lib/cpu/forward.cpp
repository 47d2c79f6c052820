#include "cpu/forward.h"

#include <algorithm>
#include <cstring>

#include "cpu/linear.h"
#include "cpu/outputs.h"
#include "cpu/rope.h"

namespace puna::core {

namespace {

// Outputs are cut between threads at multiples of a cache line of floats.
constexpr int64_t kOutputUnit = 16;
// Fewer rows are normed by the caller before it starts the others: that takes less than a barrier.
constexpr int32_t kFewRows = 4;
// Panel kernels pass over their packed rows once for some dozens or hundreds of outputs: they want large parts.
constexpr int32_t kPanelPartsPerThread = 2;

Rows rows_of(const Forward& f, float* data, int64_t columns) {
    return {data, row_stride(columns), f.batch.n_rows};
}

Input input_of(const Forward& f, const Rows& rows, Matrices matrices) {
    return make_input(f.workers, rows, matrices, f.scratch.panels);
}

int32_t parts_per_thread(const Input& input) {
    return input.n_packed > 0 ? kPanelPartsPerThread : Workers::kPartsPerThread;
}

// work(outputs) of a linear layer.
template <class Work>
void split_outputs(const Forward& f, int64_t n_outputs, const Input& input, const Work& work) {
    f.workers.split(n_outputs, kOutputUnit, work, parts_per_thread(input));
}

// normed = norm(x) * gain, as input of the matrices. If there are enough groups of rows for all threads, each is
// packed while L2 has it; else threads share the rows of a group.
Input normed_input(const Forward& f, const float* gain, Matrices matrices) {
    const puna_model_spec& spec = f.layers.spec;
    const Rows x = rows_of(f, f.scratch.x, spec.n_embd);
    const Rows normed = rows_of(f, f.scratch.normed, spec.n_embd);
    const auto norm = [&](Range rows) {
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            f.layers.norm(x.row(r), gain, spec.n_embd, spec.norm_epsilon, normed.row(r));
        }
    };
    const InputPacker packer(normed, matrices, f.scratch.panels);
    const int64_t unit = packer.unit();
    if (unit > 0 && x.n >= unit * f.workers.n_threads()) {
        f.workers.split(x.n, unit, [&](Range rows) {
            for (Range group = rows; group.begin < rows.end; group.begin = group.end) {
                group.end = std::min(group.begin + unit, rows.end);
                norm(group);
                packer.pack(group);
            }
        });
        return packer.input();
    }
    if (x.n < kFewRows) {
        norm({0, x.n});
    } else {
        f.workers.split(x.n, 1, norm);
    }
    return input_of(f, normed, matrices);
}

// The heads of Q, K and V in one count: work is cut between heads, and goes from the product to the cache.
struct Head {
    const Matrix& matrix;
    const float* bias;
    const float* norm;  // [head_dim_k] or null
    int64_t column;     // of the head's matrix in a row of qkv
    int32_t index;      // within its matrix
    int32_t dim;
    bool turns;
    const KvHalf* cache;  // where it is kept; null for queries
};

Head head_of(const Forward& f, const LayerWeights& w, int64_t unit) {
    const puna_model_spec& spec = f.layers.spec;
    const int64_t q_columns = f.layers.q_columns();
    const int64_t k_columns = f.layers.k_columns();
    if (unit < spec.n_head) {
        return {w.q,  w.q_bias, w.q_norm, 0, static_cast<int32_t>(unit), spec.head_dim_k,
                true, nullptr};
    }
    unit -= spec.n_head;
    if (unit < spec.n_head_kv) {
        return {
            w.k,  w.k_bias,       w.k_norm, q_columns, static_cast<int32_t>(unit), spec.head_dim_k,
            true, &f.cache.keys()};
    }
    unit -= spec.n_head_kv;
    return {w.v,
            w.v_bias,
            nullptr,
            q_columns + k_columns,
            static_cast<int32_t>(unit),
            spec.head_dim_v,
            false,
            &f.cache.values()};
}

// One head of one row, after the product: norm, RoPE, and into the cache (keys and values) or
// scaled for the scores (queries).
void finish_head(const Forward& f, const Head& head, int32_t layer, int32_t row, float* values) {
    const puna_model_spec& spec = f.layers.spec;
    if (head.norm) f.layers.norm(values, head.norm, head.dim, spec.norm_epsilon, values);
    if (head.turns) {
        const int64_t n = rope_table_size(spec);
        const float scale = head.cache ? 1.0f : spec.attention_scale;
        f.layers.rope(f.scratch.rope + row * n, n / 2, head.dim, scale, values);
    }
    if (head.cache) head.cache->store(layer, head.index, f.batch.rows[row].cell, values);
}

// The heads `all`, which `normed` is the input of: q, k, v = Wq n + bq, Wk n + bk, Wv n + bv; QK norm; RoPE;
// k, v -> cache
void project_heads(const Forward& f, const LayerWeights& w, int32_t layer, Range all,
                   const Input& normed) {
    const int64_t columns = f.layers.q_columns() + f.layers.k_columns() + f.layers.v_columns();
    const auto project = [&](Range units) {
        units = {all.begin + units.begin, all.begin + units.end};
        while (units.begin < units.end) {
            // Neighbouring heads of a matrix are one product: kernels prepare their input for each.
            Head head = head_of(f, w, units.begin);
            const int64_t left = head.matrix.rows / head.dim - head.index;
            const int64_t n_heads = std::min(left, units.end - units.begin);
            const int64_t begin = int64_t{head.index} * head.dim;
            const Range outputs = {begin, begin + n_heads * head.dim};
            const Rows out = rows_of(f, f.scratch.qkv + head.column, columns);
            multiply(head.matrix, outputs, normed, out);
            add_bias(head.bias, outputs, out);
            const int32_t first = head.index;
            for (int32_t r = 0; r < f.batch.n_rows; ++r) {
                for (int64_t i = 0; i < n_heads; ++i) {
                    head.index = first + static_cast<int32_t>(i);
                    finish_head(f, head, layer, r, out.row(r) + begin + i * head.dim);
                }
            }
            units.begin += n_heads;
        }
    };
    f.workers.split(all.end - all.begin, 1, project, parts_per_thread(normed));
}

Range query_heads(const puna_model_spec& spec) {
    return {0, spec.n_head};
}
Range kv_heads(const puna_model_spec& spec) {
    return {spec.n_head, spec.n_head + 2 * int64_t{spec.n_head_kv}};
}

// attn[h] = sum_j softmax_j(q[h] . k_j * scale) v_j
void attend_layer(const Forward& f, int32_t layer) {
    const int64_t columns = f.layers.q_columns() + f.layers.k_columns() + f.layers.v_columns();
    attend({f.layers, f.cache, f.workers, f.attention, f.scratch.partials, f.scratch.counters,
            f.scratch.attention_rows, f.batch, layer, rows_of(f, f.scratch.qkv, columns),
            rows_of(f, f.scratch.attn, f.layers.attn_columns())});
}

// x = x + residual_scale * (W input + b)
void add_projection(const Forward& f, const Matrix& matrix, const float* bias, const Input& input) {
    const puna_model_spec& spec = f.layers.spec;
    const Rows x = rows_of(f, f.scratch.x, spec.n_embd);
    if (spec.residual_scale == 1.0f && !bias && can_add(matrix, input)) {
        split_outputs(f, spec.n_embd, input,
                      [&](Range outputs) { multiply_add(matrix, outputs, input, x); });
        return;
    }
    const Rows change = rows_of(f, f.scratch.change, spec.n_embd);
    split_outputs(f, spec.n_embd, input, [&](Range outputs) {
        multiply(matrix, outputs, input, change);
        add_bias(bias, outputs, change);
        for (int32_t r = 0; r < f.batch.n_rows; ++r) {
            const float* from = change.row(r);
            float* to = x.row(r);
            for (int64_t i = outputs.begin; i < outputs.end; ++i) {
                to[i] += spec.residual_scale * from[i];
            }
        }
    });
}

// gate = activation(Wgate n + bgate) * (Wup n + bup)
void gate_up(const Forward& f, const LayerWeights& w, const Input& normed) {
    const Rows gate = rows_of(f, f.scratch.gate, f.layers.spec.n_ff);
    const Rows up = rows_of(f, f.scratch.up, f.layers.spec.n_ff);
    split_outputs(f, f.layers.spec.n_ff, normed, [&](Range outputs) {
        multiply(w.gate, outputs, normed, gate);
        add_bias(w.gate_bias, outputs, gate);
        multiply(w.up, outputs, normed, up);
        add_bias(w.up_bias, outputs, up);
        for (int32_t r = 0; r < f.batch.n_rows; ++r) {
            f.layers.activation(gate.row(r) + outputs.begin, up.row(r) + outputs.begin,
                                outputs.end - outputs.begin);
        }
    });
}

// Nothing packed unless a kernel for many rows does all of gate_up at once. The memory of `gate`, which
// then has no other use, takes the result.
Input gated_input(const Forward& f, const LayerWeights& w, const Input& normed) {
    const puna_model_spec& spec = f.layers.spec;
    if (spec.activation != PUNA_ACTIVATION_SILU || w.gate_bias || w.up_bias) return {};
    const int64_t n_floats = int64_t{f.batch.n_rows} * spec.n_ff;
    return make_gated_input(w.gate, w.up, w.down, normed,
                            reinterpret_cast<uint8_t*>(f.scratch.gate),
                            n_floats * static_cast<int64_t>(sizeof(float)));
}

// x = x + residual_scale * (Wdown (activation(Wgate n + bgate) * (Wup n + bup)) + bdown)
void feed_forward(const Forward& f, const LayerWeights& w) {
    const puna_model_spec& spec = f.layers.spec;
    const Input normed = normed_input(f, w.ffn_norm, {&w.gate, &w.up});
    if (const Input gated = gated_input(f, w, normed); gated.n_packed > 0) {
        split_outputs(f, spec.n_ff, normed,
                      [&](Range outputs) { multiply_gated(w.gate, w.up, outputs, normed, gated); });
        add_projection(f, w.down, w.down_bias, gated);
        return;
    }
    gate_up(f, w, normed);
    const Rows gate = rows_of(f, f.scratch.gate, spec.n_ff);
    add_projection(f, w.down, w.down_bias, input_of(f, gate, {&w.down}));
}

// What a layer does with the heads.
void attend_and_feed(const Forward& f, const LayerWeights& w, int32_t layer) {
    attend_layer(f, layer);
    const Rows attn = rows_of(f, f.scratch.attn, f.layers.attn_columns());
    add_projection(f, w.attn_output, w.attn_output_bias, input_of(f, attn, {&w.attn_output}));
    feed_forward(f, w);
}

// Rows whose output is wanted move to the front, in what is yet to be read of them.
void keep_wanted(const Forward& f) {
    const int64_t n_embd = f.layers.spec.n_embd;
    const int64_t n_rope = rope_table_size(f.layers.spec);
    int64_t to = 0;
    const auto move = [&to](const Rows& rows, int64_t columns, int64_t from) {
        std::copy_n(rows.row(from), columns, rows.row(to));
    };
    for (int32_t r = 0; r < f.batch.n_rows; ++r) {
        if (f.batch.rows[r].output < 0) continue;
        if (to != r) {
            move(rows_of(f, f.scratch.x, n_embd), n_embd, r);
            move(rows_of(f, f.scratch.normed, n_embd), n_embd, r);
            move({f.scratch.rope, n_rope, f.batch.n_rows}, n_rope, r);
        }
        ++to;
    }
}

// Logits of the first n rows of `normed`, into the outputs of the batch named in `outputs`.
void run_logits(const Forward& f, int32_t n, const int32_t* outputs) {
    const puna_model_spec& spec = f.layers.spec;
    const Input normed =
        input_of(f, {f.scratch.normed, row_stride(spec.n_embd), n}, {&f.layers.output});
    const Rows logits = {f.scratch.logits, row_stride(spec.n_vocab), n};
    split_outputs(f, spec.n_vocab, normed,
                  [&](Range range) { multiply(f.layers.output, range, normed, logits); });
    f.workers.split(n, 1, [&](Range rows) {
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            scale_logits(spec, logits.row(r));
            fill_output(spec.n_vocab, logits.row(r), f.batch.outputs[outputs[r]]);
        }
    });
}

}  // namespace

void run_embedding(const Forward& f) {
    const puna_model_spec& spec = f.layers.spec;
    const Rows residual = rows_of(f, f.scratch.x, spec.n_embd);
    f.workers.split(f.batch.n_rows, kFewRows, [&](Range rows) {
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            float* x = residual.row(r);
            if (f.layers.has_embedding) {
                const Matrix& table = f.layers.token_embd;
                table.dequantize(table.data + f.batch.rows[r].token * table.row_bytes, x,
                                 spec.n_embd);
                for (int32_t i = 0; i < spec.n_embd; ++i) x[i] *= spec.embedding_scale;
            } else {
                std::memcpy(x, f.batch.hidden_in + r * spec.n_embd,
                            static_cast<size_t>(spec.n_embd) * sizeof *x);
            }
            if (f.scratch.rope) {
                rope_table(spec, f.batch.rows[r].position, spec.rope_magnitude,
                           f.scratch.rope + r * rope_table_size(spec));
            }
        }
    });
}

void run_layer(const Forward& f, int32_t layer) {
    const LayerWeights& w = f.layers.layers[static_cast<size_t>(layer)];
    const puna_model_spec& spec = f.layers.spec;
    const Input normed = normed_input(f, w.attn_norm, {&w.q, &w.k, &w.v});
    project_heads(f, w, layer, {query_heads(spec).begin, kv_heads(spec).end}, normed);
    attend_and_feed(f, w, layer);
}

void run_last_layer(const Forward& f, int32_t layer, const puna_batch& wanted) {
    const LayerWeights& w = f.layers.layers[static_cast<size_t>(layer)];
    const puna_model_spec& spec = f.layers.spec;
    project_heads(f, w, layer, kv_heads(spec), normed_input(f, w.attn_norm, {&w.k, &w.v}));
    if (wanted.n_rows == 0) return;
    keep_wanted(f);
    const Forward kept = {f.layers, f.cache, f.workers, f.attention, f.scratch, wanted};
    const Rows normed = rows_of(kept, f.scratch.normed, spec.n_embd);
    project_heads(kept, w, layer, query_heads(spec), input_of(kept, normed, {&w.q}));
    attend_and_feed(kept, w, layer);
}

void run_head(const Forward& f) {
    const puna_model_spec& spec = f.layers.spec;
    const Rows x = rows_of(f, f.scratch.x, spec.n_embd);
    const Rows normed = rows_of(f, f.scratch.normed, spec.n_embd);
    int32_t outputs[kHeadRows];
    int32_t n = 0;  // rows that wait for their logits
    for (int32_t r = 0; r < f.batch.n_rows; ++r) {
        const int32_t index = f.batch.rows[r].output;
        if (index < 0) continue;
        puna_batch_output& output = f.batch.outputs[index];
        const bool hidden = output.kind == PUNA_ROW_OUTPUT_HIDDEN;
        f.layers.norm(x.row(r), f.layers.output_norm, spec.n_embd, spec.norm_epsilon,
                      hidden ? output.values : normed.row(n));
        if (hidden) {
            output.n_filled = spec.n_embd;
            continue;
        }
        outputs[n++] = index;
        if (n == kHeadRows) {
            run_logits(f, n, outputs);
            n = 0;
        }
    }
    if (n > 0) run_logits(f, n, outputs);
}

void run_hidden_out(const Forward& f) {
    const int64_t n = f.layers.spec.n_embd;
    const Rows x = rows_of(f, f.scratch.x, n);
    for (int32_t r = 0; r < x.n; ++r) std::copy_n(x.row(r), n, f.batch.hidden_out + r * n);
}

}  // namespace puna::core
