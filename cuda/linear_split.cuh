// Products of some rows, more than linear_few.cuh takes, in bfloat16 on tensor cores: weights are the left
// operand, which a warp unpacks for itself, so that they are read once and in their blocks. A block has 32
// outputs; of its eight warps four share 16 of them and split the columns, and add up at the end, always in
// the same order. Rows come out of the caches as the lanes take them.
#pragma once

#include "cuda/blocks.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"
#include "cuda/mma.cuh"

namespace puna::cuda {

constexpr int kSplitWarps = 8;
constexpr int kSplits = 4;                           // warps that share outputs
constexpr int kSplitGroups = kSplitWarps / kSplits;  // of 16 outputs
constexpr int kSplitOutputs = 16 * kSplitGroups;     // of a block
constexpr int kSplitSpans = 2;                       // that a warp unpacks at a time
constexpr int kSumStride = 17;                       // from a row to the next, of 16 outputs

// What a warp has unpacked: of each output and span 32 bytes, and its scales.
struct SplitSpans {
    uint4 quants[kSplitSpans][16][2];
    float scales[kSplitSpans][16][2];
    float mins[kSplitSpans][16][2];
};
template <int kTiles>
union SplitMemory {
    SplitSpans spans[kSplitWarps];
    float sums[kSplitWarps][8 * kTiles * kSumStride];
};

// Output `index` of a block. The gate and the up of an output are 8 apart.
__device__ inline OutputPlace place_in_split(const LinearJob& job, int index) {
    if (job.epilogue == Epilogue::kGateUp) {
        const int64_t first = int64_t{blockIdx.x} * (kSplitOutputs / 2);
        return {index / 8 % 2, first + index / 16 * 8 + index % 8};
    }
    return place_of(job, int64_t{blockIdx.x} * kSplitOutputs + index);
}
__device__ inline bool is_in_parts(const LinearJob& job, const OutputPlace& place) {
    return place.row < job.parts[place.part].rows;
}

// The half of an output's 32 bytes that lies first: eight lanes that write halves meet in no bank.
__device__ inline int first_half(int output) {
    return output >> 2 & 1;
}

// Lane l unpacks span l / 16 of output l % 16.
template <class Format>
__device__ inline Span unpack_span(const LinearJob& job, const uint8_t* weights, int64_t pair) {
    const int64_t s = pair * kSplitSpans + lane_of_thread() / 16;
    Span span = {};
    if (weights && s < job.columns / kSpan) {
        constexpr int kSpans = Format::kLength / kSpan;
        Format::unpack(weights + s / kSpans * Format::kBytes, static_cast<int>(s % kSpans), span);
    }
    return span;
}
template <class Format>
__device__ inline void put_span(const Span& span, SplitSpans& spans) {
    const int part = lane_of_thread() / 16;
    const int output = lane_of_thread() % 16;
    const int first = first_half(output);
    const uint32_t* q = span.quants;
    spans.quants[part][output][first] = make_uint4(q[0], q[1], q[2], q[3]);
    spans.quants[part][output][1 - first] = make_uint4(q[4], q[5], q[6], q[7]);
#pragma unroll
    for (int i = 0; i < (Format::kHalves ? 2 : 1); ++i) {
        spans.scales[part][output][i] = span.scale[i];
        if constexpr (Format::kMins) spans.mins[part][output][i] = span.min[i];
    }
}

// Columns 8 t .. 8 t + 7 of an output and span as four words of two: those of two products.
template <class Format>
__device__ inline void take_weights(const SplitSpans& spans, int part, int output,
                                    uint32_t* words) {
    // Bytes as they are unsigned, in a float from 2^23 on.
    constexpr bool kSigned = Format::kOffset == 0 && !Format::kMins;
    constexpr float kZero = 8388608.0f + (kSigned ? 128 : Format::kOffset);
    constexpr uint32_t kExponent = 0x4b000000u;
    const int t = lane_of_thread() % 4;
    const int half = Format::kHalves ? t / 2 : 0;
    const float scale = spans.scales[part][output][half];
    const float min = Format::kMins ? spans.mins[part][output][half] : 0.0f;
    const auto* bytes =
        reinterpret_cast<const uint2*>(&spans.quants[part][output][t / 2 ^ first_half(output)]);
    const uint2 eight = bytes[t % 2];
    const uint32_t both[2] = {eight.x, eight.y};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const uint32_t four = both[i / 2] ^ (kSigned ? 0x80808080u : 0u);
        float pair[2];
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            const uint32_t bits = __byte_perm(four, kExponent, 0x7650u | (i % 2 * 2 + j));
            const float quant = __uint_as_float(bits) - kZero;
            pair[j] = Format::kMins ? __fmaf_rn(scale, quant, -min) : scale * quant;
        }
        words[i] = bfloat16_pair(pair[0], pair[1]);
    }
}

// Adds the products of 16 outputs with all rows over a span.
template <class Format, int kTiles>
__device__ inline void add_span(const SplitSpans& spans, int part, const uint4* rows,
                                int64_t tile_pieces, float (*sums)[4]) {
    const int g = lane_of_thread() / 4;
    uint4 b[kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) b[n] = rows[n * tile_pieces];
    uint32_t low[4];
    uint32_t high[4];
    take_weights<Format>(spans, part, g, low);
    take_weights<Format>(spans, part, g + 8, high);
    const uint32_t a[2][4] = {{low[0], high[0], low[1], high[1]},
                              {low[2], high[2], low[3], high[3]}};
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
        const uint32_t words[4] = {b[n].x, b[n].y, b[n].z, b[n].w};
        mma_bfloat16(sums[n], a[0], words);
        mma_bfloat16(sums[n], a[1], words + 2);
    }
}

// sums[n][i] of mma.cuh: outputs g and g + 8, rows 8 n + 2 t and the next.
template <int kTiles>
__device__ inline void put_split_sums(const float (*sums)[4], float* memory) {
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            memory[(8 * n + 2 * t + i % 2) * kSumStride + g + i / 2 * 8] = sums[n][i];
        }
    }
}

// The sum over all columns of an output of the block, and of a row.
template <int kTiles>
__device__ inline float whole_sum(const SplitMemory<kTiles>& memory, int output, int row) {
    const int at = row * kSumStride + output % 16;
    float sum = memory.sums[output / 16][at];
#pragma unroll
    for (int split = 1; split < kSplits; ++split) {
        sum += memory.sums[split * kSplitGroups + output / 16][at];
    }
    return sum;
}

template <int kTiles>
__device__ inline void finish_split(const LinearJob& job, const SplitMemory<kTiles>& memory) {
    constexpr int kThreads = kSplitWarps * kWarp;
    const auto thread = static_cast<int>(threadIdx.x);
    if (job.epilogue == Epilogue::kGateUp) {
        constexpr int kPairs = kSplitOutputs / 2;
        const int gate = thread % kPairs / 8 * 16 + thread % 8;
        const OutputPlace place = place_in_split(job, gate);
        if (!is_in_parts(job, place)) return;
        for (int row = thread / kPairs; row < job.n_rows; row += kThreads / kPairs) {
            finish_gate_up(job, place.row, row, whole_sum<kTiles>(memory, gate, row),
                           whole_sum<kTiles>(memory, gate + 8, row));
        }
        return;
    }
    constexpr int kRowsAtOnce = kThreads / kSplitOutputs;
    constexpr int kEach = 8 * kTiles / kRowsAtOnce;
    const int output = thread % kSplitOutputs;
    const int first = thread / kSplitOutputs;
    const OutputPlace place = place_in_split(job, output);
    if (!is_in_parts(job, place)) return;
    float before[kEach] = {};
    if (job.epilogue == Epilogue::kResidual) {  // reads that do not wait for each other
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const int row = first + i * kRowsAtOnce;
            if (row < job.n_rows) before[i] = *place_in_y(job, place, row);
        }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const int row = first + i * kRowsAtOnce;
        if (row >= job.n_rows) return;
        finish(job, place, row, whole_sum<kTiles>(memory, output, row), before[i]);
    }
}

// Grid: [outputs / 32 (gate and up: 16)]. job.fragments is the input as right operands, of 8 kTiles rows.
template <class Format, int kTiles>
__global__ void __launch_bounds__(kSplitWarps* kWarp, 2) linear_split(const LinearJob job) {
    __shared__ SplitMemory<kTiles> memory;
    const int group = warp_of_thread() % kSplitGroups;
    const int split = warp_of_thread() / kSplitGroups;
    const OutputPlace place = place_in_split(job, group * 16 + lane_of_thread() % 16);
    const uint8_t* weights = is_in_parts(job, place) ? weights_of(job, place) : nullptr;
    const int64_t n_pairs = (job.columns / kSpan + kSplitSpans - 1) / kSplitSpans;
    const int64_t tile_pieces = n_pairs * kSplitSpans * kWarp;
    const uint4* rows = job.fragments + lane_of_thread();
    SplitSpans& spans = memory.spans[warp_of_thread()];
    float sums[kTiles][4] = {};
    Span span = unpack_span<Format>(job, weights, split);
    wait_for_last_kernel();
#pragma unroll 1
    for (int64_t pair = split; pair < n_pairs; pair += kSplits) {
        put_span<Format>(span, spans);
        __syncwarp();
        span = unpack_span<Format>(job, weights, pair + kSplits);
#pragma unroll
        for (int part = 0; part < kSplitSpans; ++part) {
            add_span<Format, kTiles>(spans, part, rows + (pair * kSplitSpans + part) * kWarp,
                                     tile_pieces, sums);
        }
        __syncwarp();
    }
    __syncthreads();  // all are done with their spans, which the sums lie over
    put_split_sums<kTiles>(sums, memory.sums[warp_of_thread()]);
    __syncthreads();
    finish_split<kTiles>(job, memory);
}

template <class Format, int kTiles>
cudaError_t launch_split(const LinearJob& job, bool overlaps, cudaStream_t stream) {
    const bool is_pair = job.epilogue == Epilogue::kGateUp;
    const int64_t n = is_pair ? (job.outputs + 7) / 8 * 16 : job.outputs;
    return launch_next(overlaps, linear_split<Format, kTiles>,
                       dim3(static_cast<unsigned>((n + kSplitOutputs - 1) / kSplitOutputs)),
                       dim3(kSplitWarps * kWarp), 0, stream, job);
}

template <class Format>
cudaError_t multiply_split(const LinearJob& job, const LinearOptions& options,
                           cudaStream_t stream) {
    return job.n_rows <= 32 ? launch_split<Format, 4>(job, options.traits.overlaps, stream)
                            : launch_split<Format, 8>(job, options.traits.overlaps, stream);
}

}  // namespace puna::cuda
