// Tiles in bfloat16 by warpgroups: on compute capability 9.0. The last warp brings both operands into shared memory, the
// others multiply.
//
// Its mma.sync has 0.6 of the products of wgmma in a clock, and a tile of 128 x 256 that each block reads for itself
// takes more bytes of the L2 cache than there are: two blocks of a cluster read their weights once for both.
#include "cuda/bf16_tile.cuh"
#include "cuda/bulk_copy.cuh"
#include "cuda/warpgroup_mma.cuh"

namespace puna::cuda {

namespace {

constexpr int kWarpgroups = 2;  // that multiply, one below the other
constexpr int kMultiplyWarps = kWarpgroups * kWarpgroup / kWarp;
constexpr int kMultiplyThreads = kMultiplyWarps * kWarp;
constexpr int kThreads = kMultiplyThreads + kWarp;
constexpr int kPanelRowBytes = kBf16Step * 2;
constexpr int kPanelAlignment = 1024;
constexpr int kMostStages = 4;

// Barriers of the stages: operands have come; all who read them, in all blocks that they came to, are done.
struct Stages {
    uint64_t have_come[kMostStages];
    uint64_t are_read[kMostStages];
    bool is_last;  // of join_parts()
};

template <int kOutputsOf, int kStagesOf, int kClusterOf>
struct GroupShape {
    static constexpr int kRows = kWarpgroups * kWarpgroupRows;
    static constexpr int kOutputs = kOutputsOf;
    static constexpr int kStages = kStagesOf;
    static constexpr int kCluster = kClusterOf;
    using Warp = WarpTile<1, kOutputs / 8>;
    static constexpr int kRowBytes = kRows * kPanelRowBytes;  // of a stage
    static constexpr int kWeightBytes = kOutputs * kPanelRowBytes;
    static constexpr int kStageBytes = kRowBytes + kWeightBytes;
    static constexpr int kPanels = kStages * kStageBytes;
    // They are aligned; the barriers are behind them.
    static constexpr int kShared = kPanelAlignment + kPanels + static_cast<int>(sizeof(Stages));
    // That a multiprocessor has at a time, of its 228 KiB of shared memory.
    static constexpr int kBlocks = kShared > 113 * 1024 ? 1 : 2;
    static_assert(kMultiplyWarps * Warp::kBytes <= kPanels);
    static_assert(kStages <= kMostStages);
};
using Tile128x256 = GroupShape<256, 4, 1>;
using Tile128x256By2 = GroupShape<256, 4, 2>;
using Tile128x128 = GroupShape<128, 3, 1>;
using Tile128x128By2 = GroupShape<128, 3, 2>;
static_assert(kBf16Spare >= 2 * Tile128x256::kRows && kBf16Spare >= Tile128x256::kOutputs);

template <class Shape>
__device__ inline uint8_t* panels_of_block() {
    auto* memory = static_cast<uint8_t*>(dynamic_shared());
    const uint32_t beyond = shared_address(memory) % kPanelAlignment;
    return memory + (beyond == 0 ? 0 : kPanelAlignment - beyond);
}

// The part of the columns that is the block's, in steps.
struct Steps {
    int64_t first;
    int32_t n;
};
template <class Shape>
__device__ inline Steps steps_of_block(const Bf16Job& job) {
    const auto n_all = static_cast<int32_t>(job.stride / kBf16Step);
    const int32_t n_each = (n_all + job.n_splits - 1) / job.n_splits;
    const int32_t first = static_cast<int32_t>(blockIdx.z) * n_each;
    return {first, min(n_each, n_all - first)};
}

template <class Shape>
__device__ inline void init_stages(Stages& stages) {
    for (int i = 0; i < Shape::kStages; ++i) {
        init_barrier(&stages.have_come[i]);
        init_barrier(&stages.are_read[i], kMultiplyWarps * Shape::kCluster);
    }
    publish_barriers();
}

// By one thread. A block of a cluster brings its part of the weights to all.
template <class Shape>
__device__ inline void bring_operands(const Bf16Job& job, const Steps& steps, uint8_t* panels,
                                      Stages& stages) {
    constexpr uint32_t kShare = Shape::kWeightBytes / Shape::kCluster;
    constexpr uint32_t kAllBlocks = (1u << Shape::kCluster) - 1;
    const uint32_t share = Shape::kCluster == 1 ? 0 : block_in_cluster() * kShare;
    const int64_t rows_step = panel_rows(job.job.n_rows) * kPanelRowBytes;
    const int64_t weights_step = job.n_slice_rows * kPanelRowBytes;
    const auto* rows = reinterpret_cast<const uint8_t*>(job.rows) + steps.first * rows_step +
                       int64_t{blockIdx.x} * Shape::kRowBytes;
    const auto* weights = reinterpret_cast<const uint8_t*>(job.weights) +
                          steps.first * weights_step + int64_t{blockIdx.y} * Shape::kWeightBytes +
                          share;
    uint32_t parity = 1;  // of the last round of are_read, which has ended before the first
    for (int32_t k = 0, stage = 0; k < steps.n; ++k) {
        if (k >= Shape::kStages) wait_bulk(&stages.are_read[stage], parity);
        uint64_t* has_come = &stages.have_come[stage];
        uint8_t* panel = panels + stage * Shape::kStageBytes;
        expect_bytes(has_come, Shape::kStageBytes);
        copy_bulk(panel, rows, Shape::kRowBytes, has_come);
        panel += Shape::kRowBytes;
        if constexpr (Shape::kCluster == 1) {
            copy_bulk(panel, weights, kShare, has_come);
        } else {
            copy_bulk_to(kAllBlocks, panel + share, weights, kShare, has_come);
        }
        rows += rows_step;
        weights += weights_step;
        if (++stage == Shape::kStages) {
            stage = 0;
            parity ^= 1;
        }
    }
}

template <class Shape>
__device__ inline void multiply_steps(int32_t n_steps, const uint8_t* panels, Stages& stages,
                                      float (*sums)[4]) {
    const uint32_t first = shared_address(panels);
    const uint32_t group = threadIdx.x / kWarpgroup * (kWarpgroupRows * kPanelRowBytes);
    uint32_t parity = 0;
#pragma unroll 1
    for (int32_t k = 0, stage = 0; k < n_steps; ++k) {
        const uint32_t panel = first + stage * Shape::kStageBytes;
        const uint64_t rows = panel_operand(panel + group);
        const uint64_t weights = panel_operand(panel + Shape::kRowBytes);
        wait_bulk(&stages.have_come[stage], parity);
        begin_products();
#pragma unroll
        for (uint32_t i = 0; i < kBf16Step / kProductColumns; ++i) {
            multiply_panels<Shape::kOutputs>(sums, rows + i * kProductAdvance,
                                             weights + i * kProductAdvance);
        }
        end_products();
        wait_products<0>();
        const int lane = lane_of_thread();
        if (lane < Shape::kCluster) {
            arrive_at(&stages.are_read[stage], static_cast<uint32_t>(lane));
        }
        if (++stage == Shape::kStages) {
            stage = 0;
            parity ^= 1;
        }
    }
}

template <class Shape>
__device__ inline void run_tile(const Bf16Job& job) {
    uint8_t* panels = panels_of_block<Shape>();
    auto& stages = *reinterpret_cast<Stages*>(panels + Shape::kPanels);
    if (threadIdx.x == 0) init_stages<Shape>(stages);
    wait_for_last_kernel();
    meet_cluster();
    const bool multiplies = warp_of_thread() < kMultiplyWarps;
    const Steps steps = steps_of_block<Shape>(job);
    float sums[Shape::Warp::kSums][4] = {};
    if (multiplies) {
        multiply_steps<Shape>(steps.n, panels, stages, sums);
    } else if (lane_of_thread() == 0) {
        bring_operands<Shape>(job, steps, panels, stages);
    }
    __syncwarp();
    // Behind this all are done with the panels of this block, and nobody asks another for anything.
    meet_cluster();
    if (job.n_splits > 1 &&
        !join_parts<kMultiplyThreads, Shape::Warp::kSums>(job, sums, stages.is_last)) {
        return;
    }
    if (!multiplies) return;
    const int warp = warp_of_thread();
    finish_warp<typename Shape::Warp, OperandForm::kPanels>(
        job, sums,
        {int64_t{blockIdx.x} * Shape::kRows + warp * Shape::Warp::kRows,
         int64_t{blockIdx.y} * Shape::kOutputs,
         reinterpret_cast<float*>(panels) + warp * (Shape::Warp::kBytes / 4)});
}

template <class Shape>
__global__ void __launch_bounds__(kHasWarpgroups ? kThreads : kWarp, Shape::kBlocks)
    multiply_warpgroup_tile(const Bf16Job job) {
    if constexpr (kHasWarpgroups) run_tile<Shape>(job);
}

template <class Shape>
cudaError_t prepare_shape() {
    return cudaFuncSetAttribute(multiply_warpgroup_tile<Shape>,
                                cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kShared);
}

template <class Shape>
cudaError_t launch_shape(const Bf16Job& job, dim3 grid, bool overlaps, cudaStream_t stream) {
    return launch_clusters(Shape::kCluster, overlaps, multiply_warpgroup_tile<Shape>, grid,
                           dim3(kThreads), Shape::kShared, stream, job);
}

// A multiprocessor has 2,048 products in a clock, less what waits for barriers.
template <class Shape>
constexpr TileKernel tile_kernel() {
    constexpr float kProducts = 1800.0f;
    return {Shape::kRows,    Shape::kOutputs, Shape::kStages,       Shape::kShared,
            Shape::kCluster, kProducts,       prepare_shape<Shape>, launch_shape<Shape>};
}
constexpr TileKernel kWarpgroupTiles[] = {tile_kernel<Tile128x256By2>(),
                                          tile_kernel<Tile128x128By2>(), tile_kernel<Tile128x256>(),
                                          tile_kernel<Tile128x128>()};

}  // namespace

std::span<const TileKernel> warpgroup_tiles() {
    return kWarpgroupTiles;
}

cudaError_t has_warpgroups(int32_t shared_bytes, bool* has_them) {
    cudaFuncAttributes attributes = {};
    const cudaError_t error =
        cudaFuncGetAttributes(&attributes, multiply_warpgroup_tile<Tile128x128>);
    *has_them = error == cudaSuccess && attributes.maxThreadsPerBlock >= kThreads &&
                shared_bytes >= Tile128x128::kShared;
    return error;
}

}  // namespace puna::cuda
