// Products with few rows: one pass over the weights for up to 8 rows. A warp computes two outputs (a gate
// and its up, or two neighbours), so that activations are read once for both. Lanes take spans of 32
// weights in turn, span s by lane s % 32, and their sums are added as a tree: the order of additions
// depends on the columns alone, hence a result on nothing but its row.
//
// By the figures of other engines a GPU decodes small models at the speed of its dependent loads and
// launches, not of its memory: so all of a warp's loads are independent of each other, and there is no
// barrier. Of a span of Q4_0 a lane reads 18 bytes of weights and, in pieces that are contiguous over
// the warp, 80 bytes of activations from L1 for each row.
#pragma once

#include "cuda/activations.cuh"
#include "cuda/blocks.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"

namespace puna::cuda {

constexpr int kFewRows = 8;
constexpr int kFewWarps = 4;  // of a block

// The activations of a span of one row.
struct RoundedWords {
    uint32_t high[8];
    uint32_t low[8];
    RoundedScale scale;
};
__device__ inline void load_rounded(const uint8_t* row, const RoundedSpan& at, RoundedWords& x) {
    const uint8_t* piece = row + at.offset;
    load_words<16, 4>(piece, x.high);
    load_words<16, 4>(piece + at.step, x.high + 4);
    load_words<16, 4>(piece + 2 * at.step, x.low);
    load_words<16, 4>(piece + 3 * at.step, x.low + 4);
    x.scale = *reinterpret_cast<const RoundedScale*>(piece + 4 * at.step);
}

// The integer product of kWords words of a span, without the offset of the format.
template <int kWords>
__device__ inline int dot_words(const uint32_t* quants, const uint32_t* high, const uint32_t* low) {
    int high_sum = 0;
    int low_sum = 0;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
        high_sum = __dp4a(static_cast<int>(quants[i]), static_cast<int>(high[i]), high_sum);
        low_sum = __dp4a(static_cast<int>(quants[i]), static_cast<int>(low[i]), low_sum);
    }
    return high_sum * 256 + low_sum;
}

// sum + what a span gives. Every multiplication and addition is spelt out, so that no compilation of it
// rounds in another way.
template <class Format>
__device__ inline float add_span(const Span& w, const RoundedWords& x, float sum) {
    float product;
    if constexpr (Format::kHalves) {
        const int first = dot_words<4>(w.quants, x.high, x.low) - Format::kOffset * x.scale.sums[0];
        const int second =
            dot_words<4>(w.quants + 4, x.high + 4, x.low + 4) - Format::kOffset * x.scale.sums[1];
        product = __fmaf_rn(w.scale[1], __int2float_rn(second),
                            __fmul_rn(w.scale[0], __int2float_rn(first)));
        if constexpr (Format::kMins) {
            product = __fmaf_rn(-w.min[0], __int2float_rn(x.scale.sums[0]), product);
            product = __fmaf_rn(-w.min[1], __int2float_rn(x.scale.sums[1]), product);
        }
    } else {
        const int sums = x.scale.sums[0] + x.scale.sums[1];
        const int dot = dot_words<8>(w.quants, x.high, x.low) - Format::kOffset * sums;
        product = __fmul_rn(w.scale[0], __int2float_rn(dot));
        if constexpr (Format::kMins) {
            product = __fmaf_rn(-w.min[0], __int2float_rn(sums), product);
        }
    }
    return __fmaf_rn(x.scale.scale, product, sum);
}

// Two weight rows times kRows rounded rows, on one warp. sums[i][r] are those of the lane.
template <class Format, int kRows>
__device__ inline void multiply_quants(const LinearJob& job, const uint8_t* const* weights,
                                       const int64_t* rows, float (*sums)[kRows]) {
    constexpr int kSpans = Format::kLength / kSpan;
    const int64_t n_spans = job.columns / kSpan;
    const int64_t row_bytes = rounded_row_bytes(job.columns);
    for (int64_t s = lane_of_thread(); s < n_spans; s += kWarp) {
        const RoundedSpan at = rounded_span(n_spans, s);
        const auto index = static_cast<int>(s % kSpans);
        Span spans[2];
        Format::unpack(weights[0] + s / kSpans * Format::kBytes, index, spans[0]);
        Format::unpack(weights[1] + s / kSpans * Format::kBytes, index, spans[1]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            RoundedWords x;
            load_rounded(job.rounded + rows[r] * row_bytes, at, x);
            sums[0][r] = add_span<Format>(spans[0], x, sums[0][r]);
            sums[1][r] = add_span<Format>(spans[1], x, sums[1][r]);
        }
    }
}

// ---- Floats -------------------------------------------------------------------------------------

// A format of single elements: kBytes of each, and how to load kCount of them from aligned memory.
struct F32 {
    static constexpr int kBytes = 4;
    __device__ static float load(const uint8_t* from) {
        return __ldg(reinterpret_cast<const float*>(from));
    }
    static constexpr int kWide = 4;  // elements in 16 bytes
    __device__ static void load_wide(const uint8_t* from, float* out) {
        uint32_t words[4];
        load_words<16, 4>(from, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) out[i] = __uint_as_float(words[i]);
    }
};
struct F16 {
    static constexpr int kBytes = 2;
    __device__ static float load(const uint8_t* from) { return load_half(from); }
    static constexpr int kWide = 8;
    __device__ static void load_wide(const uint8_t* from, float* out) {
        uint32_t words[4];
        load_words<16, 4>(from, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            out[2 * i] = half_value(words[i] & 0xffffu);
            out[2 * i + 1] = half_value(words[i] >> 16);
        }
    }
};
struct BF16 {
    static constexpr int kBytes = 2;
    __device__ static float load(const uint8_t* from) { return bfloat16_value(load_16(from)); }
    static constexpr int kWide = 8;
    __device__ static void load_wide(const uint8_t* from, float* out) {
        uint32_t words[4];
        load_words<16, 4>(from, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            out[2 * i] = bfloat16_value(words[i] & 0xffffu);
            out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
};

// Rows of a multiple of 16 bytes: 16 bytes of weights at a time.
template <class Format, int kRows>
__device__ inline void multiply_wide(const LinearJob& job, const uint8_t* const* weights,
                                     const int64_t* rows, float (*sums)[kRows]) {
    constexpr int kWide = Format::kWide;
    for (int64_t j = int64_t{lane_of_thread()} * kWide; j < job.columns; j += kWarp * kWide) {
        float w[2][kWide];
        Format::load_wide(weights[0] + j * Format::kBytes, w[0]);
        Format::load_wide(weights[1] + j * Format::kBytes, w[1]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            float x[kWide];
            const auto* from = reinterpret_cast<const uint8_t*>(job.x + rows[r] * job.columns + j);
#pragma unroll
            for (int i = 0; i < kWide; i += 4) F32::load_wide(from + 4 * i, x + i);
#pragma unroll
            for (int i = 0; i < kWide; ++i) {
                sums[0][r] = __fmaf_rn(w[0][i], x[i], sums[0][r]);
                sums[1][r] = __fmaf_rn(w[1][i], x[i], sums[1][r]);
            }
        }
    }
}

template <class Format, int kRows>
__device__ inline void multiply_elements(const LinearJob& job, const uint8_t* const* weights,
                                         const int64_t* rows, float (*sums)[kRows]) {
    for (int64_t j = lane_of_thread(); j < job.columns; j += kWarp) {
        const float w0 = Format::load(weights[0] + j * Format::kBytes);
        const float w1 = Format::load(weights[1] + j * Format::kBytes);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const float x = job.x[rows[r] * job.columns + j];
            sums[0][r] = __fmaf_rn(w0, x, sums[0][r]);
            sums[1][r] = __fmaf_rn(w1, x, sums[1][r]);
        }
    }
}

template <class Format>
constexpr bool kIsFloats = Format::kBytes <= 4;

// ---- The kernel ---------------------------------------------------------------------------------

// Grid: [pairs of outputs / kFewWarps][rows / kRows].
template <class Format, int kRows>
__global__ void __launch_bounds__(kFewWarps* kWarp) linear_few(const LinearJob job) {
    const int64_t pair = int64_t{blockIdx.x} * kFewWarps + warp_of_thread();
    const bool is_gate_up = job.epilogue == Epilogue::kGateUp;
    const int64_t output = is_gate_up ? pair : 2 * pair;
    if (output >= job.outputs) return;
    const bool has_second = is_gate_up || output + 1 < job.outputs;

    OutputPlace places[2];
    places[0] = is_gate_up ? OutputPlace{0, output} : place_of(job, output);
    places[1] = is_gate_up   ? OutputPlace{1, output}
                : has_second ? place_of(job, output + 1)
                             : places[0];
    const uint8_t* weights[2] = {weights_of(job, places[0]), weights_of(job, places[1])};
    const int64_t first_row = int64_t{blockIdx.y} * kRows;
    int64_t rows[kRows];  // those beyond the last are the last once more
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        rows[r] = first_row + r < job.n_rows ? first_row + r : job.n_rows - 1;
    }

    float sums[2][kRows] = {};
    if constexpr (!kIsFloats<Format>) {
        multiply_quants<Format, kRows>(job, weights, rows, sums);
    } else if (job.columns * Format::kBytes % 16 == 0) {
        multiply_wide<Format, kRows>(job, weights, rows, sums);
    } else {
        multiply_elements<Format, kRows>(job, weights, rows, sums);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const float first = warp_sum(sums[0][r]);
        const float second = warp_sum(sums[1][r]);
        if (lane_of_thread() != r || first_row + r >= job.n_rows) continue;
        if (is_gate_up) {
            finish_gate_up(job, output, first_row + r, first, second);
            continue;
        }
        finish(job, places[0], first_row + r, first);
        if (has_second) finish(job, places[1], first_row + r, second);
    }
}

template <class Format, int kRows>
cudaError_t launch_few(const LinearJob& job, cudaStream_t stream) {
    const bool is_gate_up = job.epilogue == Epilogue::kGateUp;
    const int64_t n_pairs = is_gate_up ? job.outputs : (job.outputs + 1) / 2;
    const auto n_blocks = static_cast<unsigned>((n_pairs + kFewWarps - 1) / kFewWarps);
    const auto n_groups = static_cast<unsigned>((job.n_rows + kRows - 1) / kRows);
    return launch(linear_few<Format, kRows>, dim3(n_blocks, n_groups), dim3(kFewWarps * kWarp), 0,
                  stream, job);
}

// kRows that go through together, by how many there are. All give the same results.
template <class Format>
cudaError_t multiply_few(const LinearJob& job, cudaStream_t stream) {
    if (job.n_rows == 1) return launch_few<Format, 1>(job, stream);
    if (job.n_rows == 2) return launch_few<Format, 2>(job, stream);
    if (job.n_rows <= 4) return launch_few<Format, 4>(job, stream);
    return launch_few<Format, kFewRows>(job, stream);
}

}  // namespace puna::cuda
