#include "cuda/linear.h"

#include "cuda/activations.h"
#include "cuda/linear_bf16.h"
#include "cuda/linear_family.cuh"
#include "cuda/vector_ops.h"

namespace puna::cuda {

namespace {

LinearFamily family_of(int32_t format) {
    for (const auto find : {linear_floats, linear_blocks, linear_k, linear_iq2, linear_iq3}) {
        const LinearFamily family = find(format);
        if (family.look_up) return family;
    }
    return {};
}

// gate = activation(gate) * up. Grid: [blocks of elements].
__global__ void activate_elements(float* gate, const float* up, int64_t n, int32_t activation) {
    wait_for_last_kernel();
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < n) gate[i] = activate(activation, gate[i], up[i]);
}

// By how many rows there are.
enum class Kernels { kFew, kSplit, kMany, kWarpgroups };

// What the kernels of some products read.
struct Operand {
    Input input;
    const float* x = nullptr;  // more than few rows: normed
    const uint8_t* rounded = nullptr;
    const uint4* fragments = nullptr;
    Kernels kernels = Kernels::kFew;
};

// Floats that no tensor cores take, of so few rows that most of a tile of them would be empty: they go through
// in groups of kFewRows.
bool takes_groups(int32_t format, int32_t n_rows) {
    constexpr int32_t kMostRows = 32;
    return !reads_rounded(format) && n_rows <= kMostRows;
}

Kernels kernels_for(const Input& input, const LinearOptions& options) {
    if (options.same_for_all_rows || input.n_rows <= kFewRows) return Kernels::kFew;
    return takes_split(input, options) ? Kernels::kSplit : Kernels::kMany;
}

// Rows as quantised matrices read them, where there are some: they have one form for all products.
cudaError_t prepare_quantised(const Input& input, const InputForms& forms, bool overlaps,
                              Operand& operand, cudaStream_t stream) {
    if (operand.kernels == Kernels::kSplit) {
        auto* fragments = reinterpret_cast<uint4*>(forms.rounded);
        operand.fragments = fragments;
        return bf16_rows(input, OperandForm::kRight, fragments, overlaps, stream);
    }
    operand.rounded = forms.rounded;
    if (!input.norm.gain) {
        return round_rows(input.x, input.columns, input.n_rows, forms.rounded, stream);
    }
    return norm_rows({input, nullptr, forms.rounded}, stream);
}

// With few rows nothing is to be done, the kernels norm and round by themselves.
cudaError_t prepare(const Input& input, const Product* products, int32_t n,
                    const LinearOptions& options, const InputForms& forms, Operand& operand,
                    cudaStream_t stream) {
    operand = {input, input.x, nullptr, nullptr, kernels_for(input, options)};
    if (operand.kernels == Kernels::kFew) return cudaSuccess;
    bool needs_floats = false;
    bool needs_others = false;
    for (int32_t i = 0; i < n; ++i) {
        const int32_t format = products[i].matrix.format;
        const bool is_rounded = reads_rounded(format);
        needs_others = needs_others || is_rounded;
        needs_floats = needs_floats || !(is_rounded || takes_groups(format, input.n_rows));
    }
    if (needs_floats && input.norm.gain) {
        operand.x = forms.normed;
        const cudaError_t error = norm_rows({input, forms.normed, nullptr}, stream);
        if (error != cudaSuccess) return error;
    }
    if (!needs_others) return cudaSuccess;
    return prepare_quantised(input, forms, options.traits.overlaps, operand, stream);
}

LinearJob make_operand_job(const Operand& operand, const LinearOptions& options) {
    LinearJob job = make_job(operand.input, options);
    job.x = operand.x;
    job.rounded = operand.rounded;
    job.fragments = operand.fragments;
    return job;
}

cudaError_t run_job(const LinearJob& job, int32_t format, Kernels kernels,
                    const LinearOptions& options, const InputForms& forms, cudaStream_t stream) {
    const LinearFamily family = family_of(format);
    if (!family.look_up) return cudaErrorInvalidValue;
    if (kernels == Kernels::kFew || takes_groups(format, job.n_rows)) {
        return family.multiply_few(job, options, stream);
    }
    if (kernels == Kernels::kSplit && family.multiply_split) {
        return family.multiply_split(job, options, forms, stream);
    }
    if (kernels == Kernels::kWarpgroups) {
        return family.multiply_warpgroups(job, options, forms, stream);
    }
    return family.multiply_many(job, stream);
}

// Products one after the other, those of one format together.
cudaError_t run_products(const Operand& operand, const Product* products, int32_t n,
                         const LinearOptions& options, const InputForms& forms,
                         cudaStream_t stream) {
    for (int32_t i = 0; i < n;) {
        LinearJob job = make_operand_job(operand, options);
        const int32_t format = products[i].matrix.format;
        while (i < n && job.n_parts < kMostParts && products[i].matrix.format == format) {
            add_part(job, products[i++]);
        }
        const cudaError_t error = run_job(job, format, operand.kernels, options, forms, stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t gate_up_together(const Operand& operand, const Product* products,
                             const LinearOptions& options, const InputForms& forms,
                             cudaStream_t stream) {
    LinearJob job = make_operand_job(operand, options);
    add_part(job, products[0]);
    add_part(job, products[1]);
    return run_job(job, products[0].matrix.format, operand.kernels, options, forms, stream);
}

// Gate and up of two formats: two products, and then the activation.
cudaError_t gate_up_apart(const Operand& operand, const Product* products,
                          const LinearOptions& options, const InputForms& forms, float* spare,
                          cudaStream_t stream) {
    if (!spare) return cudaErrorInvalidValue;
    LinearOptions apart = options;
    apart.epilogue = Epilogue::kStore;
    const Product both[] = {products[0], {products[1].matrix, products[1].bias, spare}};
    const cudaError_t error = run_products(operand, both, 2, apart, forms, stream);
    if (error != cudaSuccess) return error;
    constexpr unsigned kThreads = 256;
    const int64_t n = operand.input.n_rows * options.y_stride;
    return launch_next(options.traits.overlaps, activate_elements,
                       dim3(static_cast<unsigned>((n + kThreads - 1) / kThreads)), dim3(kThreads),
                       0, stream, products[0].y, spare, n, options.activation);
}

cudaError_t multiply_operand(const Operand& operand, const Product* products, int32_t n,
                             const LinearOptions& options, const InputForms& forms, float* spare,
                             cudaStream_t stream) {
    if (options.epilogue != Epilogue::kGateUp) {
        return run_products(operand, products, n, options, forms, stream);
    }
    return products[0].matrix.format == products[1].matrix.format
               ? gate_up_together(operand, products, options, forms, stream)
               : gate_up_apart(operand, products, options, forms, spare, stream);
}

cudaError_t multiply_in_warpgroups(const Input& input, const Product* products, int32_t n,
                                   const LinearOptions& options, const InputForms& forms,
                                   float* spare, cudaStream_t stream) {
    Operand operand = {input, nullptr, nullptr, input.fragments, Kernels::kWarpgroups};
    if (!input.fragments) {
        auto* panels = reinterpret_cast<uint4*>(forms.rounded);
        operand.fragments = panels;
        const cudaError_t error =
            bf16_rows(input, OperandForm::kPanels, panels, options.traits.overlaps, stream);
        if (error != cudaSuccess) return error;
    }
    return multiply_operand(operand, products, n, options, forms, spare, stream);
}

cudaError_t multiply_in_bf16(const Input& input, const Product* products, int32_t n,
                             const LinearOptions& options, const InputForms& forms,
                             cudaStream_t stream) {
    if (input.fragments) return multiply_bf16(input, products, n, options, forms, stream);
    auto* fragments = reinterpret_cast<uint4*>(forms.rounded);
    const cudaError_t error =
        bf16_rows(input, OperandForm::kLeft, fragments, options.traits.overlaps, stream);
    if (error != cudaSuccess) return error;
    Input converted = input;
    converted.fragments = fragments;
    return multiply_bf16(converted, products, n, options, forms, stream);
}

}  // namespace

LinearJob make_job(const Input& input, const LinearOptions& options) {
    LinearJob job;
    job.columns = input.columns;
    job.input = input;
    job.n_rows = input.n_rows;
    job.y_stride = options.y_stride;
    job.epilogue = options.epilogue;
    job.activation = options.activation;
    job.scale = options.scale;
    job.softcap = options.softcap;
    return job;
}

void add_part(LinearJob& job, const Product& product) {
    LinearPart& part = job.parts[job.n_parts++];
    part.data = product.matrix.data;
    part.row_bytes = product.matrix.row_bytes;
    part.rows = product.matrix.rows;
    part.bias = product.bias;
    part.y = product.y;
    job.outputs = job.epilogue == Epilogue::kGateUp ? product.matrix.rows : job.outputs + part.rows;
}

int64_t rounded_bytes(int64_t n_rows, int64_t columns) {
    const int64_t rounded = n_rows * rounded_row_bytes(columns);
    const int64_t bf16 = bf16_bytes(n_rows, columns);
    return rounded > bf16 ? rounded : bf16;
}

bool expands(int32_t format) {
    return family_of(format).expand != nullptr;
}

cudaError_t expand_rows(const Expand& job, int32_t format, cudaStream_t stream) {
    const LinearFamily family = family_of(format);
    return family.expand ? family.expand(job, stream) : cudaErrorInvalidValue;
}

bool format_supported(int32_t format) {
    return family_of(format).look_up != nullptr;
}

bool takes_split(const Input& input, const LinearOptions& options) {
    return options.traits.has_floats16 && !options.same_for_all_rows && input.n_rows > kFewRows &&
           input.n_rows <= kSplitRows;
}

bool takes_warpgroups(const Input& input, const Product* products, int32_t n,
                      const LinearOptions& options, const InputForms& forms) {
    const bool has_them = options.traits.has_floats16 && options.traits.has_warpgroups;
    if (!has_them || options.same_for_all_rows || !forms.parts || input.n_rows <= kSplitRows) {
        return false;
    }
    for (int32_t i = 0; i < n; ++i) {
        if (!expands(products[i].matrix.format)) return false;
    }
    return true;
}

bool reads_rounded(int32_t format) {
    return linear_floats(format).look_up == nullptr;
}

cudaError_t multiply(const Input& input, const Product* products, int32_t n,
                     const LinearOptions& options, const InputForms& forms, float* spare,
                     cudaStream_t stream) {
    if (takes_warpgroups(input, products, n, options, forms)) {
        return multiply_in_warpgroups(input, products, n, options, forms, spare, stream);
    }
    if (takes_bf16(input, products, n, options, forms)) {
        return multiply_in_bf16(input, products, n, options, forms, stream);
    }
    Operand operand;
    const cudaError_t error = prepare(input, products, n, options, forms, operand, stream);
    if (error != cudaSuccess) return error;
    return multiply_operand(operand, products, n, options, forms, spare, stream);
}

bool leaves_fragments(const Input& input, const Product* gate_up, const LinearOptions& options,
                      const InputForms& forms) {
    if (takes_warpgroups(input, gate_up, 2, options, forms)) {
        return gate_up[0].matrix.format == gate_up[1].matrix.format;
    }
    return takes_bf16(input, gate_up, 2, options, forms);
}

cudaError_t look_up_rows(const Matrix& matrix, const int32_t* indices, int32_t step, int32_t n,
                         float scale, float* out, cudaStream_t stream) {
    const LinearFamily family = family_of(matrix.format);
    if (!family.look_up) return cudaErrorInvalidValue;
    return family.look_up(
        {matrix.data, matrix.row_bytes, matrix.columns, indices, step, n, scale, out}, stream);
}

}  // namespace puna::cuda
