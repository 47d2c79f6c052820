#include "cuda/linear_bf16.h"

#include "cuda/arrivals.cuh"
#include "cuda/async_copy.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"
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
    static constexpr int kRowTiles = kWarpRows / kFragmentRows;
    static constexpr int kOutputTiles = kWarpOutputs / 8;
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

// What the kernel is told beside the job: a slice of its outputs. weights [][stride]: those of part 1 are
// apart with kGateUp alone.
struct Bf16Job {
    LinearJob job;
    const uint16_t* weights[2];
    const uint4* rows;  // fragments
    int64_t stride;
    int64_t first_output;
    int32_t n_outputs;   // of the slice; with kGateUp of each part
    uint4* y_fragments;  // kGateUp: results of all rows; null: they go to y
    // Blocks that share a tile have a part of the columns each, and leave their sums: [tiles][n_splits].
    int32_t n_splits;
    float4* parts;
    uint32_t* arrivals;  // [tiles]
};

// Output `index` of the slice of a block. The gate and the up of an output are 8 apart: a lane has both.
__device__ inline int64_t output_in_slice(const LinearJob& job, int64_t index) {
    return job.epilogue == Epilogue::kGateUp ? index / 16 * 8 + index % 8 : index;
}
__device__ inline int part_in_slice(const LinearJob& job, int64_t index) {
    return job.epilogue == Epilogue::kGateUp ? static_cast<int>(index / 8 % 2) : 0;
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
    const auto* weights =
        reinterpret_cast<const uint4*>(job.weights[part_in_slice(job.job, index)]);
    const int64_t row_pieces = job.stride / 8;
    const bool is_pair = job.job.epilogue == Epilogue::kGateUp;
    return {{job.rows + tile * tile_pieces + thread % kTilePieces, kTilesAtOnce * tile_pieces,
             kTilePieces},
            {weights + output_in_slice(job.job, index) * row_pieces + thread % kPieces,
             (is_pair ? kOutputsAtOnce / 2 : kOutputsAtOnce) * row_pieces, kPieces}};
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
__device__ inline void multiply_stage(const uint4* stage, float (*sums)[Shape::kOutputTiles][4]) {
    const int lane = lane_of_thread();
    const uint4* rows = stage + first_row_of_warp<Shape>() * kPieces + lane;
    const uint4* weights = stage + Shape::kRowPieces;
    const int output = first_output_of_warp<Shape>() + lane / 4;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
        uint32_t a[Shape::kRowTiles][2][4];
#pragma unroll
        for (int i = 0; i < 2 * Shape::kRowTiles; ++i) {
            words_of(rows[(i / 2 * kSteps + step) * kFragmentPieces + i % 2 * kWarp],
                     a[i / 2][i % 2]);
        }
#pragma unroll
        for (int n = 0; n < Shape::kOutputTiles; ++n) {
            const int at = output + 8 * n;
            uint32_t b[4];
            words_of(weights[at * kPieces + turned_piece(at, 4 * step + lane % 4)], b);
#pragma unroll
            for (int m = 0; m < Shape::kRowTiles; ++m) {
                mma_bfloat16(sums[m][n], a[m][0], b);
                mma_bfloat16(sums[m][n], a[m][1], b + 2);
            }
        }
    }
}

// The sums of a warp go through shared memory, so that its lanes then have outputs side by side.
template <class Shape>
struct SumsMemory {
    static constexpr int kRows = Shape::kWarpRows;
    static constexpr int kOutputs = Shape::kWarpOutputs;
    static constexpr int kStride = kOutputs + 8;  // no bank twice in 16 lanes
    static constexpr int kBytes = Shape::kThreads / kWarp * kRows * kStride * 4;
    static_assert(kBytes <= Shape::kBytes);
};

template <class Shape>
__device__ inline void put_sums(const float (*sums)[Shape::kOutputTiles][4], float* memory) {
    constexpr int kStride = SumsMemory<Shape>::kStride;
    const int lane = lane_of_thread();
    float* at = memory + lane / 4 * kStride + 2 * (lane % 4);
#pragma unroll
    for (int m = 0; m < Shape::kRowTiles; ++m) {
#pragma unroll
        for (int n = 0; n < Shape::kOutputTiles; ++n) {
            float* low = at + kFragmentRows * m * kStride + 8 * n;
            float* high = low + 8 * kStride;
            *reinterpret_cast<float2*>(low) = make_float2(sums[m][n][0], sums[m][n][1]);
            *reinterpret_cast<float2*>(high) = make_float2(sums[m][n][2], sums[m][n][3]);
        }
    }
    __syncwarp();
}

// What a lane finishes of every row that is its: two outputs, or the gate and the up of one.
struct LaneOutputs {
    int at[2];  // among the warp's
    bool is_output[2];
    OutputPlace places[2];
};
template <class Shape>
__device__ inline LaneOutputs outputs_of_lane(const Bf16Job& slice, int64_t first) {
    constexpr int kLanes = SumsMemory<Shape>::kOutputs / 2;  // of a row
    const bool is_pair = slice.job.epilogue == Epilogue::kGateUp;
    const int lane = lane_of_thread() % kLanes;
    LaneOutputs outputs;
    outputs.at[0] = is_pair ? lane / 8 * 16 + lane % 8 : lane;
    outputs.at[1] = is_pair ? outputs.at[0] + 8 : lane + kLanes;
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
template <class Shape, int kAtOnce>
__device__ inline void finish_rows(const LinearJob& job, const LaneOutputs& outputs, int first,
                                   int64_t first_row, const float* memory) {
    constexpr int kStride = SumsMemory<Shape>::kStride;
    constexpr int kSide = kWarp / (SumsMemory<Shape>::kOutputs / 2);  // rows side by side
    float before[kAtOnce][2] = {};
    if (job.epilogue == Epilogue::kResidual) {
#pragma unroll
        for (int i = 0; i < 2 * kAtOnce; ++i) {
            const int64_t row = first_row + first + i / 2 * kSide;
            if (row < job.n_rows && outputs.is_output[i % 2]) {
                before[i / 2][i % 2] = *place_in_y(job, outputs.places[i % 2], row);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
        const int64_t row = first_row + first + i * kSide;
        if (row >= job.n_rows) return;
        const float* sums = memory + (first + i * kSide) * kStride;
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
template <class Shape>
__device__ inline void activate_sums(const Bf16Job& slice, const LaneOutputs& outputs,
                                     float* memory) {
    using Memory = SumsMemory<Shape>;
    constexpr int kLanes = Memory::kOutputs / 2;
#pragma unroll 4
    for (int row = lane_of_thread() / kLanes; row < Memory::kRows; row += kWarp / kLanes) {
        float* sums = memory + row * Memory::kStride;
        float& gate = sums[outputs.at[0]];
        gate = !outputs.is_output[0]
                   ? 0.0f
                   : gate_up_value(slice.job, outputs.places[0].row, gate, sums[outputs.at[1]]);
    }
    __syncwarp();
}

// Results of 16 rows and 8 outputs a lane, as the next product takes them.
template <class Shape>
__device__ inline void put_fragments(const Bf16Job& slice, int64_t first_row, int64_t first,
                                     const float* memory) {
    using Memory = SumsMemory<Shape>;
    constexpr int kEights = Memory::kOutputs / 16;  // of outputs
    const int lane = lane_of_thread();
    const int g = lane / kEights % 8;
    const int64_t output =
        slice.first_output + output_in_slice(slice.job, first) + lane % kEights * 8;
    const int64_t n_steps = bf16_stride(slice.job.outputs) / 32;
    if (output >= n_steps * 32) return;
    uint4* to = slice.y_fragments + output / 32 * kFragmentPieces + g * 4 + output % 32 / 8;
#pragma unroll 1
    for (int tile = lane / (8 * kEights); tile < Memory::kRows / kFragmentRows;
         tile += kWarp / (8 * kEights)) {
        const int64_t row = first_row + tile * kFragmentRows;
        if (row >= slice.job.n_rows) return;
        const float* low =
            memory + (tile * kFragmentRows + g) * Memory::kStride + lane % kEights * 16;
        const float* high = low + 8 * Memory::kStride;
        put_left_pieces(low, high, to + row / kFragmentRows * n_steps * kFragmentPieces);
    }
}

template <class Shape>
__device__ inline void finish_tile(const Bf16Job& job, const float (*sums)[Shape::kOutputTiles][4],
                                   float* memory) {
    using Memory = SumsMemory<Shape>;
    constexpr int kLanes = Memory::kOutputs / 2;
    constexpr int kAtOnce = 8;
    memory += warp_of_thread() * Memory::kRows * Memory::kStride;
    put_sums<Shape>(sums, memory);
    const int64_t row = int64_t{blockIdx.x} * Shape::kRows + first_row_of_warp<Shape>();
    const int64_t index = int64_t{blockIdx.y} * Shape::kOutputs + first_output_of_warp<Shape>();
    const LaneOutputs outputs = outputs_of_lane<Shape>(job, index);
    if (job.y_fragments) {
        activate_sums<Shape>(job, outputs, memory);
        put_fragments<Shape>(job, row, index, memory);
        return;
    }
    constexpr int kStep = kAtOnce * (kWarp / kLanes);
    static_assert(Memory::kRows % kStep == 0);
#pragma unroll 1
    for (int first = lane_of_thread() / kLanes; first < Memory::kRows; first += kStep) {
        finish_rows<Shape, kAtOnce>(job.job, outputs, first, row, memory);
    }
}

// Leaves the sums of a part of the columns. The block of a tile that comes last gets those of all, added in
// their order.
template <class Shape>
__device__ inline bool join_parts(const Bf16Job& job, float (*sums)[Shape::kOutputTiles][4]) {
    constexpr int kEach = Shape::kRowTiles * Shape::kOutputTiles;
    const auto tile = static_cast<int64_t>(blockIdx.y * gridDim.x + blockIdx.x);
    float4* parts = job.parts + tile * job.n_splits * kEach * Shape::kThreads + threadIdx.x;
    float4* own = parts + int64_t{blockIdx.z} * kEach * Shape::kThreads;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const float* c = sums[i / Shape::kOutputTiles][i % Shape::kOutputTiles];
        own[i * Shape::kThreads] = make_float4(c[0], c[1], c[2], c[3]);
    }
    __shared__ bool is_last;
    if (!comes_last(job.arrivals + tile, job.n_splits, is_last)) return false;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        float* c = sums[i / Shape::kOutputTiles][i % Shape::kOutputTiles];
        const float4 part = __ldcg(parts + i * Shape::kThreads);
        c[0] = part.x;
        c[1] = part.y;
        c[2] = part.z;
        c[3] = part.w;
    }
#pragma unroll 1
    for (int split = 1; split < job.n_splits; ++split) {
        parts += kEach * Shape::kThreads;
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            float* c = sums[i / Shape::kOutputTiles][i % Shape::kOutputTiles];
            const float4 part = __ldcg(parts + i * Shape::kThreads);
            c[0] += part.x;
            c[1] += part.y;
            c[2] += part.z;
            c[3] += part.w;
        }
    }
    return true;
}

// Grid: [rows / kRows][outputs of the slice / kOutputs, gate and up counted apart][splits].
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks) linear_bf16(const Bf16Job job) {
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
    float sums[Shape::kRowTiles][Shape::kOutputTiles][4] = {};
#pragma unroll 1
    for (int32_t k = 0; k < n_steps; ++k) {
        wait_copies<kAhead - 1>();
        __syncthreads();  // step k is there, and all are done with the stage that is asked for next
        if (k + kAhead < n_steps) ask<Shape>(operands, k + kAhead, memory);
        commit_copies();
        multiply_stage<Shape>(memory + k % Shape::kStages * Shape::kStagePieces, sums);
    }
    wait_copies<0>();
    if (job.n_splits > 1 && !join_parts<Shape>(job, sums)) return;
    __syncthreads();  // all are done with the last stage
    finish_tile<Shape>(job, sums, reinterpret_cast<float*>(memory));
}

// ---- Launches -----------------------------------------------------------------------------------

int64_t tiles(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

// How a slice is multiplied, and what that takes, in products of a multiprocessor for each column.
struct Choice {
    float cost;
    cudaError_t (*launch)(const Bf16Job& job, int64_t outputs, bool overlaps, cudaStream_t stream);
    int32_t n_splits;
};

template <class Shape>
cudaError_t launch_shape(const Bf16Job& job, int64_t outputs, bool overlaps, cudaStream_t stream) {
    const dim3 grid(static_cast<unsigned>(tiles(job.job.n_rows, Shape::kRows)),
                    static_cast<unsigned>(tiles(outputs, Shape::kOutputs)),
                    static_cast<unsigned>(job.n_splits));
    return launch_next(overlaps, linear_bf16<Shape>, grid, dim3(Shape::kThreads), Shape::kBytes,
                       stream, job);
}

// Of an H100: an L2 cache gives about 25 bytes a clock and multiprocessor, which has 1,300 products of
// mma.sync in that time; alone it gets about 64.
constexpr float kProductsOfByte = 1300.0f / 25.0f;
constexpr float kProductsOfOwnByte = 1300.0f / 64.0f;

// Takes a shape if it is better than the choice so far. In a round each multiprocessor multiplies a tile, or
// its part of one, and all together read no more than the L2 cache gives. The parts of a tile are written by
// all its blocks, and read by one.
template <class Shape>
void consider(const Bf16Job& job, int64_t outputs, const LinearOptions& options,
              const InputForms& forms, int32_t n_splits, Choice& choice) {
    constexpr int64_t kArea = Shape::kRows * Shape::kOutputs;
    if (Shape::kBytes > options.traits.shared_bytes) return;
    const int64_t n_tiles = tiles(outputs, Shape::kOutputs) * tiles(job.job.n_rows, Shape::kRows);
    const auto n_processors = static_cast<float>(options.n_processors);
    const auto n_rounds = static_cast<float>(tiles(n_tiles * n_splits, options.n_processors));
    const float products = n_rounds * static_cast<float>(kArea) / static_cast<float>(n_splits);
    const float reads = static_cast<float>(n_tiles * 2 * (Shape::kOutputs + Shape::kRows)) *
                        kProductsOfByte / n_processors;
    float cost = products > reads ? products : reads;
    if (n_splits > 1) {
        const bool fits = n_tiles * n_splits * kArea * 4 <= forms.parts_bytes &&
                          n_tiles <= forms.n_arrivals &&
                          n_splits * Shape::kStages <= job.stride / kBf16Step;
        if (!fits) return;
        cost += static_cast<float>((n_splits + 1) * kArea * 4) * kProductsOfOwnByte /
                static_cast<float>(job.stride);
    }
    if (!choice.launch || cost < choice.cost) choice = {cost, launch_shape<Shape>, n_splits};
}

// Outputs that are multiplied for those of a slice, gate and up counted apart: pairs lie in groups of eight,
// and fragments end with zeros.
int64_t tiled_outputs(const Bf16Job& job, int64_t n_outputs) {
    if (job.y_fragments) return 2 * bf16_stride(n_outputs);
    return job.job.epilogue == Epilogue::kGateUp ? tiles(n_outputs, 8) * 16 : n_outputs;
}

// How a slice of so many outputs is multiplied best.
Choice choose(const Bf16Job& job, int64_t n_outputs, const LinearOptions& options,
              const InputForms& forms) {
    Choice choice = {};
    const int64_t outputs = tiled_outputs(job, n_outputs);
    for (const int32_t n_splits : {1, 2, 3, 4, 5, 6}) {
        consider<Tile256x128>(job, outputs, options, forms, n_splits, choice);
        consider<Tile128x128>(job, outputs, options, forms, n_splits, choice);
        consider<Tile128x64>(job, outputs, options, forms, n_splits, choice);
        consider<Tile64x64>(job, outputs, options, forms, n_splits, choice);
    }
    return choice;
}

cudaError_t launch_slice(Bf16Job job, const LinearOptions& options, const InputForms& forms,
                         cudaStream_t stream) {
    const Choice choice = choose(job, job.n_outputs, options, forms);
    if (!choice.launch) return cudaErrorInvalidConfiguration;
    job.n_splits = choice.n_splits;
    return choice.launch(job, tiled_outputs(job, job.n_outputs), options.traits.overlaps, stream);
}

template <class Shape>
cudaError_t prepare_shape(const KernelTraits& traits) {
    if (Shape::kBytes > traits.shared_bytes) return cudaSuccess;
    return cudaFuncSetAttribute(linear_bf16<Shape>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                Shape::kBytes);
}

// ---- Slices -------------------------------------------------------------------------------------

// Outputs of a slice come in multiples of what a block takes.
constexpr int64_t kMultiple = 128;

int64_t slice_outputs(int64_t bytes, int64_t columns) {
    return (bytes / (2 * bf16_stride(columns)) - kBf16Spare) / kMultiple * kMultiple;
}

// What a slice takes beside its products: two launches, of which the second waits for the first.
constexpr float kSliceProducts = 4000.0f * 1300.0f;

// Outputs of all slices but the last, of at most `most`: what takes least for all, as neither a large slice
// nor a small one need fill the multiprocessors.
int64_t choose_step(const Bf16Job& job, int64_t most, int64_t multiple,
                    const LinearOptions& options, const InputForms& forms) {
    const int64_t outputs = job.job.outputs;
    if (outputs <= most) return most;
    constexpr int64_t kMostCandidates = 8;
    const int64_t less = tiles(most, 2 * kMostCandidates * multiple) * multiple;
    int64_t best = most;
    float best_cost = 0.0f;
    for (int64_t step = most; step > most / 2; step -= less) {
        const int64_t rest = outputs % step;
        const auto n_whole = static_cast<float>(outputs / step);
        const float slice = kSliceProducts / static_cast<float>(job.stride);
        float cost = n_whole * (slice + choose(job, step, options, forms).cost);
        if (rest > 0) cost += slice + choose(job, rest, options, forms).cost;
        if (step == most || cost < best_cost) {
            best = step;
            best_cost = cost;
        }
    }
    return best;
}

// Rows [first, end) of all matrices together, or of each of a gate and its up, one behind the other. Those of
// neighbours of one format in one launch.
cudaError_t fill_slice(const Product* products, int32_t n, bool is_pair, int64_t first, int64_t end,
                       uint16_t* slice, bool overlaps, cudaStream_t stream) {
    Expand job = {};
    job.out = slice;
    for (int32_t i = 0; i < n; ++i) {
        const Matrix& matrix = products[i].matrix;
        const int64_t from = first < 0 ? 0 : first;
        const int64_t until = end < matrix.rows ? end : matrix.rows;
        if (!is_pair) {
            first -= matrix.rows;
            end -= matrix.rows;
        }
        if (from < until) {
            job.parts[job.n_parts++] = {matrix.data + from * matrix.row_bytes, job.n_rows};
            job.n_rows += until - from;
        }
        if (job.n_parts == 0) continue;
        if (i + 1 < n && products[i + 1].matrix.format == matrix.format) continue;
        job.row_bytes = matrix.row_bytes;
        job.columns = matrix.columns;
        job.stride = bf16_stride(matrix.columns);
        job.overlaps = overlaps;
        const cudaError_t error = expand_rows(job, matrix.format, stream);
        if (error != cudaSuccess) return error;
        job.out += job.n_rows * job.stride;
        job.n_rows = job.n_parts = 0;
    }
    return cudaSuccess;
}

cudaError_t multiply_slice(Bf16Job job, const Product* products, int32_t n,
                           const LinearOptions& options, const InputForms& forms,
                           cudaStream_t stream) {
    auto* slice = reinterpret_cast<uint16_t*>(forms.slice);
    const bool is_pair = job.job.epilogue == Epilogue::kGateUp;
    job.weights[0] = slice;
    job.weights[1] = is_pair ? slice + job.n_outputs * job.stride : slice;
    const cudaError_t error =
        fill_slice(products, n, is_pair, job.first_output, job.first_output + job.n_outputs, slice,
                   options.traits.overlaps, stream);
    return error == cudaSuccess ? launch_slice(job, options, forms, stream) : error;
}

}  // namespace

int64_t bf16_slice_bytes(int64_t outputs, int64_t columns) {
    const int64_t all = tiles(outputs, kMultiple) * kMultiple;
    const int64_t most = kBf16SliceBytes / (2 * bf16_stride(columns)) / kMultiple * kMultiple;
    const int64_t n = all < most ? all : most;
    return bf16_bytes(n < kMultiple ? kMultiple : n, columns);
}

bool takes_bf16(const Input& input, const Product* products, int32_t n,
                const LinearOptions& options, const InputForms& forms) {
    if (!forms.slice || !options.traits.has_floats16 || options.same_for_all_rows ||
        input.n_rows <= kFewRows || n > kMostParts) {
        return false;
    }
    bool all_split = true;
    for (int32_t i = 0; i < n; ++i) {
        const int32_t format = products[i].matrix.format;
        if (!expands(format)) return false;
        all_split = all_split && reads_rounded(format);
    }
    // What all reads its blocks is better off there.
    return !(all_split && takes_split(input, options));
}

cudaError_t multiply_bf16(const Input& input, const Product* products, int32_t n,
                          const LinearOptions& options, const InputForms& forms,
                          cudaStream_t stream) {
    Bf16Job job = {};
    job.job = make_job(input, options);
    for (int32_t i = 0; i < n; ++i) add_part(job.job, products[i]);
    job.rows = input.fragments;
    job.y_fragments = options.y_fragments;
    job.parts = reinterpret_cast<float4*>(forms.parts);
    job.arrivals = forms.arrivals;
    job.stride = bf16_stride(input.columns);
    const int64_t parts = options.epilogue == Epilogue::kGateUp ? 2 : 1;
    const int64_t most = slice_outputs(forms.slice_bytes, input.columns) / parts;
    const int64_t step = choose_step(job, most, kMultiple / parts, options, forms);
    for (int64_t first = 0; first < job.job.outputs; first += step) {
        const int64_t left = job.job.outputs - first;
        job.first_output = first;
        job.n_outputs = static_cast<int32_t>(left < step ? left : step);
        const cudaError_t error = multiply_slice(job, products, n, options, forms, stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t prepare_bf16(const KernelTraits& traits) {
    for (const auto prepare : {prepare_shape<Tile256x128>, prepare_shape<Tile128x128>,
                               prepare_shape<Tile128x64>, prepare_shape<Tile64x64>}) {
        const cudaError_t error = prepare(traits);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

}  // namespace puna::cuda
