// The forward pass: what happens to the rows of a batch, in the order of lib/cpu/forward.cpp.
#include "cuda/forward.h"

#include "cuda/attention.h"
#include "cuda/launch.h"
#include "cuda/linear.h"
#include "cuda/linear_bf16.h"
#include "cuda/outputs.h"
#include "cuda/scratch.h"
#include "cuda/vector_ops.h"

namespace puna::cuda {

namespace {

#define PUNA_TRY_CUDA(call) \
    if (const cudaError_t error = (call); error != cudaSuccess) return error

// Its code is what is looked at, as an example of all.
__global__ void example_kernel() {
    wait_for_last_kernel();
}

Scratch scratch_of(const Forward& f) {
    return make_scratch(f.weights->spec, f.weights->has_head, f.options, f.scratch);
}

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

InputForms forms_of(const Forward& f, const Scratch& s) {
    InputForms forms = {s.normed, s.rounded, s.slice, s.slice_bytes};
    forms.parts = s.parts;
    forms.parts_bytes = s.parts_bytes;
    // Those of the batch's rows are 0 from the first layer on: a head alone has none.
    forms.arrivals = s.arrivals;
    forms.n_arrivals =
        f.weights->layers.empty() ? 0 : int64_t{f.batch.n_rows} * f.weights->spec.n_head;
    return forms;
}

// norm(x) * gain
Input normed_input(const Forward& f, const Scratch& s, const float* gain) {
    const puna_model_spec& spec = f.weights->spec;
    Input input;
    input.x = s.x;
    input.n_rows = f.batch.n_rows;
    input.columns = spec.n_embd;
    input.norm = {gain, spec.norm, spec.norm_epsilon};
    return input;
}

Input rows_of(const Forward& f, const float* rows, int64_t columns) {
    Input input;
    input.x = rows;
    input.n_rows = f.batch.n_rows;
    input.columns = columns;
    return input;
}

// q, k, v = Wq n + bq, Wk n + bk, Wv n + bv
cudaError_t project_qkv(const Forward& f, const Scratch& s, const LayerWeights& w) {
    const puna_model_spec& spec = f.weights->spec;
    const Product products[] = {
        {w.q, w.q_bias, s.qkv},
        {w.k, w.k_bias, s.qkv + q_columns(spec)},
        {w.v, w.v_bias, s.qkv + q_columns(spec) + k_columns(spec)},
    };
    const LinearOptions options = linear_options(f, Epilogue::kStore, qkv_columns(spec));
    return multiply(normed_input(f, s, w.attn_norm), products, 3, options, forms_of(f, s), nullptr,
                    f.stream);
}

// x = x + residual_scale * (W input + b)
cudaError_t add_projection(const Forward& f, const Scratch& s, const Matrix& matrix,
                           const float* bias, const Input& input) {
    const puna_model_spec& spec = f.weights->spec;
    LinearOptions options = linear_options(f, Epilogue::kResidual, spec.n_embd);
    options.scale = spec.residual_scale;
    const Product product = {matrix, bias, s.x};
    return multiply(input, &product, 1, options, forms_of(f, s), nullptr, f.stream);
}

// gate = activation(Wgate n + bgate) * (Wup n + bup), and x = x + residual_scale * (Wdown gate + b)
cudaError_t run_ffn(const Forward& f, const Scratch& s, const LayerWeights& w) {
    const puna_model_spec& spec = f.weights->spec;
    const Product products[] = {{w.gate, w.gate_bias, s.gate}, {w.up, w.up_bias, s.up}};
    const Product down = {w.down, w.down_bias, s.x};
    const Input input = normed_input(f, s, w.ffn_norm);
    Input gates = rows_of(f, s.gate, spec.n_ff);
    LinearOptions options = linear_options(f, Epilogue::kGateUp, spec.n_ff);
    if (takes_bf16(input, products, 2, options, forms_of(f, s)) &&
        takes_bf16(gates, &down, 1, options, forms_of(f, s))) {
        options.y_fragments = reinterpret_cast<uint4*>(s.gate);
        gates.fragments = options.y_fragments;
    }
    PUNA_TRY_CUDA(multiply(input, products, 2, options, forms_of(f, s), s.up, f.stream));
    return add_projection(f, s, w.down, w.down_bias, gates);
}

// Logits of some of the outputs' rows.
cudaError_t run_logits(const Forward& f, const Scratch& s, const Input& input) {
    const puna_model_spec& spec = f.weights->spec;
    LinearOptions options = linear_options(f, Epilogue::kLogits, spec.n_vocab);
    options.scale = spec.logit_scale;
    options.softcap = spec.logit_softcap;
    const Product product = {f.weights->output, nullptr, s.logits};
    return multiply(input, &product, 1, options, forms_of(f, s), nullptr, f.stream);
}

}  // namespace

// The driver makes code of the newest that a plugin has. That may be older than the device, and has neither
// then: it does not wait for other kernels before compute capability 9.0. CUDA 12.3 is the first driver that
// captures such launches.
cudaError_t prepare_kernels(KernelTraits* traits) {
    constexpr int kFirstDriver = 12030;
    constexpr int kFirstOverlap = 90;
    constexpr int kFirstFloats16 = 80;
    *traits = {};
    int driver = 0;
    PUNA_TRY_CUDA(cudaDriverGetVersion(&driver));
    cudaFuncAttributes attributes = {};
    PUNA_TRY_CUDA(cudaFuncGetAttributes(&attributes, example_kernel));
    traits->overlaps = driver >= kFirstDriver && attributes.ptxVersion >= kFirstOverlap;
    traits->has_floats16 = attributes.ptxVersion >= kFirstFloats16;
    int device = 0;
    PUNA_TRY_CUDA(cudaGetDevice(&device));
    PUNA_TRY_CUDA(cudaDeviceGetAttribute(&traits->shared_bytes,
                                         cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return traits->has_floats16 ? prepare_bf16(*traits) : cudaSuccess;
}

float* hidden_rows(const Forward& f) {
    return scratch_of(f).x;
}

cudaError_t run_embedding(const Forward& f) {
    static_assert(offsetof(puna_batch_row, token) == 0);
    constexpr int32_t kStep = sizeof(puna_batch_row) / sizeof(int32_t);
    const auto* tokens = reinterpret_cast<const int32_t*>(f.batch.rows);
    return look_up_rows(f.weights->token_embd, tokens, kStep, f.batch.n_rows,
                        f.weights->spec.embedding_scale, hidden_rows(f), f.stream);
}

cudaError_t run_layer(const Forward& f, int32_t layer) {
    const LayerWeights& w = f.weights->layers[static_cast<size_t>(layer)];
    const Scratch s = scratch_of(f);
    if (layer == 0) PUNA_TRY_CUDA(begin_layers(f, s));
    PUNA_TRY_CUDA(project_qkv(f, s, w));
    PUNA_TRY_CUDA(attend(f, s, layer));
    const Input attended = rows_of(f, s.attn, attn_columns(f.weights->spec));
    PUNA_TRY_CUDA(add_projection(f, s, w.attn_output, w.attn_output_bias, attended));
    return run_ffn(f, s, w);
}

cudaError_t run_head(const Forward& f, const DeviceOutput* requests, const DeviceOutput* outputs) {
    const puna_model_spec& spec = f.weights->spec;
    const Scratch s = scratch_of(f);
    for (int32_t first = 0; first < f.batch.n_outputs; first += s.head_rows) {
        const int32_t left = f.batch.n_outputs - first;
        const int32_t n = left < s.head_rows ? left : s.head_rows;
        Input input = normed_input(f, s, f.weights->output_norm);
        input.rows = f.batch.output_rows + first;
        input.n_rows = n;
        if (needs_logits(requests + first, n)) PUNA_TRY_CUDA(run_logits(f, s, input));
        if (needs_hidden(requests + first, n)) {
            PUNA_TRY_CUDA(norm_rows({input, s.normed, nullptr}, f.stream));
        }
        PUNA_TRY_CUDA(deliver_outputs(spec, s, outputs + first, n, f.traits.overlaps, f.stream));
    }
    return cudaSuccess;
}

}  // namespace puna::cuda
