#include "cuda/linear.h"

#include "cuda/linear_family.cuh"

namespace puna::cuda {

namespace {

LinearFamily family_of(int32_t format) {
    for (const auto find : {linear_floats, linear_blocks, linear_k, linear_iq2, linear_iq3}) {
        const LinearFamily family = find(format);
        if (family.multiply) return family;
    }
    return {};
}

// gate = activation(gate) * up. Grid: [blocks of elements].
__global__ void activate_elements(float* gate, const float* up, int64_t n, int32_t activation) {
    const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (i < n) gate[i] = activate(activation, gate[i], up[i]);
}

LinearJob make_job(const Input& x, const LinearOptions& options) {
    LinearJob job;
    job.columns = x.columns;
    job.x = x.floats;
    job.rounded = x.rounded;
    job.n_rows = x.n_rows;
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

cudaError_t run_job(const LinearJob& job, int32_t format, const LinearOptions& options,
                    cudaStream_t stream) {
    const LinearFamily family = family_of(format);
    if (!family.multiply) return cudaErrorInvalidValue;
    const bool with_few = options.same_for_all_rows || job.n_rows <= kFewRows;
    return family.multiply(job, with_few, stream);
}

// Gate and up of two formats: two products, and then the activation.
cudaError_t gate_up_apart(const Input& x, const Product* products, const LinearOptions& options,
                          float* spare, cudaStream_t stream) {
    if (!spare) return cudaErrorInvalidValue;
    LinearOptions apart = options;
    apart.epilogue = Epilogue::kStore;
    for (int32_t i = 0; i < 2; ++i) {
        Product product = products[i];
        if (i == 1) product.y = spare;
        const cudaError_t error = multiply(x, &product, 1, apart, nullptr, stream);
        if (error != cudaSuccess) return error;
    }
    constexpr unsigned kThreads = 256;
    const int64_t n = x.n_rows * options.y_stride;
    return launch(activate_elements, dim3(static_cast<unsigned>((n + kThreads - 1) / kThreads)),
                  dim3(kThreads), 0, stream, products[0].y, spare, n, options.activation);
}

}  // namespace

bool format_supported(int32_t format) {
    return family_of(format).multiply != nullptr;
}

bool reads_rounded(int32_t format) {
    return linear_floats(format).multiply == nullptr;
}

cudaError_t multiply(const Input& x, const Product* products, int32_t n,
                     const LinearOptions& options, float* spare, cudaStream_t stream) {
    if (options.epilogue == Epilogue::kGateUp) {
        if (products[0].matrix.format != products[1].matrix.format) {
            return gate_up_apart(x, products, options, spare, stream);
        }
        LinearJob job = make_job(x, options);
        add_part(job, products[0]);
        add_part(job, products[1]);
        return run_job(job, products[0].matrix.format, options, stream);
    }
    for (int32_t i = 0; i < n;) {
        LinearJob job = make_job(x, options);
        const int32_t format = products[i].matrix.format;
        while (i < n && job.n_parts < kMostParts && products[i].matrix.format == format) {
            add_part(job, products[i++]);
        }
        const cudaError_t error = run_job(job, format, options, stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t look_up_rows(const Matrix& matrix, const int32_t* indices, int32_t step, int32_t n,
                         float scale, float* out, cudaStream_t stream) {
    const LinearFamily family = family_of(matrix.format);
    if (!family.look_up) return cudaErrorInvalidValue;
    return family.look_up(
        {matrix.data, matrix.row_bytes, matrix.columns, indices, step, n, scale, out}, stream);
}

}  // namespace puna::cuda
