// What kernels of products in bfloat16 have in common: a block has a tile of rows and outputs, and its warps a part
// of that each, as sums in registers.
//
// Tensor cores spread the sums of 16 rows and 8 outputs over a warp, [4] in each lane: with g = lane / 4 and
// t = lane % 4, row g of outputs 2 t and 2 t + 1, and row g + 8 of both.
#pragma once

#include "cuda/arrivals.cuh"
#include "cuda/bf16_operands.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"

namespace puna::cuda {

// What a kernel is told beside the job: a slice of its outputs.
struct TileJob {
    LinearJob job;
    int64_t first_output;
    int64_t n_outputs;   // of the slice; with kGateUp of each part
    uint4* y_fragments;  // kGateUp: results of all rows; null: they go to y
    // Blocks that share a tile have a part of the columns each, and leave their sums: [tiles][n_splits].
    int32_t n_splits;
    float4* parts;
    uint32_t* arrivals;  // [tiles]
};

// ---- Columns in parts ---------------------------------------------------------------------------

// Of the block's tile, among all.
__device__ inline int64_t tile_of_block() {
    return int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
}
// Whether the block is the last of its tile. `is_last` is in shared memory.
__device__ inline bool ends_tile(const TileJob& job, bool& is_last) {
    return comes_last(job.arrivals + tile_of_block(), job.n_splits, is_last);
}

// Leaves the sums of a part of the columns, [kSums] of each of kThreads threads. The block of a tile that comes last
// gets those of all, added in their order.
template <int kThreads, int kSums>
__device__ inline bool join_parts(const TileJob& job, float (*sums)[4], bool& is_last) {
    constexpr int64_t kPart = int64_t{kSums} * kThreads;
    float4* parts = job.parts + tile_of_block() * job.n_splits * kPart + threadIdx.x;
    float4* own = parts + blockIdx.z * kPart;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
        own[i * kThreads] = make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    }
    if (!ends_tile(job, is_last)) return false;
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

// What a warp leaves goes through shared memory, so that its lanes then have outputs side by side: [rows][kStride].
// With a kPad of 8 what put_sums() writes meets in no bank.
template <int kRowTilesOf, int kOutputTilesOf, int kPad = 8>
struct WarpTile {
    static constexpr int kRowTiles = kRowTilesOf;
    static constexpr int kOutputTiles = kOutputTilesOf;
    static constexpr int kRows = kRowTiles * kFragmentRows;
    static constexpr int kOutputs = kOutputTiles * 8;
    static constexpr int kStride = kOutputs + kPad;  // from a row to the next
    static constexpr int kBytes = kRows * kStride * 4;
    static constexpr int kLanes = kOutputs < kWarp ? kOutputs : kWarp;  // of a row
    static constexpr int kEach = kOutputs / kLanes;                     // outputs of a lane
    static constexpr int kSide = kWarp / kLanes;                        // rows side by side
};

// Some outputs of rows from `row` on, whose values are in memory: results, where there are a gate and an up.
struct WarpValues {
    int64_t row;
    int64_t output;
    float* memory;
};

// values: [row tiles][output tiles][4].
template <class Tile>
__device__ inline void put_sums(const float (*values)[4], float* memory) {
    const int lane = lane_of_thread();
    float* at = memory + lane / 4 * Tile::kStride + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < Tile::kRowTiles * Tile::kOutputTiles; ++i) {
        const int m = i / Tile::kOutputTiles;
        const int n = i % Tile::kOutputTiles;
        float* low = at + kFragmentRows * m * Tile::kStride + 8 * n;
        float* high = low + 8 * Tile::kStride;
        *reinterpret_cast<float2*>(low) = make_float2(values[i][0], values[i][1]);
        *reinterpret_cast<float2*>(high) = make_float2(values[i][2], values[i][3]);
    }
    __syncwarp();
}

// Where the outputs of a lane go, and what is added to them. y: of row 0; null: there is no such output.
template <class Tile>
struct LaneOutputs {
    float* y[Tile::kEach];
    float bias[Tile::kEach];

    __device__ LaneOutputs(const TileJob& slice, int64_t first) {
        const LinearJob& job = slice.job;
        const bool is_pair = job.epilogue == Epilogue::kGateUp;
#pragma unroll
        for (int i = 0; i < Tile::kEach; ++i) {
            const int64_t output = first + lane_of_thread() % Tile::kLanes + i * Tile::kLanes;
            y[i] = nullptr;
            bias[i] = 0.0f;
            if (output >= slice.first_output + slice.n_outputs) continue;
            const OutputPlace place = is_pair ? OutputPlace{0, output} : place_of(job, output);
            y[i] = place_in_y(job, place, 0);
            if (!is_pair) bias[i] = bias_of(job.parts[place.part], place.row);  // results have it
        }
    }
};

// Some rows at a time, whose reads of what is there do not wait for each other.
template <class Tile, Epilogue kEpilogue>
__device__ inline void store_rows(const TileJob& slice, const WarpValues& warp) {
    constexpr int kAtOnce = 8;
    const LinearJob& job = slice.job;
    const LaneOutputs<Tile> outputs(slice, warp.output);
    const int lane = lane_of_thread();
    const int64_t left = job.n_rows - warp.row;
    const int n = left < Tile::kRows ? static_cast<int>(left) : Tile::kRows;
    const float* memory = warp.memory + lane % Tile::kLanes;
#pragma unroll 1
    for (int first = lane / Tile::kLanes; first < n; first += kAtOnce * Tile::kSide) {
        const int64_t offset = (warp.row + first) * job.y_stride;
        float before[kAtOnce][Tile::kEach] = {};
#pragma unroll
        for (int i = 0; i < kAtOnce && kEpilogue == Epilogue::kResidual; ++i) {
#pragma unroll
            for (int j = 0; j < Tile::kEach; ++j) {
                const bool is_there = outputs.y[j] && first + i * Tile::kSide < n;
                if (is_there) {
                    before[i][j] = outputs.y[j][offset + i * Tile::kSide * job.y_stride];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
            const int row = first + i * Tile::kSide;
#pragma unroll
            for (int j = 0; j < Tile::kEach; ++j) {
                if (!outputs.y[j] || row >= n) continue;
                const float sum = memory[row * Tile::kStride + j * Tile::kLanes];
                outputs.y[j][offset + i * Tile::kSide * job.y_stride] =
                    output_value(job, kEpilogue, sum, outputs.bias[j], before[i][j]);
            }
        }
    }
}

template <class Tile>
__device__ inline void store_warp(const TileJob& slice, const WarpValues& warp) {
    if (slice.job.epilogue == Epilogue::kResidual) {
        store_rows<Tile, Epilogue::kResidual>(slice, warp);
    } else if (slice.job.epilogue == Epilogue::kLogits) {
        store_rows<Tile, Epilogue::kLogits>(slice, warp);
    } else {
        store_rows<Tile, Epilogue::kStore>(slice, warp);
    }
}

// ---- Gate and up --------------------------------------------------------------------------------

// What is added to the gate and the up of an output of the slice. What is none has 0 as result.
struct GateBias {
    float gate;
    float up;
    bool is_output;

    __device__ GateBias(const TileJob& slice, int64_t output)
        : gate(0.0f), up(0.0f), is_output(output < slice.n_outputs) {
        if (!is_output) return;
        gate = bias_of(slice.job.parts[0], slice.first_output + output);
        up = bias_of(slice.job.parts[1], slice.first_output + output);
    }
    __device__ float result(int32_t activation, float gate_sum, float up_sum) const {
        const float result = activate_quickly(activation, gate_sum + gate, up_sum + up);
        return is_output ? result : 0.0f;
    }
};

}  // namespace puna::cuda
