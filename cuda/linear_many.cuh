// Products with many rows: a block unpacks a span or two of 64 outputs once into shared memory and
// multiplies them with 8 kTiles rounded rows on the tensor cores. Bytes times bytes are exact there, so
// only the order of the sums over spans differs from linear_few.cuh, and results do not depend on the
// neighbours of a row either.
//
// The two sums of a span (of high and of low bytes) begin at a number whose bits are those of a float with
// a last digit of 1: read as a float, and that taken off, they need no conversion, of which a GPU does a
// quarter as many as additions.
#pragma once

#include "cuda/activations.cuh"
#include "cuda/blocks.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"
#include "cuda/mma.cuh"

namespace puna::cuda {

constexpr int kManyWarps = 4;
constexpr int kManyOutputs = 16 * kManyWarps;  // of a block
constexpr int kManySpans = 2;                  // unpacked at a time
// Words from one output, or row, to the next: no two lanes of a fragment meet in a bank.
constexpr int kWeightStride = 12;
constexpr int kRowStride = 20;
constexpr int kMagicBits = 0x4b400000;  // 1.5 * 2^23
constexpr float kMagic = 12582912.0f;

template <int kRows>
struct ManyTile {
    uint32_t weights[kManySpans][kManyOutputs][kWeightStride];
    uint32_t rows[kManySpans][kRows][kRowStride];  // high bytes, low bytes
    float weight_scales[kManySpans][kManyOutputs][2];
    float weight_mins[kManySpans][kManyOutputs][2];
    float4 row_scales[kManySpans][kRows];  // scale, the two sums
};

// Bytes minus a small number each, which they may be less than.
__device__ inline uint32_t minus(uint32_t bytes, uint32_t offset) {
    return ((bytes | 0x80808080u) - offset * 0x01010101u) ^ 0x80808080u;
}

template <class Format, int kRows>
__device__ inline void fill_weights(const LinearJob& job, const uint8_t* weights,
                                    int64_t first_span, ManyTile<kRows>& tile) {
    const int output = static_cast<int>(threadIdx.x) % kManyOutputs;
    const int part = static_cast<int>(threadIdx.x) / kManyOutputs;
    const int64_t s = first_span + part;
    Span span = {};
    if (weights && s < job.columns / kSpan) {
        constexpr int kSpans = Format::kLength / kSpan;
        Format::unpack(weights + s / kSpans * Format::kBytes, static_cast<int>(s % kSpans), span);
        if constexpr (Format::kOffset != 0) {
#pragma unroll
            for (int i = 0; i < 8; ++i) span.quants[i] = minus(span.quants[i], Format::kOffset);
        }
    }
    auto* to = reinterpret_cast<uint4*>(tile.weights[part][output]);
    to[0] = make_uint4(span.quants[0], span.quants[1], span.quants[2], span.quants[3]);
    to[1] = make_uint4(span.quants[4], span.quants[5], span.quants[6], span.quants[7]);
#pragma unroll
    for (int i = 0; i < (Format::kHalves ? 2 : 1); ++i) {
        tile.weight_scales[part][output][i] = span.scale[i];
        if constexpr (Format::kMins) tile.weight_mins[part][output][i] = span.min[i];
    }
}

template <int kRows>
__device__ inline void fill_rows(const LinearJob& job, int64_t first_span, ManyTile<kRows>& tile) {
    const int64_t n_spans = job.columns / kSpan;
    const int64_t row_bytes = rounded_row_bytes(job.columns);
    const int n_pieces = kRows * kManySpans * kRoundedPieces;
    for (int i = static_cast<int>(threadIdx.x); i < n_pieces; i += kManyWarps * kWarp) {
        const int part = i % kManySpans;
        const int piece = i / kManySpans % kRoundedPieces;
        const int row = i / (kManySpans * kRoundedPieces);
        const int64_t r = int64_t{blockIdx.y} * kRows + row;
        const int64_t s = first_span + part;
        uint4 words = make_uint4(0, 0, 0, 0);
        if (r < job.n_rows && s < n_spans) {
            const RoundedSpan at = rounded_span(n_spans, s);
            words = *reinterpret_cast<const uint4*>(job.rounded + r * row_bytes + at.offset +
                                                    piece * at.step);
        }
        if (piece < 4) {
            *reinterpret_cast<uint4*>(tile.rows[part][row] + 4 * piece) = words;
        } else {
            tile.row_scales[part][row] =
                make_float4(__uint_as_float(words.x), __int2float_rn(static_cast<int>(words.y)),
                            __int2float_rn(static_cast<int>(words.z)), 0.0f);
        }
    }
}

// The integer product of 16 outputs and 8 rows over kWords * 4 weights, as floats: c of mma.cuh.
template <int kWords>
__device__ inline void multiply_tile(const uint32_t* a, const uint32_t* high, const uint32_t* low,
                                     float* product) {
    int high_sums[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
    int low_sums[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
    if constexpr (kWords == 8) {
        mma_32_bytes(high_sums, a, high);
        mma_32_bytes(low_sums, a, low);
    } else {
        mma_16_bytes(high_sums, a, high);
        mma_16_bytes(low_sums, a, low);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        product[i] = __fmaf_rn(256.0f, __int_as_float(high_sums[i]) - kMagic,
                               __int_as_float(low_sums[i]) - kMagic);
    }
}

// Adds what a span gives to the sums of a warp's 16 outputs.
template <class Format, int kTiles>
__device__ inline void add_tiles(const ManyTile<8 * kTiles>& tile, int part, float (*sums)[4]) {
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    const int output = warp_of_thread() * 16 + g;
    uint32_t a[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = tile.weights[part][output + i % 2 * 8][t + i / 2 * 4];
    const float* scales[2] = {tile.weight_scales[part][output],
                              tile.weight_scales[part][output + 8]};
    const float* mins[2] = {tile.weight_mins[part][output], tile.weight_mins[part][output + 8]};
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
        const uint32_t* row = tile.rows[part][8 * n + g];
        const uint32_t high[2] = {row[t], row[t + 4]};
        const uint32_t low[2] = {row[8 + t], row[12 + t]};
        float product[4];
        multiply_tile<Format::kHalves ? 4 : 8>(a, high, low, product);
        float second[4];
        if constexpr (Format::kHalves) multiply_tile<4>(a + 2, high + 1, low + 1, second);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float4 x = tile.row_scales[part][8 * n + 2 * t + i % 2];
            float sum = scales[i / 2][0] * product[i];
            if constexpr (Format::kHalves) sum = __fmaf_rn(scales[i / 2][1], second[i], sum);
            if constexpr (Format::kMins && Format::kHalves) {
                sum = __fmaf_rn(-mins[i / 2][0], x.y, sum);
                sum = __fmaf_rn(-mins[i / 2][1], x.z, sum);
            } else if constexpr (Format::kMins) {
                sum = __fmaf_rn(-mins[i / 2][0], x.y + x.z, sum);
            }
            sums[n][i] = __fmaf_rn(x.x, sum, sums[n][i]);
        }
    }
}

template <int kTiles>
__device__ inline void finish_tiles(const LinearJob& job, const float (*sums)[4]) {
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    const int64_t index = int64_t{blockIdx.x} * kManyOutputs + warp_of_thread() * 16 + g;
    const OutputPlace places[2] = {place_in_pairs(job, index), place_in_pairs(job, index + 8)};
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int64_t row = int64_t{blockIdx.y} * (8 * kTiles) + 8 * n + 2 * t + i;
            if (row >= job.n_rows) continue;
            if (job.epilogue == Epilogue::kGateUp) {
                if (!is_in_part(job, places[0])) continue;
                finish_gate_up(job, places[0].row, row, sums[n][i], sums[n][i + 2]);
                continue;
            }
            if (is_in_part(job, places[0])) finish(job, places[0], row, sums[n][i]);
            if (is_in_part(job, places[1])) finish(job, places[1], row, sums[n][i + 2]);
        }
    }
}

// Grid: [outputs / 64 (gate and up: 32)][rows / (8 kTiles)].
template <class Format, int kTiles>
__global__ void __launch_bounds__(kManyWarps* kWarp) linear_many(const LinearJob job) {
    __shared__ ManyTile<8 * kTiles> tile;
    static_assert(kManyWarps * kWarp == kManySpans * kManyOutputs);
    const OutputPlace place = place_in_pairs(
        job, int64_t{blockIdx.x} * kManyOutputs + static_cast<int>(threadIdx.x) % kManyOutputs);
    const uint8_t* weights = is_in_part(job, place) ? weights_of(job, place) : nullptr;
    float sums[kTiles][4] = {};
    for (int64_t s = 0; s < job.columns / kSpan; s += kManySpans) {
        fill_weights<Format>(job, weights, s, tile);
        fill_rows(job, s, tile);
        __syncthreads();
#pragma unroll
        for (int part = 0; part < kManySpans; ++part) add_tiles<Format, kTiles>(tile, part, sums);
        __syncthreads();
    }
    finish_tiles<kTiles>(job, sums);
}

template <class Format, int kTiles>
cudaError_t launch_many(const LinearJob& job, cudaStream_t stream) {
    const int64_t outputs = job.epilogue == Epilogue::kGateUp ? 2 * job.outputs : job.outputs;
    const auto n_blocks = static_cast<unsigned>((outputs + kManyOutputs - 1) / kManyOutputs);
    const auto n_groups = static_cast<unsigned>((job.n_rows + 8 * kTiles - 1) / (8 * kTiles));
    return launch(linear_many<Format, kTiles>, dim3(n_blocks, n_groups), dim3(kManyWarps * kWarp),
                  0, stream, job);
}

template <class Format>
cudaError_t multiply_many(const LinearJob& job, cudaStream_t stream) {
    return job.n_rows <= 32 ? launch_many<Format, 2>(job, stream)
                            : launch_many<Format, 8>(job, stream);
}

}  // namespace puna::cuda
