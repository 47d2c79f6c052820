// The norm of rows, by a block: the same additions in the same order wherever a row is normed.
#pragma once

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

// The same for a row, by a warp, in another order.
__device__ inline NormScale norm_scale_of_row(const float* row, int64_t n, const RowNorm& norm) {
    const auto size = static_cast<float>(n);
    NormScale scale = {0.0f, 0.0f};
    if (norm.kind == PUNA_NORM_LAYER) {
        float sum = 0.0f;
#pragma unroll 8
        for (int64_t i = lane_of_thread(); i < n; i += kWarp) sum += row[i];
        scale.shift = warp_sum(sum) / size;
    }
    float squares = 0.0f;
#pragma unroll 8
    for (int64_t i = lane_of_thread(); i < n; i += kWarp) {
        const float value = row[i] - scale.shift;
        squares = __fmaf_rn(value, value, squares);
    }
    scale.scale = 1.0f / sqrtf(warp_sum(squares) / size + norm.epsilon);
    return scale;
}

}  // namespace puna::cuda
