// Up to 8 rows that come into a product, in shared memory: normed, and rounded for quantised matrices. Each
// block does that for itself, which takes it a read of some KB from the L2 cache and two or three
// barriers, where a kernel before it would take a launch.
//
// Rows that are too long come in panels of columns, the next one when all warps are done with the last.
#pragma once

#include "cuda/activations.cuh"
#include "cuda/row_norm.cuh"

namespace puna::cuda {

constexpr int kFewThreads = kNormThreads;
constexpr int kFewWarps = kFewThreads / kWarp;
// Of a panel: a multiple of what 8 rows take for the columns of a step, and small enough for every GPU
// without asking, with several blocks on most.
constexpr int64_t kPanelBytes = 40 * 1024;

template <int kRows>
struct FewRows {
    const float* x[kRows];  // those beyond the last are the last once more
    NormScale norms[kRows];
    float sums[kFewWarps][kRows];
};

// What every GPU gives a block without asking.
static_assert(sizeof(FewRows<kFewRows>) + kPanelBytes <= 48 * 1024);

// Which rows a block has, and their norms. All threads come; what it writes is there after a barrier.
template <int kRows>
__device__ inline void find_rows(const Input& input, int64_t first_row, FewRows<kRows>& rows) {
    const float* x[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const int64_t last = input.n_rows - 1;
        const int64_t row = first_row + r < last ? first_row + r : last;
        x[r] = input.x + (input.rows ? input.rows[row] : row) * input.columns;
    }
    NormScale norms[kRows] = {};
    if (input.norm.gain) norm_scales<kRows>(x, input.columns, input.norm, rows.sums, norms);
    if (threadIdx.x != 0) return;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        rows.x[r] = x[r];
        rows.norms[r] = norms[r];
    }
}

__device__ inline float4 four_at(const float* from) {
    return *reinterpret_cast<const float4*>(from);
}

// Columns first .. first + n - 1 rounded, n a multiple of 32: panel [kRows] rows of n columns, as
// activations.h has them.
template <int kRows>
__device__ inline void fill_rounded(const Input& input, const FewRows<kRows>& rows, int64_t first,
                                    int n, uint8_t* panel) {
    const int n_spans = n / kRoundedSpan;
    const int n_steps = (n_spans + kRoundSpans - 1) / kRoundSpans;  // of a warp, for one row
    for (int i = warp_of_thread(); i < kRows * n_steps; i += kFewWarps) {
        const int r = i / n_steps;
        const int half = i % n_steps * kWarp + lane_of_thread();  // of spans
        const int span = half / kRoundLanes;
        float x[kHalfSpan] = {};
        if (span < n_spans) {
            const int64_t column = first + half * kHalfSpan;
            load_half_span(rows.x[r] + column, x);
            if (input.norm.gain) norm_half_span(input.norm.gain + column, rows.norms[r], x);
        }
        round_spans(x, span < n_spans, panel + r * rounded_row_bytes(n), n_spans, span);
    }
}

// The same as floats: panel [kRows][n].
template <int kRows>
__device__ inline void fill_floats(const Input& input, const FewRows<kRows>& rows, int64_t first,
                                   int n, float* panel) {
    for (auto i = static_cast<int>(threadIdx.x); i < n; i += kFewThreads) {
        const float gain = input.norm.gain ? input.norm.gain[first + i] : 0.0f;
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const float x = rows.x[r][first + i];
            panel[r * n + i] = input.norm.gain ? normed(x, rows.norms[r], gain) : x;
        }
    }
}

}  // namespace puna::cuda
