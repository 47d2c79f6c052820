// The kernels of a format, by which files of a few formats each are put together.
#pragma once

#include "cuda/linear_bf16.h"
#include "cuda/linear_few.cuh"
#include "cuda/linear_many.cuh"
#include "cuda/linear_split.cuh"
#include "cuda/linear_warpgroups.cuh"

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
    cudaError_t (*expand)(const Expand& job, cudaStream_t stream) = nullptr;
    // Of up to kSplitRows rows, in bfloat16.
    cudaError_t (*multiply_split)(const LinearJob& job, const LinearOptions& options,
                                  const InputForms& forms, cudaStream_t stream) = nullptr;
    // Of more, by warpgroups.
    cudaError_t (*multiply_warpgroups)(const LinearJob& job, const LinearOptions& options,
                                       const InputForms& forms, cudaStream_t stream) = nullptr;
};

// Null functions for a format that is not of the family. F32 does not expand: it would lose too much.
LinearFamily linear_floats(int32_t format);
LinearFamily linear_blocks(int32_t format);
LinearFamily linear_k(int32_t format);
LinearFamily linear_iq2(int32_t format);
LinearFamily linear_iq3(int32_t format);

// Weight j of a span: two roundings at most, as in lib/format.
template <class Format>
__device__ inline float weight_of(const Span& span, int j) {
    constexpr bool kSigned = Format::kOffset == 0 && !Format::kMins;
    const uint32_t byte = span.quants[j / 4] >> j % 4 * 8 & 255u;
    const int quant = kSigned ? static_cast<int8_t>(byte) : static_cast<int>(byte);
    const int half = Format::kHalves ? j / 16 : 0;
    float value = __fmul_rn(span.scale[half], __int2float_rn(quant - Format::kOffset));
    if constexpr (Format::kMins) value = __fadd_rn(value, -span.min[half]);
    return value;
}

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
    for (int j = 0; j < kSpan; ++j) out[j] = weight_of<Format>(span, j) * job.scale;
}

template <class Format>
cudaError_t look_up_quantised(const LookUp& job, cudaStream_t stream) {
    constexpr unsigned kThreads = 64;
    const auto n_blocks = static_cast<unsigned>((job.columns / kSpan + kThreads - 1) / kThreads);
    return launch(look_up_spans<Format>, dim3(n_blocks, static_cast<unsigned>(job.n_rows)),
                  dim3(kThreads), 0, stream, job);
}

// Row `row` of all parts.
struct RowToExpand {
    const uint8_t* data;
    int64_t out;  // where it goes
};
__device__ inline RowToExpand row_to_expand(const Expand& job, int64_t row) {
    ExpandPart part = job.parts[0];
#pragma unroll
    for (int i = 1; i < kMostParts; ++i) {
        if (i < job.n_parts && row >= job.parts[i].first) part = job.parts[i];
    }
    row -= part.first;
    return {part.data + row * job.row_bytes,
            part.first_out + (job.takes_turns ? row / 8 * 16 + row % 8 : row)};
}
constexpr int kExpandWarps = 2;

// Grid: [rows][spans / (32 kExpandWarps)]. A thread unpacks a span; its warp then writes all without gaps.
template <class Format>
__global__ void __launch_bounds__(kExpandWarps* kWarp) expand_spans(const Expand job) {
    constexpr int kPieces = 4;  // of 16 bytes, of a span
    __shared__ uint4 memory[kExpandWarps][kWarp * kPieces];
    uint4* pieces = memory[warp_of_thread()];
    const RowToExpand row = row_to_expand(job, static_cast<int64_t>(blockIdx.x));
    const int lane = lane_of_thread();
    const int64_t first = (int64_t{blockIdx.y} * kExpandWarps + warp_of_thread()) * kWarp;
    const int64_t s = first + lane;
    Span span = {};
    if (s < job.columns / kSpan) {
        constexpr int kSpans = Format::kLength / kSpan;
        Format::unpack(row.data + s / kSpans * Format::kBytes, static_cast<int>(s % kSpans), span);
    }
    const bool is_there = s < job.columns / kSpan;
#pragma unroll
    for (int p = 0; p < kPieces; ++p) {
        uint32_t words[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int j = 8 * p + 2 * i;
            words[i] = !is_there ? 0
                                 : bfloat16_pair(weight_of<Format>(span, j),
                                                 weight_of<Format>(span, j + 1));
        }
        // No two lanes of eight in a bank.
        pieces[lane * kPieces + (p ^ (lane >> 1 & 3))] =
            make_uint4(words[0], words[1], words[2], words[3]);
    }
    __syncwarp();
    wait_for_last_kernel();  // which may read what was there before
    auto* out = reinterpret_cast<uint4*>(job.out + row.out * job.stride) + first * kPieces;
    const int64_t n_pieces = job.stride / kSpan * kPieces - first * kPieces;
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
        const int at = i * kWarp + lane;
        if (at < n_pieces) out[at] = pieces[at ^ (at / kPieces >> 1 & 3)];
    }
}

template <class Format>
cudaError_t expand_quantised(const Expand& job, cudaStream_t stream) {
    constexpr int64_t kSpansAtOnce = kExpandWarps * kWarp;
    const auto n_blocks =
        static_cast<unsigned>((job.stride / kSpan + kSpansAtOnce - 1) / kSpansAtOnce);
    return launch_next(job.overlaps, expand_spans<Format>,
                       dim3(static_cast<unsigned>(job.n_rows), n_blocks),
                       dim3(kExpandWarps * kWarp), 0, stream, job);
}

template <class Format>
constexpr LinearFamily quantised_family() {
    return {multiply_few<Format>,     multiply_many<Format>,  look_up_quantised<Format>,
            expand_quantised<Format>, multiply_split<Format>, multiply_warpgroups<Format>};
}

}  // namespace puna::cuda
