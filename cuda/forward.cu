// The forward pass: what happens to the rows of a batch, in the order of lib/cpu/forward.cpp.
#include "cuda/forward.h"

#include "cuda/attention.h"
#include "cuda/launch.h"
#include "cuda/layer_products.h"
#include "cuda/linear.h"
#include "cuda/linear_bf16.h"
#include "cuda/outputs.h"
#include "cuda/scratch.h"
#include "cuda/vector_ops.h"
#include "cuda/warpgroup_mma.cuh"

namespace puna::cuda {

namespace {

#define PUNA_TRY_CUDA(call) \
    if (const cudaError_t error = (call); error != cudaSuccess) return error

// Its code is what is looked at, as an example of all.
__global__ void example_kernel() {
    wait_for_last_kernel();
}

// And of code for the features of compute capability 9.0: nothing else that asks the driver tells it apart.
__global__ void __launch_bounds__(kHasWarpgroups ? kWarpgroup : kWarp) example_of_warpgroups() {
    wait_for_last_kernel();
}

Scratch scratch_of(const Forward& f) {
    return make_scratch(f.weights->spec, f.weights->has_head, f.options, f.scratch);
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

// Whether only rows with outputs go on behind the attention of the last layer, x in the place of Q, K and V that
// nobody needs any more, and what they attended in that of normed rows. Few rows take no longer all together.
bool narrows(const Forward& f, int32_t layer) {
    const puna_model_spec& spec = f.weights->spec;
    const DeviceBatch& batch = f.batch;
    const auto n_layers = static_cast<int32_t>(f.weights->layers.size());
    return n_layers > 0 && layer + 1 == n_layers && f.weights->has_head && batch.has_all_outputs &&
           batch.n_rows > kFewRows && batch.n_outputs < batch.n_rows &&
           batch.n_outputs * int64_t{spec.n_embd} <= batch.n_rows * qkv_columns(spec) &&
           batch.n_outputs * attn_columns(spec) <= batch.n_rows * int64_t{spec.n_embd};
}

cudaError_t run_products(const Forward& f, const Scratch& s, const LayerProducts& p) {
    return multiply(p.input, p.products, p.n, p.options, forms_of(f, s), s.up, f.stream);
}

cudaError_t run_ffn(const Forward& f, const Scratch& s, const LayerWeights& w) {
    LayerProducts gate_up = gate_up_products(f, s, w);
    LayerProducts down = down_products(f, s, w);
    const InputForms forms = forms_of(f, s);
    if (leaves_fragments(gate_up.input, gate_up.products, gate_up.options, forms) &&
        takes_bf16(down.input, down.products, down.n, down.options, forms)) {
        gate_up.options.y_fragments = reinterpret_cast<uint4*>(s.gate);
        down.input.fragments = gate_up.options.y_fragments;
    }
    PUNA_TRY_CUDA(run_products(f, s, gate_up));
    return run_products(f, s, down);
}

// What follows attention, whose results are floats or `panels`.
cudaError_t finish_layer(const Forward& f, const Scratch& s, const LayerWeights& w,
                         const uint4* panels) {
    LayerProducts output = output_products(f, s, w);
    output.input.fragments = panels;
    PUNA_TRY_CUDA(run_products(f, s, output));
    return run_ffn(f, s, w);
}

// Where attention leaves its results, if the output matrix takes them so. What was there before, for Q, K and V,
// has been read.
uint4* panels_of_layer(const Forward& f, const Scratch& s, const LayerWeights& w) {
    const LayerProducts output = output_products(f, s, w);
    const bool takes =
        takes_warpgroups(output.input, output.products, output.n, output.options, forms_of(f, s));
    return takes && leaves_panels(f) ? reinterpret_cast<uint4*>(s.rounded) : nullptr;
}

// to [n_outputs][columns]: the rows of x that have an output.
cudaError_t gather_outputs(const Forward& f, const float* x, int64_t columns, float* to) {
    const Matrix rows = {reinterpret_cast<const uint8_t*>(x), f.batch.n_rows, columns, columns * 4,
                         PUNA_FORMAT_F32};
    return look_up_rows(rows, f.batch.output_rows, 1, f.batch.n_outputs, 1.0f, to, f.stream);
}

cudaError_t finish_outputs(Forward f, Scratch s, const LayerWeights& w) {
    if (f.batch.n_outputs == 0) return cudaSuccess;
    PUNA_TRY_CUDA(gather_outputs(f, s.x, f.weights->spec.n_embd, s.qkv));
    PUNA_TRY_CUDA(gather_outputs(f, s.attn, attn_columns(f.weights->spec), s.normed));
    s.x = s.qkv;
    s.attn = s.normed;
    f.batch.n_rows = f.batch.n_outputs;
    return finish_layer(f, s, w, nullptr);
}

}  // namespace

// The driver makes code of the newest that a plugin has. That may be older than the device, and has neither
// then: it does not wait for other kernels before compute capability 9.0. CUDA 12.3 is the first driver that
// captures such launches.
cudaError_t prepare_kernels(KernelTraits* traits) {
    constexpr int kFirstDriver = 12030;
    constexpr int kFirstOverlap = 90;
    constexpr int kFirstFloats16 = 80;
    constexpr int kFirstBulkCopies = 90;
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
    PUNA_TRY_CUDA(cudaDeviceGetAttribute(&traits->processor_shared_bytes,
                                         cudaDevAttrMaxSharedMemoryPerMultiprocessor, device));
    int is_cooperative = 0;
    PUNA_TRY_CUDA(cudaDeviceGetAttribute(&is_cooperative, cudaDevAttrCooperativeLaunch, device));
    traits->has_token_pass = is_cooperative != 0 && attributes.ptxVersion >= kFirstBulkCopies;
    if (!traits->has_floats16) return cudaSuccess;
    PUNA_TRY_CUDA(cudaFuncGetAttributes(&attributes, example_of_warpgroups));
    traits->has_warpgroups =
        attributes.maxThreadsPerBlock >= kWarpgroup && traits->shared_bytes >= kWarpgroupShared;
    return prepare_bf16(*traits);
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
    PUNA_TRY_CUDA(run_products(f, s, qkv_products(f, s, w)));
    const bool is_narrow = narrows(f, layer);
    uint4* panels = is_narrow ? nullptr : panels_of_layer(f, s, w);
    PUNA_TRY_CUDA(attend(f, s, layer, panels));
    return is_narrow ? finish_outputs(f, s, w) : finish_layer(f, s, w, panels);
}

cudaError_t run_head(const Forward& f, const DeviceOutput* requests, const DeviceOutput* outputs,
                     bool has_logits) {
    const puna_model_spec& spec = f.weights->spec;
    const Scratch s = scratch_of(f);
    const bool is_narrow = narrows(f, static_cast<int32_t>(f.weights->layers.size()) - 1);
    for (int32_t first = 0; first < f.batch.n_outputs; first += s.head_rows) {
        const int32_t left = f.batch.n_outputs - first;
        const int32_t n = left < s.head_rows ? left : s.head_rows;
        LayerProducts logits = logits_products(f, s);
        logits.input.n_rows = n;
        if (is_narrow) {
            logits.input.x = s.qkv + first * int64_t{spec.n_embd};
        } else {
            logits.input.rows = f.batch.output_rows + first;
        }
        if (!has_logits && needs_logits(requests + first, n)) {
            PUNA_TRY_CUDA(run_products(f, s, logits));
        }
        if (needs_hidden(requests + first, n)) {
            PUNA_TRY_CUDA(norm_rows({logits.input, s.normed, nullptr}, f.stream));
        }
        PUNA_TRY_CUDA(deliver_outputs(spec, s, outputs + first, n, f.traits.overlaps, f.stream));
    }
    return cudaSuccess;
}

}  // namespace puna::cuda
