// The kernels of a format, by which files of a few formats each are put together.
#pragma once

#include "cuda/linear_few.cuh"
#include "cuda/linear_many.cuh"

namespace puna::cuda {

struct LookUp {
    const uint8_t* data;
    int64_t row_bytes;
    int64_t columns;
    const int32_t* indices;  // [n_rows], `step` apart
    int32_t step;
    int32_t n_rows;
    float scale;
    float* out;  // [n_rows][columns]
};

struct LinearFamily {
    cudaError_t (*multiply_few)(const LinearJob& job, const LinearOptions& options,
                                cudaStream_t stream) = nullptr;
    cudaError_t (*multiply_many)(const LinearJob& job, cudaStream_t stream) = nullptr;
    cudaError_t (*look_up)(const LookUp& job, cudaStream_t stream) = nullptr;
};

// Null functions for a format that is not of the family.
LinearFamily linear_floats(int32_t format);
LinearFamily linear_blocks(int32_t format);
LinearFamily linear_k(int32_t format);
LinearFamily linear_iq2(int32_t format);
LinearFamily linear_iq3(int32_t format);

// Grid: [blocks of spans][rows]; a thread unpacks a span.
template <class Format>
__global__ void look_up_spans(const LookUp job) {
    const int64_t s = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (s >= job.columns / kSpan) return;
    constexpr int kSpans = Format::kLength / kSpan;
    const int64_t row = job.indices[int64_t{blockIdx.y} * job.step];
    Span span;
    Format::unpack(job.data + row * job.row_bytes + s / kSpans * Format::kBytes,
                   static_cast<int>(s % kSpans), span);
    float* out = job.out + int64_t{blockIdx.y} * job.columns + s * kSpan;
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
        constexpr bool kSigned = Format::kOffset == 0 && !Format::kMins;
        const uint32_t byte = span.quants[j / 4] >> j % 4 * 8 & 255u;
        const int quant = kSigned ? static_cast<int8_t>(byte) : static_cast<int>(byte);
        const int half = Format::kHalves ? j / 16 : 0;
        float value = __fmul_rn(span.scale[half], __int2float_rn(quant - Format::kOffset));
        if constexpr (Format::kMins) value = __fadd_rn(value, -span.min[half]);
        out[j] = value * job.scale;
    }
}

template <class Format>
cudaError_t look_up_quantised(const LookUp& job, cudaStream_t stream) {
    constexpr unsigned kThreads = 64;
    const auto n_blocks = static_cast<unsigned>((job.columns / kSpan + kThreads - 1) / kThreads);
    return launch(look_up_spans<Format>, dim3(n_blocks, static_cast<unsigned>(job.n_rows)),
                  dim3(kThreads), 0, stream, job);
}

template <class Format>
constexpr LinearFamily quantised_family() {
    return {multiply_few<Format>, multiply_many<Format>, look_up_quantised<Format>};
}

}  // namespace puna::cuda
