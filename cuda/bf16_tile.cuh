// What kernels of products in bfloat16 have in common: a block has a tile of rows and outputs, and its warps a part
// of that each, as sums in registers.
//
// Tensor cores spread the sums of 16 rows and 8 outputs over a warp, [4] in each lane: with g = lane / 4 and
// t = lane % 4, row g of outputs 2 t and 2 t + 1, and row g + 8 of both.
#pragma once

#include <span>

#include "cuda/arrivals.cuh"
#include "cuda/bf16_operands.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"

namespace puna::cuda {

// What a kernel is told beside the job: a slice of its outputs.
struct Bf16Job {
    LinearJob job;
    const uint4* weights;  // of the slice, as Expand has them
    const uint4* rows;
    int64_t stride;
    int64_t first_output;
    int64_t n_outputs;     // of the slice; with kGateUp of each part
    int64_t n_slice_rows;  // of its panels
    uint4* y_fragments;    // kGateUp: results of all rows; null: they go to y
    // Blocks that share a tile have a part of the columns each, and leave their sums: [tiles][n_splits].
    int32_t n_splits;
    float4* parts;
    uint32_t* arrivals;  // [tiles]
};

// A kernel and the tiles of its blocks. Grid: [rows][outputs of the slice, gate and up counted apart][splits].
struct TileKernel {
    int32_t rows;
    int32_t outputs;
    int32_t steps;         // of kBf16Step columns, that are on their way at a time
    int32_t shared_bytes;  // of a block
    int32_t cluster;       // neighbours along the rows, which read the weights once for all
    float products;        // of a multiprocessor in a clock
    cudaError_t (*prepare)();
    cudaError_t (*launch)(const Bf16Job& job, dim3 grid, bool overlaps, cudaStream_t stream);
};
// Operands as OperandForm::kLeft and a matrix of rows; of more rows than kSplitRows, both as panels.
std::span<const TileKernel> warp_tiles();
std::span<const TileKernel> warpgroup_tiles();

// Output `index` of the slice of a block. The gate and the up of an output are 8 apart: a lane has both.
__device__ inline int64_t output_in_slice(const LinearJob& job, int64_t index) {
    return job.epilogue == Epilogue::kGateUp ? index / 16 * 8 + index % 8 : index;
}

// ---- Columns in parts ---------------------------------------------------------------------------

// Leaves the sums of a part of the columns, in [kSums] of each of the first kThreads threads. The block of a tile
// that comes last gets those of all, added in their order. `is_last` is in shared memory.
template <int kThreads, int kSums>
__device__ inline bool join_parts(const Bf16Job& job, float (*sums)[4], bool& is_last) {
    constexpr int64_t kPart = int64_t{kSums} * kThreads;
    const bool has_sums = threadIdx.x < kThreads;
    const int64_t tile = int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
    float4* parts = job.parts + tile * job.n_splits * kPart + threadIdx.x;
    if (has_sums) {
        float4* own = parts + blockIdx.z * kPart;
#pragma unroll
        for (int i = 0; i < kSums; ++i) {
            own[i * kThreads] = make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
        }
    }
    if (!comes_last(job.arrivals + tile, job.n_splits, is_last)) return false;
    if (!has_sums) return true;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
        const float4 part = __ldcg(parts + i * kThreads);
        sums[i][0] = part.x;
        sums[i][1] = part.y;
        sums[i][2] = part.z;
        sums[i][3] = part.w;
    }
#pragma unroll 1
    for (int split = 1; split < job.n_splits; ++split) {
        parts += kPart;
#pragma unroll
        for (int i = 0; i < kSums; ++i) {
            const float4 part = __ldcg(parts + i * kThreads);
            sums[i][0] += part.x;
            sums[i][1] += part.y;
            sums[i][2] += part.z;
            sums[i][3] += part.w;
        }
    }
    return true;
}

// ---- The end of a tile --------------------------------------------------------------------------

// The sums of a warp go through shared memory, so that its lanes then have outputs side by side.
template <int kRowTilesOf, int kOutputTilesOf>
struct WarpTile {
    static constexpr int kRowTiles = kRowTilesOf;
    static constexpr int kOutputTiles = kOutputTilesOf;
    static constexpr int kSums = kRowTiles * kOutputTiles;
    static constexpr int kRows = kRowTiles * kFragmentRows;
    static constexpr int kOutputs = kOutputTiles * 8;
    static constexpr int kStride = kOutputs + 8;  // no bank twice in 16 lanes
    static constexpr int kBytes = kRows * kStride * 4;
    // That lanes finish at a time, two each.
    static constexpr int kWide = kOutputs < 2 * kWarp ? kOutputs : 2 * kWarp;
    static constexpr int kLanes = kWide / 2;      // of a row
    static constexpr int kSide = kWarp / kLanes;  // rows side by side
};

// What a warp finishes: kWide outputs from `index` of the slice on, of the rows from `row` on, whose sums are in
// memory.
struct WarpSums {
    int64_t row;
    int64_t index;
    float* memory;
};

// sums: [kSums][4].
template <class Tile>
__device__ inline void put_sums(const float (*sums)[4], float* memory) {
    const int lane = lane_of_thread();
    float* at = memory + lane / 4 * Tile::kStride + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < Tile::kSums; ++i) {
        const int m = i / Tile::kOutputTiles;
        const int n = i % Tile::kOutputTiles;
        float* low = at + kFragmentRows * m * Tile::kStride + 8 * n;
        float* high = low + 8 * Tile::kStride;
        *reinterpret_cast<float2*>(low) = make_float2(sums[i][0], sums[i][1]);
        *reinterpret_cast<float2*>(high) = make_float2(sums[i][2], sums[i][3]);
    }
    __syncwarp();
}

// What a lane finishes of every row that is its: two outputs, or the gate and the up of one.
struct LaneOutputs {
    int at[2];  // among the warp's
    bool is_output[2];
    OutputPlace places[2];
};
template <class Tile>
__device__ inline LaneOutputs outputs_of_lane(const Bf16Job& slice, int64_t first) {
    const bool is_pair = slice.job.epilogue == Epilogue::kGateUp;
    const int lane = lane_of_thread() % Tile::kLanes;
    LaneOutputs outputs;
    outputs.at[0] = is_pair ? lane / 8 * 16 + lane % 8 : lane;
    outputs.at[1] = is_pair ? outputs.at[0] + 8 : lane + Tile::kLanes;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int64_t output = output_in_slice(slice.job, first + outputs.at[i]);
        outputs.is_output[i] = output < slice.n_outputs;
        outputs.places[i] = is_pair ? OutputPlace{i, slice.first_output + output}
                                    : place_of(slice.job, slice.first_output + output);
    }
    return outputs;
}

// Some rows at a time, whose reads of what is there do not wait for each other.
template <class Tile, int kAtOnce>
__device__ inline void finish_rows(const LinearJob& job, const LaneOutputs& outputs, int first,
                                   const WarpSums& warp) {
    float before[kAtOnce][2] = {};
    if (job.epilogue == Epilogue::kResidual) {
#pragma unroll
        for (int i = 0; i < 2 * kAtOnce; ++i) {
            const int64_t row = warp.row + first + i / 2 * Tile::kSide;
            if (row < job.n_rows && outputs.is_output[i % 2]) {
                before[i / 2][i % 2] = *place_in_y(job, outputs.places[i % 2], row);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
        const int64_t row = warp.row + first + i * Tile::kSide;
        if (row >= job.n_rows) return;
        const float* sums = warp.memory + (first + i * Tile::kSide) * Tile::kStride;
        const float both[2] = {sums[outputs.at[0]], sums[outputs.at[1]]};
        if (job.epilogue == Epilogue::kGateUp) {
            if (!outputs.is_output[0]) return;
            finish_gate_up(job, outputs.places[0].row, row, both[0], both[1]);
            continue;
        }
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            if (outputs.is_output[j]) finish(job, outputs.places[j], row, both[j], before[i][j]);
        }
    }
}

// Gates become results, where the sums of the warp are. What is no output is 0.
template <class Tile>
__device__ inline void activate_sums(const Bf16Job& slice, const LaneOutputs& outputs,
                                     const WarpSums& warp) {
#pragma unroll 4
    for (int row = lane_of_thread() / Tile::kLanes; row < Tile::kRows; row += Tile::kSide) {
        float* sums = warp.memory + row * Tile::kStride;
        float& gate = sums[outputs.at[0]];
        gate = !outputs.is_output[0]
                   ? 0.0f
                   : gate_up_value(slice.job, outputs.places[0].row, gate, sums[outputs.at[1]]);
    }
    __syncwarp();
}

// Results of 16 rows and 8 outputs a lane, as the next product takes them.
template <class Tile, OperandForm kForm>
__device__ inline void put_fragments(const Bf16Job& slice, const WarpSums& warp) {
    constexpr int kEights = Tile::kWide / 16;  // of outputs
    const int lane = lane_of_thread();
    const int g = lane / kEights % 8;
    const int64_t output =
        slice.first_output + output_in_slice(slice.job, warp.index) + lane % kEights * 8;
    const int64_t stride = bf16_stride(slice.job.outputs);
    if (output >= stride) return;
#pragma unroll 1
    for (int tile = lane / (8 * kEights); tile < Tile::kRowTiles; tile += kWarp / (8 * kEights)) {
        const int64_t row = warp.row + tile * kFragmentRows;
        if (row >= slice.job.n_rows) return;
        const float* low =
            warp.memory + (tile * kFragmentRows + g) * Tile::kStride + lane % kEights * 16;
        put_operands<kForm>({slice.y_fragments, slice.job.n_rows, stride}, row, g, output, low,
                            low + 8 * Tile::kStride);
    }
}

// What becomes of the sums of a warp, whose memory has Tile::kBytes. What stays in bfloat16 gets a form.
template <class Tile, OperandForm kForm>
__device__ inline void finish_warp(const Bf16Job& job, const float (*sums)[4], WarpSums warp) {
    constexpr int kAtOnce = 8;
    constexpr int kStep = kAtOnce * Tile::kSide;
    static_assert(Tile::kRows % kStep == 0);
    put_sums<Tile>(sums, warp.memory);
#pragma unroll 1
    for (int wide = 0; wide < Tile::kOutputs; wide += Tile::kWide) {
        const LaneOutputs outputs = outputs_of_lane<Tile>(job, warp.index);
        if (job.y_fragments) {
            activate_sums<Tile>(job, outputs, warp);
            put_fragments<Tile, kForm>(job, warp);
        } else {
#pragma unroll 1
            for (int first = lane_of_thread() / Tile::kLanes; first < Tile::kRows; first += kStep) {
                finish_rows<Tile, kAtOnce>(job.job, outputs, first, warp);
            }
        }
        warp.index += Tile::kWide;
        warp.memory += Tile::kWide;
    }
}

}  // namespace puna::cuda
