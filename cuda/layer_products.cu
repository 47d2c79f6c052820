#include "cuda/layer_products.h"

namespace puna::cuda {

namespace {

LinearOptions linear_options(const Forward& f, Epilogue epilogue, int64_t y_stride) {
    LinearOptions options;
    options.epilogue = epilogue;
    options.y_stride = y_stride;
    options.activation = f.weights->spec.activation;
    options.same_for_all_rows = f.options.deterministic != 0;
    options.n_processors = f.n_processors;
    options.traits = f.traits;
    return options;
}

Input rows_of(const Forward& f, const float* rows, int64_t columns) {
    Input input;
    input.x = rows;
    input.n_rows = f.batch.n_rows;
    input.columns = columns;
    return input;
}

// norm(x) * gain
Input normed_input(const Forward& f, const Scratch& s, const float* gain) {
    const puna_model_spec& spec = f.weights->spec;
    Input input = rows_of(f, s.x, spec.n_embd);
    input.norm = {gain, spec.norm, spec.norm_epsilon};
    return input;
}

// x = x + residual_scale * (W input + b)
LayerProducts added(const Forward& f, const Scratch& s, const Matrix& matrix, const float* bias,
                    const Input& input) {
    const puna_model_spec& spec = f.weights->spec;
    LayerProducts added = {input, {{matrix, bias, s.x}}, 1, {}};
    added.options = linear_options(f, Epilogue::kResidual, spec.n_embd);
    added.options.scale = spec.residual_scale;
    return added;
}

}  // namespace

LayerProducts qkv_products(const Forward& f, const Scratch& s, const LayerWeights& w) {
    const puna_model_spec& spec = f.weights->spec;
    float* keys = s.qkv + q_columns(spec);
    return {
        normed_input(f, s, w.attn_norm),
        {{w.q, w.q_bias, s.qkv}, {w.k, w.k_bias, keys}, {w.v, w.v_bias, keys + k_columns(spec)}},
        3,
        linear_options(f, Epilogue::kStore, qkv_columns(spec))};
}

LayerProducts output_products(const Forward& f, const Scratch& s, const LayerWeights& w) {
    const Input attended = rows_of(f, s.attn, attn_columns(f.weights->spec));
    return added(f, s, w.attn_output, w.attn_output_bias, attended);
}

LayerProducts gate_up_products(const Forward& f, const Scratch& s, const LayerWeights& w) {
    return {normed_input(f, s, w.ffn_norm),
            {{w.gate, w.gate_bias, s.gate}, {w.up, w.up_bias, s.up}},
            2,
            linear_options(f, Epilogue::kGateUp, f.weights->spec.n_ff)};
}

LayerProducts down_products(const Forward& f, const Scratch& s, const LayerWeights& w) {
    return added(f, s, w.down, w.down_bias, rows_of(f, s.gate, f.weights->spec.n_ff));
}

LayerProducts logits_products(const Forward& f, const Scratch& s) {
    const puna_model_spec& spec = f.weights->spec;
    LayerProducts logits = {normed_input(f, s, f.weights->output_norm),
                            {{f.weights->output, nullptr, s.logits}},
                            1,
                            linear_options(f, Epilogue::kLogits, spec.n_vocab)};
    logits.options.scale = spec.logit_scale;
    logits.options.softcap = spec.logit_softcap;
    return logits;
}

}  // namespace puna::cuda
