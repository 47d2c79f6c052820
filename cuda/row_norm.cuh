// The norm of rows, by a block: the same additions in the same order wherever a row is normed.
#pragma once

#include "cuda/activations.cuh"
#include "cuda/device_math.cuh"
#include "cuda/linear.h"

namespace puna::cuda {

constexpr int kNormThreads = 256;
constexpr int kNormWarps = kNormThreads / kWarp;

// normed = (x - shift) * scale * gain; shift is 0 but for PUNA_NORM_LAYER.
struct NormScale {
    float shift;
    float scale;
};
__device__ inline float normed(float x, const NormScale& norm, float gain) {
    return (x - norm.shift) * norm.scale * gain;
}

// The same for the elements of a lane of activations.cuh.
__device__ inline void norm_half_span(const float* gains, const NormScale& norm, float* x) {
    float gain[kHalfSpan];
    load_half_span(gains, gain);
#pragma unroll
    for (int i = 0; i < kHalfSpan; ++i) x[i] = normed(x[i], norm, gain[i]);
}

// Each of the values becomes its sum over all threads.
template <int kRows>
__device__ inline void block_sums(float* values, float (*shared)[kRows]) {
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        values[r] = warp_sum(values[r]);
        if (lane_of_thread() == 0) shared[warp_of_thread()][r] = values[r];
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        values[r] = 0.0f;
        for (int w = 0; w < kNormWarps; ++w) values[r] += shared[w][r];
    }
}

// Rows are read side by side, so that the block waits once for all of them.
template <int kRows>
__device__ inline void norm_scales(const float* const* rows, int64_t n, const RowNorm& norm,
                                   float (*shared)[kRows], NormScale* scales) {
    const auto first = static_cast<int64_t>(threadIdx.x);
    const auto size = static_cast<float>(n);
    float sums[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) scales[r].shift = sums[r] = 0.0f;
    if (norm.kind == PUNA_NORM_LAYER) {
        for (int64_t i = first; i < n; i += kNormThreads) {
#pragma unroll
            for (int r = 0; r < kRows; ++r) sums[r] += rows[r][i];
        }
        block_sums<kRows>(sums, shared);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            scales[r].shift = sums[r] / size;
            sums[r] = 0.0f;
        }
    }
#pragma unroll 4
    for (int64_t i = first; i < n; i += kNormThreads) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const float value = rows[r][i] - scales[r].shift;
            sums[r] = __fmaf_rn(value, value, sums[r]);
        }
    }
    block_sums<kRows>(sums, shared);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        scales[r].scale = 1.0f / sqrtf(sums[r] / size + norm.epsilon);
    }
}

// Sum over a row, by a warp: add(sum, x) for one value after the other of a lane, 16 bytes at a time where rows
// are aligned to them.
template <class Add>
__device__ inline float sum_of_row(const float* row, int64_t n, const Add& add) {
    float sum = 0.0f;
    if (n % 4 == 0) {
#pragma unroll 4
        for (int64_t i = 4 * lane_of_thread(); i < n; i += 4 * kWarp) {
            const float4 four = *reinterpret_cast<const float4*>(row + i);
            sum = add(add(add(add(sum, four.x), four.y), four.z), four.w);
        }
    } else {
#pragma unroll 8
        for (int64_t i = lane_of_thread(); i < n; i += kWarp) sum = add(sum, row[i]);
    }
    return warp_sum(sum);
}

// The same as norm_scales() for a row, by a warp, in another order.
__device__ inline NormScale norm_scale_of_row(const float* row, int64_t n, const RowNorm& norm) {
    const auto size = static_cast<float>(n);
    float shift = 0.0f;
    if (norm.kind == PUNA_NORM_LAYER) {
        shift = sum_of_row(row, n, [](float sum, float x) { return sum + x; }) / size;
    }
    const float squares = sum_of_row(row, n, [shift](float sum, float x) {
        const float value = x - shift;
        return __fmaf_rn(value, value, sum);
    });
    return {shift, 1.0f / sqrtf(squares / size + norm.epsilon)};
}

}  // namespace puna::cuda
