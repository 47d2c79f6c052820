#include "cuda/bf16_warp_tiles.h"

#include "cuda/async_copy.cuh"
#include "cuda/mma.cuh"

namespace puna::cuda {

namespace {

constexpr int kPieces = kBf16Step / 8;  // of 16 bytes, of a row in a step
constexpr int kSteps = kBf16Step / 32;
constexpr int kTilePieces = kSteps * kFragmentPieces;  // of 16 rows in a step

// A block has a tile of rows and outputs, whose operands come through shared memory kBf16Step columns at a
// time, some steps ahead. Its warps share the rows and halve the outputs, and have their part as sums in
// registers.
template <int kRowsOf, int kOutputsOf, int kRowWarpsOf, int kStagesOf>
struct WarpTileShape {
    static constexpr int kRows = kRowsOf;
    static constexpr int kOutputs = kOutputsOf;
    static constexpr int kRowWarps = kRowWarpsOf;
    static constexpr int kStages = kStagesOf;
    static constexpr int kThreads = 2 * kRowWarps * kWarp;
    static constexpr int kWarpRows = kRows / kRowWarps;
    static constexpr int kWarpOutputs = kOutputs / 2;
    using Warp = WarpTile<kWarpRows / kFragmentRows, kWarpOutputs / 8>;
    static constexpr int kSums = Warp::kRowTiles * Warp::kOutputTiles;
    static constexpr int kRowPieces = kRows * kPieces;
    static constexpr int kStagePieces = (kRows + kOutputs) * kPieces;
    static constexpr int kBytes = kStages * kStagePieces * 16;
    // That a multiprocessor has at a time: 64 Ki registers, 228 KiB of shared memory.
    static constexpr int kBlocks = kBytes > 114 * 1024 ? 1 : kBytes > 65536 ? 2 : 3;
};
using Tile256x128 = WarpTileShape<256, 128, 4, 3>;
using Tile128x128 = WarpTileShape<128, 128, 2, 3>;
using Tile128x64 = WarpTileShape<128, 64, 2, 4>;
using Tile64x64 = WarpTileShape<64, 64, 2, 4>;
static_assert(kBf16Spare >= Tile256x128::kRows);

// Which part of the tile a warp has. Grid: [rows][outputs of the slice, gate and up counted apart][splits].
template <class Shape>
__device__ inline int first_row_of_warp() {
    return warp_of_thread() % Shape::kRowWarps * Shape::kWarpRows;
}
template <class Shape>
__device__ inline int first_output_of_warp() {
    return warp_of_thread() / Shape::kRowWarps * Shape::kWarpOutputs;
}

// Where a thread reads, and how far it is to the next of its pieces.
struct Source {
    const uint4* data;
    int64_t next;
    int64_t next_step;
};
struct Operands {
    Source rows;
    Source weights;
};
template <class Shape>
__device__ inline Operands operands_of_block(const Bf16Job& job) {
    constexpr int kTilesAtOnce = Shape::kThreads / kTilePieces;
    constexpr int kOutputsAtOnce = Shape::kThreads / kPieces;
    const auto thread = static_cast<int>(threadIdx.x);
    const int64_t tile_pieces = job.stride / 32 * kFragmentPieces;
    const int64_t tile =
        int64_t{blockIdx.x} * (Shape::kRows / kFragmentRows) + thread / kTilePieces;
    const int64_t index = int64_t{blockIdx.y} * Shape::kOutputs + thread / kPieces;
    const int64_t row_pieces = job.stride / 8;
    return {{job.rows + tile * tile_pieces + thread % kTilePieces, kTilesAtOnce * tile_pieces,
             kTilePieces},
            {job.weights + index * row_pieces + thread % kPieces, kOutputsAtOnce * row_pieces,
             kPieces}};
}

// Asks for step k of both operands: rows as they lie, outputs so that no lanes meet in a bank.
template <class Shape>
__device__ inline void ask(const Operands& operands, int32_t k, uint4* memory) {
    const auto thread = static_cast<int>(threadIdx.x);
    uint4* stage = memory + k % Shape::kStages * Shape::kStagePieces;
    const uint4* rows = operands.rows.data + k * operands.rows.next_step;
#pragma unroll
    for (int i = 0; i < Shape::kRowPieces / Shape::kThreads; ++i) {
        copy_async(stage + i * Shape::kThreads + thread, rows + i * operands.rows.next);
    }
    const int output = thread / kPieces;
    stage += Shape::kRowPieces + output * kPieces + turned_piece(output, thread % kPieces);
    const uint4* weights = operands.weights.data + k * operands.weights.next_step;
#pragma unroll
    for (int i = 0; i < Shape::kOutputs * kPieces / Shape::kThreads; ++i) {
        copy_async(stage + i * Shape::kThreads, weights + i * operands.weights.next);
    }
}

template <class Shape>
__device__ inline void multiply_stage(const uint4* stage, float (*sums)[4]) {
    constexpr int kRowTiles = Shape::Warp::kRowTiles;
    constexpr int kOutputTiles = Shape::Warp::kOutputTiles;
    const int lane = lane_of_thread();
    const uint4* rows = stage + first_row_of_warp<Shape>() * kPieces + lane;
    const uint4* weights = stage + Shape::kRowPieces;
    const int output = first_output_of_warp<Shape>() + lane / 4;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
        uint32_t a[kRowTiles][2][4];
#pragma unroll
        for (int i = 0; i < 2 * kRowTiles; ++i) {
            words_of(rows[(i / 2 * kSteps + step) * kFragmentPieces + i % 2 * kWarp],
                     a[i / 2][i % 2]);
        }
#pragma unroll
        for (int n = 0; n < kOutputTiles; ++n) {
            const int at = output + 8 * n;
            uint32_t b[4];
            words_of(weights[at * kPieces + turned_piece(at, 4 * step + lane % 4)], b);
#pragma unroll
            for (int m = 0; m < kRowTiles; ++m) {
                mma_bfloat16(sums[m * kOutputTiles + n], a[m][0], b);
                mma_bfloat16(sums[m * kOutputTiles + n], a[m][1], b + 2);
            }
        }
    }
}

// ---- The end of a tile --------------------------------------------------------------------------

// sums: the gates of eight outputs, then their ups; values: the results of eight. `first`: of the slice's outputs.
template <class Tile, int32_t kActivation>
__device__ inline void activate_sums(const TileJob& slice, int64_t first, const float (*sums)[4],
                                     float (*values)[4]) {
    constexpr int kEights = Tile::kOutputTiles / 2;
#pragma unroll
    for (int i = 0; i < 2 * kEights; ++i) {
        const int n = i / 2;
        const GateBias bias(slice, first + 8 * n + lane_of_thread() % 4 * 2 + i % 2);
#pragma unroll
        for (int j = 0; j < 2 * Tile::kRowTiles; ++j) {
            const float* gates = sums[j / 2 * Tile::kOutputTiles + 2 * n];
            const float* ups = sums[j / 2 * Tile::kOutputTiles + 2 * n + 1];
            const int at = j % 2 * 2 + i % 2;
            values[j / 2 * kEights + n][at] = bias.result(kActivation, gates[at], ups[at]);
        }
    }
}

template <class Tile>
__device__ inline void activate_sums_of(const TileJob& slice, int64_t first, const float (*sums)[4],
                                        float (*values)[4]) {
    switch (slice.job.activation) {
        case PUNA_ACTIVATION_SILU:
            return activate_sums<Tile, PUNA_ACTIVATION_SILU>(slice, first, sums, values);
        case PUNA_ACTIVATION_GELU:
            return activate_sums<Tile, PUNA_ACTIVATION_GELU>(slice, first, sums, values);
        default:
            return activate_sums<Tile, PUNA_ACTIVATION_GELU_TANH>(slice, first, sums, values);
    }
}

// Results of 16 rows and 8 outputs a lane, as left operands.
template <class Tile>
__device__ inline void put_left(const TileJob& slice, const WarpValues& warp) {
    constexpr int kEights = Tile::kOutputTiles;
    const int lane = lane_of_thread();
    const int g = lane / kEights % 8;
    const int64_t output = warp.output + lane % kEights * 8;
    const int64_t n_steps = bf16_stride(slice.job.outputs) / 32;
    if (output >= n_steps * 32) return;
#pragma unroll 1
    for (int tile = lane / (8 * kEights); tile < Tile::kRowTiles; tile += kWarp / (8 * kEights)) {
        const int64_t row = warp.row + tile * kFragmentRows;
        if (row >= slice.job.n_rows) return;
        const float* low =
            warp.memory + (tile * kFragmentRows + g) * Tile::kStride + lane % kEights * 8;
        float values[2][8];
        load_eight(low, values[0]);
        load_eight(low + 8 * Tile::kStride, values[1]);
        put_left_pieces(values[0], values[1],
                        slice.y_fragments + left_piece(n_steps, row, output) + g * 4);
    }
}

// sums: [row tiles][output tiles][4] of a warp.
template <class Tile>
__device__ inline void finish_warp(const TileJob& slice, int64_t row, int64_t index,
                                   const float (*sums)[4], float* memory) {
    if (slice.job.epilogue != Epilogue::kGateUp) {
        put_sums<Tile>(sums, memory);
        store_warp<Tile>(slice, {row, slice.first_output + index, memory});
        return;
    }
    using Results = WarpTile<Tile::kRowTiles, Tile::kOutputTiles / 2>;
    float values[Results::kRowTiles * Results::kOutputTiles][4];
    activate_sums_of<Tile>(slice, index / 2, sums, values);
    put_sums<Results>(values, memory);
    const WarpValues results = {row, slice.first_output + index / 2, memory};
    if (slice.y_fragments) {
        put_left<Results>(slice, results);
    } else {
        store_rows<Results, Epilogue::kStore>(slice, results);
    }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    multiply_warp_tile(const Bf16Job job) {
    auto* memory = static_cast<uint4*>(dynamic_shared());
    wait_for_last_kernel();
    Operands operands = operands_of_block<Shape>(job);
    const auto n_all = static_cast<int32_t>(job.stride / kBf16Step);
    const int32_t n_each = (n_all + job.tile.n_splits - 1) / job.tile.n_splits;
    const int32_t first = static_cast<int32_t>(blockIdx.z) * n_each;
    const int32_t n_steps = min(n_each, n_all - first);
    operands.rows.data += first * operands.rows.next_step;
    operands.weights.data += first * operands.weights.next_step;
    constexpr int kAhead = Shape::kStages - 1;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
        if (k < n_steps) ask<Shape>(operands, k, memory);
        commit_copies();
    }
    float sums[Shape::kSums][4] = {};
#pragma unroll 1
    for (int32_t k = 0; k < n_steps; ++k) {
        wait_copies<kAhead - 1>();
        __syncthreads();  // step k is there, and all are done with the stage that is asked for next
        if (k + kAhead < n_steps) ask<Shape>(operands, k + kAhead, memory);
        commit_copies();
        multiply_stage<Shape>(memory + k % Shape::kStages * Shape::kStagePieces, sums);
    }
    wait_copies<0>();
    __shared__ bool is_last;
    if (job.tile.n_splits > 1 &&
        !join_parts<Shape::kThreads, Shape::kSums>(job.tile, sums, is_last)) {
        return;
    }
    __syncthreads();  // all are done with the last stage
    finish_warp<typename Shape::Warp>(
        job.tile, int64_t{blockIdx.x} * Shape::kRows + first_row_of_warp<Shape>(),
        int64_t{blockIdx.y} * Shape::kOutputs + first_output_of_warp<Shape>(), sums,
        reinterpret_cast<float*>(memory) + warp_of_thread() * (Shape::Warp::kBytes / 4));
}

// ---- Launches -----------------------------------------------------------------------------------

template <class Shape>
cudaError_t prepare_shape() {
    return cudaFuncSetAttribute(multiply_warp_tile<Shape>,
                                cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kBytes);
}

template <class Shape>
cudaError_t launch_shape(const Bf16Job& job, dim3 grid, bool overlaps, cudaStream_t stream) {
    return launch_next(overlaps, multiply_warp_tile<Shape>, grid, dim3(Shape::kThreads),
                       Shape::kBytes, stream, job);
}

struct WarpTileKernel {
    cudaError_t (*prepare)();
    cudaError_t (*launch)(const Bf16Job& job, dim3 grid, bool overlaps, cudaStream_t stream);
};
template <class Shape>
constexpr WarpTileKernel kernel_of() {
    return {prepare_shape<Shape>, launch_shape<Shape>};
}
template <class Shape>
constexpr TileShape shape_of() {
    constexpr float kProducts = 1300.0f;  // of an H100
    constexpr float kClocks = 6000.0f;    // which blocks beside it hide
    static_assert(Shape::Warp::kBytes * (Shape::kThreads / kWarp) <= Shape::kBytes);
    return {Shape::kRows,
            Shape::kOutputs,
            Shape::kStages,
            Shape::kBytes,
            /*cluster=*/1,
            kProducts,
            2.0f * (Shape::kRows + Shape::kOutputs),
            kClocks / Shape::kBlocks};
}
constexpr TileShape kShapes[] = {shape_of<Tile256x128>(), shape_of<Tile128x128>(),
                                 shape_of<Tile128x64>(), shape_of<Tile64x64>()};
constexpr WarpTileKernel kKernels[] = {kernel_of<Tile256x128>(), kernel_of<Tile128x128>(),
                                       kernel_of<Tile128x64>(), kernel_of<Tile64x64>()};

}  // namespace

std::span<const TileShape> warp_tiles() {
    return kShapes;
}

cudaError_t prepare_warp_tiles(int32_t shared_bytes) {
    for (size_t i = 0; i < std::size(kShapes); ++i) {
        if (kShapes[i].shared_bytes > shared_bytes) continue;
        const cudaError_t error = kKernels[i].prepare();
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t launch_warp_tile(const Bf16Job& job, const TileChoice& choice, bool overlaps,
                             cudaStream_t stream) {
    const dim3 grid(static_cast<unsigned>(choice.row_tiles),
                    static_cast<unsigned>(choice.output_tiles),
                    static_cast<unsigned>(choice.n_splits));
    return kKernels[choice.index].launch(job, grid, overlaps, stream);
}

}  // namespace puna::cuda
