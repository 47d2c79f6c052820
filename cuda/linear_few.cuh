// Products with few rows: one pass over the weights for up to 8 rows, which each block norms and rounds for
// itself (few_rows.cuh). A warp computes two outputs (a gate and its up, or two neighbours), so that
// activations are read once for both. Lanes take spans of 32 weights in turn, span s by lane s % 32, and
// their sums are added as a tree: the order of additions depends on the columns alone, hence a result on
// nothing but its row.
//
// By the figures of other engines a GPU decodes small models at the speed of its dependent loads and
// launches, not of its memory: so all of a warp's loads of weights are independent of each other, and those
// of its first outputs are on their way into the L2 cache while the rows are prepared. Of a span of Q4_0 a
// lane reads 18 bytes of weights and, in pieces that are contiguous over the warp, 80 bytes of activations
// from shared memory for each row.
#pragma once

#include "cuda/blocks.cuh"
#include "cuda/few_rows.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"

namespace puna::cuda {

// The activations of a span of one row.
struct RoundedWords {
    uint32_t high[8];
    uint32_t low[8];
    RoundedScale scale;
};
__device__ inline void load_piece(const uint8_t* piece, uint32_t* words) {
    words_of(*reinterpret_cast<const uint4*>(piece), words);
}
__device__ inline void load_rounded(const uint8_t* row, const RoundedSpan& at, RoundedWords& x) {
    const uint8_t* piece = row + at.offset;
    load_piece(piece, x.high);
    load_piece(piece + at.step, x.high + 4);
    load_piece(piece + 2 * at.step, x.low);
    load_piece(piece + 3 * at.step, x.low + 4);
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

// kOutputs weight rows times kRows rounded rows, a span of each. `at`: where its block begins, of which it is span
// `index`.
template <class Format, int kRows, int kOutputs, class Bytes>
__device__ inline void multiply_span(const Bytes* weights, int64_t at, int index,
                                     const uint8_t* panel, int row_bytes, const RoundedSpan& place,
                                     float (*sums)[kRows]) {
    Span spans[kOutputs];
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) Format::unpack(weights[i] + at, index, spans[i]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        RoundedWords x;
        load_rounded(panel + r * row_bytes, place, x);
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
            sums[i][r] = add_span<Format>(spans[i], x, sums[i][r]);
        }
    }
}

// One row: there are registers for the loads of two steps, and whole groups of spans, in which pieces are as far
// apart, have a loop of their own.
template <class Format, int kOutputs, class Bytes>
__device__ inline void multiply_row(const Bytes* weights, int64_t first, unsigned n_spans,
                                    const uint8_t* panel, float (*sums)[1]) {
    static_assert(kGroupSpans == kWarp);
    constexpr int kSpans = Format::kLength / kSpan;
    const int lane = lane_of_thread();
    int64_t at = (first / Format::kLength + lane / kSpans) * Format::kBytes;
    panel += lane * kPieceBytes;
    const auto n_groups = static_cast<int>(n_spans / kGroupSpans);
#pragma unroll 2
    for (int i = 0; i < n_groups; ++i) {
        multiply_span<Format, 1, kOutputs>(weights, at, lane % kSpans, panel, 0,
                                           {0, kGroupSpans * kPieceBytes}, sums);
        at += kGroupSpans / kSpans * Format::kBytes;
        panel += kGroupSpans * kRoundedSpanBytes;
    }
    const auto n_left = static_cast<int>(n_spans % kGroupSpans);
    if (lane >= n_left) return;
    multiply_span<Format, 1, kOutputs>(weights, at, lane % kSpans, panel, 0,
                                       {0, n_left * kPieceBytes}, sums);
}

// kOutputs weight rows times a panel of kRows rounded rows, on one warp: n columns from `first` on, a multiple
// of 32 spans, so that lanes have the same spans however a row is cut. sums[i][r] are those of the lane.
template <class Format, int kRows, int kOutputs, class Bytes>
__device__ inline void multiply_quants(const Bytes* weights, int64_t first, int n,
                                       const uint8_t* panel, float (*sums)[kRows]) {
    if constexpr (kRows == 1) {
        const unsigned n_spans = static_cast<unsigned>(n) / kSpan;
        return multiply_row<Format, kOutputs>(weights, first, n_spans, panel, sums);
    }
    constexpr int kSpans = Format::kLength / kSpan;
    const int n_spans = n / kSpan;
    const auto row_bytes = static_cast<int>(rounded_row_bytes(n));
    const int64_t first_byte = first / Format::kLength * Format::kBytes;
#pragma unroll 1
    for (int s = lane_of_thread(); s < n_spans; s += kWarp) {
        multiply_span<Format, kRows, kOutputs>(weights, first_byte + s / kSpans * Format::kBytes,
                                               s % kSpans, panel, row_bytes,
                                               rounded_span(n_spans, s), sums);
    }
}

// ---- Floats -------------------------------------------------------------------------------------

// A format of single elements: kBytes of each, and how to load kCount of them from aligned memory.
struct F32 {
    static constexpr int kBytes = 4;
    template <class Bytes>
    __device__ static float load(Bytes from) {
        return load_one<float>(from);
    }
    static constexpr int kWide = 4;  // elements in 16 bytes
    template <class Bytes>
    __device__ static void load_wide(Bytes from, float* out) {
        uint32_t words[4];
        load_words<16, 4>(from, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) out[i] = __uint_as_float(words[i]);
    }
};
struct F16 {
    static constexpr int kBytes = 2;
    __device__ static float value(uint32_t bits) { return half_value(bits); }
    template <class Bytes>
    __device__ static float load(Bytes from) {
        return load_half(from);
    }
    static constexpr int kWide = 8;
    template <class Bytes>
    __device__ static void load_wide(Bytes from, float* out) {
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
    __device__ static float value(uint32_t bits) { return bfloat16_value(bits); }
    template <class Bytes>
    __device__ static float load(Bytes from) {
        return bfloat16_value(load_16(from));
    }
    static constexpr int kWide = 8;
    template <class Bytes>
    __device__ static void load_wide(Bytes from, float* out) {
        uint32_t words[4];
        load_words<16, 4>(from, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            out[2 * i] = bfloat16_value(words[i] & 0xffffu);
            out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
};

// Rows of a multiple of 16 bytes: 16 bytes of weights at a time. Columns as in multiply_quants().
template <class Format, int kRows, int kOutputs, class Bytes>
__device__ inline void multiply_wide(const Bytes* weights, int64_t first, int n, const float* panel,
                                     float (*sums)[kRows]) {
    constexpr int kWide = Format::kWide;
#pragma unroll(kRows == 1 ? 2 : 1)
    for (int j = lane_of_thread() * kWide; j < n; j += kWarp * kWide) {
        float w[kOutputs][kWide];
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
            Format::load_wide(weights[o] + (first + j) * Format::kBytes, w[o]);
        }
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
            for (int i = 0; i < kWide; i += 4) {
                const float4 four = four_at(panel + r * n + j + i);
                const float x[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
                for (int k = 0; k < 4; ++k) {
#pragma unroll
                    for (int o = 0; o < kOutputs; ++o) {
                        sums[o][r] = __fmaf_rn(w[o][i + k], x[k], sums[o][r]);
                    }
                }
            }
        }
    }
}

template <class Format, int kRows, int kOutputs, class Bytes>
__device__ inline void multiply_elements(const Bytes* weights, int64_t first, int n,
                                         const float* panel, float (*sums)[kRows]) {
    for (int j = lane_of_thread(); j < n; j += kWarp) {
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
            const float w = Format::load(weights[o] + (first + j) * Format::kBytes);
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
                sums[o][r] = __fmaf_rn(w, panel[r * n + j], sums[o][r]);
            }
        }
    }
}

template <class Format>
constexpr bool kIsFloats = Format::kBytes <= 4;

// ---- The kernel ---------------------------------------------------------------------------------

// The outputs of a warp.
struct OutputPair {
    OutputPlace places[2];
    const uint8_t* weights[2];
    bool has_second;
};

__host__ __device__ inline int64_t n_pairs(const LinearJob& job) {
    return job.epilogue == Epilogue::kGateUp ? job.outputs : (job.outputs + 1) / 2;
}
__device__ inline OutputPair pair_at(const LinearJob& job, int64_t index) {
    OutputPair pair;
    if (job.epilogue == Epilogue::kGateUp) {
        pair = {{{0, index}, {1, index}}, {}, true};
    } else {
        const int64_t output = 2 * index;
        pair.has_second = output + 1 < job.outputs;
        pair.places[0] = place_of(job, output);
        pair.places[1] = pair.has_second ? place_of(job, output + 1) : pair.places[0];
    }
    pair.weights[0] = weights_of(job, pair.places[0]);
    pair.weights[1] = weights_of(job, pair.places[1]);
    return pair;
}

// Their weights into the L2 cache, by a warp.
__device__ inline void prefetch_weights(const LinearJob& job, const OutputPair& pair) {
    constexpr int kLine = 128;
    const int64_t row_bytes = job.parts[pair.places[0].part].row_bytes;
    for (int64_t at = int64_t{lane_of_thread()} * kLine; at < row_bytes; at += kWarp * kLine) {
        prefetch_l2(pair.weights[0] + at);
        prefetch_l2(pair.weights[1] + at);
    }
}

// Fills the panel with n columns from `first` on.
template <class Format, int kRows>
__device__ inline void fill_panel(const LinearJob& job, const FewRows<kRows>& rows, int64_t first,
                                  int n, void* panel) {
    __syncthreads();  // `rows` are there, and nobody reads the panel before any more
    if constexpr (kIsFloats<Format>) {
        fill_floats<kRows>(job.input, rows, first, n, static_cast<float*>(panel));
    } else {
        fill_rounded<kRows>(job.input, rows, first, n, static_cast<uint8_t*>(panel));
    }
    __syncthreads();
}

// Outputs of a warp times n columns from `first` on, which are all that is in the panel. Which way floats
// are multiplied is the same for all columns of a job.
template <class Format, int kRows, int kOutputs, class Bytes>
__device__ inline void multiply_panel(const LinearJob& job, const Bytes* weights, int64_t first,
                                      int n, const void* panel, float (*sums)[kRows]) {
    if constexpr (!kIsFloats<Format>) {
        multiply_quants<Format, kRows, kOutputs>(weights, first, n,
                                                 static_cast<const uint8_t*>(panel), sums);
    } else if (job.columns * Format::kBytes % 16 == 0) {
        multiply_wide<Format, kRows, kOutputs>(weights, first, n, static_cast<const float*>(panel),
                                               sums);
    } else {
        multiply_elements<Format, kRows, kOutputs>(weights, first, n,
                                                   static_cast<const float*>(panel), sums);
    }
}

// Lane r has row r: `before` are its outputs so far.
template <int kRows>
__device__ inline void finish_pair(const LinearJob& job, const OutputPair& pair, int64_t row,
                                   const float* before, const float (*sums)[kRows]) {
    float all[2] = {};
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
        const float first = warp_sum(sums[0][r]);
        const float second = warp_sum(sums[1][r]);
        if (lane_of_thread() != r) continue;
        all[0] = first;
        all[1] = second;
    }
    if (lane_of_thread() >= kRows || row >= job.n_rows) return;
    if (job.epilogue == Epilogue::kGateUp) {
        finish_gate_up(job, pair.places[0].row, row, all[0], all[1]);
        return;
    }
    finish(job, pair.places[0], row, all[0], before[0]);
    if (pair.has_second) finish(job, pair.places[1], row, all[1], before[1]);
}

// Blocks that find room on a multiprocessor at once, so that each prepares its rows once: by registers, of
// which two steps take up to 128. Full panels leave room for one block only where a multiprocessor has 64 KB of
// shared memory, on Turing.
constexpr int kFewBlocks = 2;

// Grid: [at most pairs of outputs / kFewWarps][rows / kRows]; blocks go on to further pairs.
template <class Format, int kRows>
__global__ void __launch_bounds__(kFewThreads, kFewBlocks) linear_few(const LinearJob job) {
    __shared__ FewRows<kRows> rows;
    void* panel = dynamic_shared();
    const int64_t n = n_pairs(job);
    const int64_t row = int64_t{blockIdx.y} * kRows + lane_of_thread();  // whose outputs it writes
    int64_t index = int64_t{blockIdx.x} * kFewWarps + warp_of_thread();
    if (index < n) prefetch_weights(job, pair_at(job, index));
    wait_for_last_kernel();
    find_rows<kRows>(job.input, int64_t{blockIdx.y} * kRows, rows);
    bool is_filled = false;
    for (int64_t first = int64_t{blockIdx.x} * kFewWarps; first < n;
         first += int64_t{gridDim.x} * kFewWarps, index += int64_t{gridDim.x} * kFewWarps) {
        const bool is_there = index < n;
        const OutputPair pair = pair_at(job, is_there ? index : n - 1);
        float before[2] = {};
        if (job.epilogue == Epilogue::kResidual && lane_of_thread() < kRows && row < job.n_rows) {
            before[0] = *place_in_y(job, pair.places[0], row);
            before[1] = *place_in_y(job, pair.places[1], row);
        }
        float sums[2][kRows] = {};
        for (int64_t column = 0; column < job.columns; column += job.panel_columns) {
            const int64_t left = job.columns - column;
            const auto width =
                static_cast<int>(left < job.panel_columns ? left : job.panel_columns);
            if (!is_filled) fill_panel<Format, kRows>(job, rows, column, width, panel);
            if (is_there) {
                multiply_panel<Format, kRows, 2>(job, pair.weights, column, width, panel, sums);
            }
        }
        is_filled = job.panel_columns >= job.columns;
        if (is_there) finish_pair<kRows>(job, pair, row, before, sums);
    }
}

template <class Format, int kRows>
cudaError_t launch_few(LinearJob job, const LinearOptions& options, cudaStream_t stream) {
    // The columns of a step of a warp, and their bytes in the panel.
    constexpr int64_t kStep = kIsFloats<Format> ? kWarp * 8 : kWarp * kSpan;
    constexpr int64_t kStepBytes =
        kRows * (kIsFloats<Format> ? kStep * 4 : kStep / kSpan * kRoundedSpanBytes);
    constexpr int64_t kMostColumns = kPanelBytes / kStepBytes * kStep;
    static_assert(kMostColumns > 0);
    const bool fits = job.columns <= kMostColumns;
    job.panel_columns = static_cast<int32_t>(fits ? job.columns : kMostColumns);
    const int64_t row_bytes =
        kIsFloats<Format> ? int64_t{job.panel_columns} * 4 : rounded_row_bytes(job.panel_columns);

    const int64_t n_groups = (job.n_rows + kRows - 1) / kRows;
    const int64_t n_blocks = (n_pairs(job) + kFewWarps - 1) / kFewWarps;
    const int64_t most = (int64_t{kFewBlocks} * options.n_processors + n_groups - 1) / n_groups;
    const int64_t n_turns = (n_blocks + most - 1) / most;
    return launch_next(options.traits.overlaps, linear_few<Format, kRows>,
                       dim3(static_cast<unsigned>((n_blocks + n_turns - 1) / n_turns),
                            static_cast<unsigned>(n_groups)),
                       dim3(kFewThreads), static_cast<size_t>(kRows * row_bytes), stream, job);
}

// kRows that go through together, by how many there are. All give the same results.
template <class Format>
cudaError_t multiply_few(const LinearJob& job, const LinearOptions& options, cudaStream_t stream) {
    if (job.n_rows == 1) return launch_few<Format, 1>(job, options, stream);
    if (job.n_rows == 2) return launch_few<Format, 2>(job, options, stream);
    if (job.n_rows <= 4) return launch_few<Format, 4>(job, options, stream);
    return launch_few<Format, kFewRows>(job, options, stream);
}

}  // namespace puna::cuda
