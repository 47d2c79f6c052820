// Tiles in bfloat16 by mma.sync: from compute capability 8.0 on.
#include "cuda/async_copy.cuh"
#include "cuda/bf16_tile.cuh"
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
struct TileShape {
    static constexpr int kRows = kRowsOf;
    static constexpr int kOutputs = kOutputsOf;
    static constexpr int kRowWarps = kRowWarpsOf;
    static constexpr int kStages = kStagesOf;
    static constexpr int kThreads = 2 * kRowWarps * kWarp;
    static constexpr int kWarpRows = kRows / kRowWarps;
    static constexpr int kWarpOutputs = kOutputs / 2;
    using Warp = WarpTile<kWarpRows / kFragmentRows, kWarpOutputs / 8>;
    static constexpr int kRowPieces = kRows * kPieces;
    static constexpr int kStagePieces = (kRows + kOutputs) * kPieces;
    static constexpr int kBytes = kStages * kStagePieces * 16;
    // That a multiprocessor has at a time: 64 Ki registers, 228 KiB of shared memory.
    static constexpr int kBlocks = kBytes > 114 * 1024 ? 1 : kBytes > 65536 ? 2 : 3;
};
using Tile256x128 = TileShape<256, 128, 4, 3>;
using Tile128x128 = TileShape<128, 128, 2, 3>;
using Tile128x64 = TileShape<128, 64, 2, 4>;
using Tile64x64 = TileShape<64, 64, 2, 4>;
static_assert(kBf16Spare >= Tile256x128::kRows);

// Which part of the tile a warp has.
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

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    multiply_warp_tile(const Bf16Job job) {
    auto* memory = static_cast<uint4*>(dynamic_shared());
    wait_for_last_kernel();
    Operands operands = operands_of_block<Shape>(job);
    const auto n_all = static_cast<int32_t>(job.stride / kBf16Step);
    const int32_t n_each = (n_all + job.n_splits - 1) / job.n_splits;
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
    float sums[Shape::Warp::kSums][4] = {};
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
    if (job.n_splits > 1 && !join_parts<Shape::kThreads, Shape::Warp::kSums>(job, sums, is_last)) {
        return;
    }
    __syncthreads();  // all are done with the last stage
    finish_warp<typename Shape::Warp, OperandForm::kLeft>(
        job, sums,
        {int64_t{blockIdx.x} * Shape::kRows + first_row_of_warp<Shape>(),
         int64_t{blockIdx.y} * Shape::kOutputs + first_output_of_warp<Shape>(),
         reinterpret_cast<float*>(memory) + warp_of_thread() * (Shape::Warp::kBytes / 4)});
}

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

template <class Shape>
constexpr TileKernel tile_kernel() {
    constexpr float kProducts = 1300.0f;  // of an H100
    static_assert(Shape::Warp::kBytes * (Shape::kThreads / kWarp) <= Shape::kBytes);
    return {Shape::kRows,  Shape::kOutputs, Shape::kStages,       Shape::kBytes,
            /*cluster=*/1, kProducts,       prepare_shape<Shape>, launch_shape<Shape>};
}
constexpr TileKernel kWarpTiles[] = {tile_kernel<Tile256x128>(), tile_kernel<Tile128x128>(),
                                     tile_kernel<Tile128x64>(), tile_kernel<Tile64x64>()};

}  // namespace

std::span<const TileKernel> warp_tiles() {
    return kWarpTiles;
}

}  // namespace puna::cuda
