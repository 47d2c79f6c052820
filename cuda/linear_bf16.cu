#include "cuda/linear_bf16.h"

#include "cuda/async_copy.cuh"
#include "cuda/launch.h"
#include "cuda/linear_epilogue.cuh"
#include "cuda/mma.cuh"

namespace puna::cuda {

namespace {

// A block has a tile of outputs and rows, whose operands come through shared memory kBf16Step columns at a
// time, some steps ahead. Its warps have a quarter of the tile each, as sums in registers.
constexpr int kThreads = 4 * kWarp;
constexpr int kElements = 8;                     // of 16 bytes, a piece
constexpr int kPieces = kBf16Step / kElements;   // of a row in a step
constexpr int kRowsAtOnce = kThreads / kPieces;  // that the block asks for
static_assert(kBf16Spare >= 128);                // rows of a tile, less one
constexpr int kSteps = kBf16Step / 32;           // two products of 16 columns each

template <int kOutputsOf, int kRowsOf, int kStagesOf>
struct TileShape {
    static constexpr int kOutputs = kOutputsOf;
    static constexpr int kRows = kRowsOf;
    static constexpr int kStages = kStagesOf;
    static constexpr int kOutputTiles = kOutputs / 2 / 16;  // of a warp
    static constexpr int kRowTiles = kRows / 2 / 8;
    static constexpr int kStagePieces = (kOutputs + kRows) * kPieces;
    static constexpr int kBytes = kStages * kStagePieces * 16;
    static constexpr int kBlocks = kBytes > 65536 ? 2 : 3;  // that a processor has at a time
};
using LargeTile = TileShape<128, 128, 3>;
using MediumTile = TileShape<64, 128, 4>;
using SmallTile = TileShape<64, 64, 4>;

// What the kernel is told beside the job: a slice of its outputs. weights [][stride]: those of part 1 are
// apart with kGateUp alone.
struct Bf16Job {
    LinearJob job;
    const uint16_t* weights[2];
    const uint16_t* rows;
    int64_t stride;
    int64_t first_output;
    int32_t n_outputs;  // of the slice; with kGateUp of each part
};

// Output `index` of the slice of a block. The gate and the up of an output are 8 apart: a lane has both.
__device__ inline int64_t output_in_slice(const LinearJob& job, int64_t index) {
    return job.epilogue == Epilogue::kGateUp ? index / 16 * 8 + index % 8 : index;
}
__device__ inline int part_in_slice(const LinearJob& job, int64_t index) {
    return job.epilogue == Epilogue::kGateUp ? static_cast<int>(index / 8 % 2) : 0;
}

// Where a thread reads: a piece of every kRowsAtOnce-th row. What lies behind the last row is read too, and
// its results are not used.
struct Source {
    const uint4* data;
    int64_t step;  // pieces to the next of its rows
};

struct Operands {
    Source weights;
    Source rows;
};
template <class Shape>
__device__ inline Operands operands_of_block(const Bf16Job& job) {
    const int row = static_cast<int>(threadIdx.x) / kPieces;
    const int piece = static_cast<int>(threadIdx.x) % kPieces;
    const int64_t row_pieces = job.stride / kElements;
    const int64_t index = int64_t{blockIdx.y} * Shape::kOutputs + row;
    const int64_t output = output_in_slice(job.job, index);
    const int64_t first_row = int64_t{blockIdx.x} * Shape::kRows + row;
    const auto* weights =
        reinterpret_cast<const uint4*>(job.weights[part_in_slice(job.job, index)]);
    const bool is_pair = job.job.epilogue == Epilogue::kGateUp;
    Operands operands;
    operands.weights = {weights + output * row_pieces + piece,
                        (is_pair ? kRowsAtOnce / 2 : kRowsAtOnce) * row_pieces};
    operands.rows = {reinterpret_cast<const uint4*>(job.rows) + first_row * row_pieces + piece,
                     kRowsAtOnce * row_pieces};
    return operands;
}

// Asks for step k of both operands.
template <class Shape>
__device__ inline void ask(const Operands& operands, int32_t k, uint4* memory) {
    const int row = static_cast<int>(threadIdx.x) / kPieces;
    const int piece = turned_piece(row, static_cast<int>(threadIdx.x) % kPieces);
    uint4* stage = memory + k % Shape::kStages * Shape::kStagePieces + row * kPieces + piece;
    const uint4* weights = operands.weights.data + k * kPieces;
#pragma unroll
    for (int i = 0; i < Shape::kOutputs / kRowsAtOnce; ++i) {
        copy_async(stage + i * kRowsAtOnce * kPieces, weights + i * operands.weights.step);
    }
    stage += Shape::kOutputs * kPieces;
    const uint4* rows = operands.rows.data + k * kPieces;
#pragma unroll
    for (int i = 0; i < Shape::kRows / kRowsAtOnce; ++i) {
        copy_async(stage + i * kRowsAtOnce * kPieces, rows + i * operands.rows.step);
    }
}

// 32 columns of two rows or outputs that are 8 apart, or of one: lane t has columns 8 t .. 8 t + 7, which are
// those of two products. It is the same ones for both operands.
__device__ inline const uint4& piece_in_stage(const uint4* rows, int row, int step) {
    return rows[row * kPieces + turned_piece(row, step * 4 + lane_of_thread() % 4)];
}

template <class Shape>
__device__ inline void multiply_stage(const uint4* stage, float (*sums)[Shape::kRowTiles][4]) {
    const int g = lane_of_thread() / 4;
    const int output = warp_of_thread() / 2 * (Shape::kOutputs / 2) + g;
    const int row = warp_of_thread() % 2 * (Shape::kRows / 2) + g;
    const uint4* rows = stage + Shape::kOutputs * kPieces;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
        uint32_t a[Shape::kOutputTiles][2][4];
#pragma unroll
        for (int m = 0; m < Shape::kOutputTiles; ++m) {
            const uint4 low = piece_in_stage(stage, output + 16 * m, step);
            const uint4 high = piece_in_stage(stage, output + 16 * m + 8, step);
            const uint32_t words[2][4] = {{low.x, high.x, low.y, high.y},
                                          {low.z, high.z, low.w, high.w}};
#pragma unroll
            for (int i = 0; i < 8; ++i) a[m][i / 4][i % 4] = words[i / 4][i % 4];
        }
#pragma unroll
        for (int n = 0; n < Shape::kRowTiles; ++n) {
            const uint4 both = piece_in_stage(rows, row + 8 * n, step);
            const uint32_t b[2][2] = {{both.x, both.y}, {both.z, both.w}};
#pragma unroll
            for (int m = 0; m < Shape::kOutputTiles; ++m) {
                mma_bfloat16(sums[m][n], a[m][0], b[0]);
                mma_bfloat16(sums[m][n], a[m][1], b[1]);
            }
        }
    }
}

// Sums of outputs g and g + 8 of a tile, rows 2 t and 2 t + 1.
__device__ inline void finish_sums(const Bf16Job& slice, int64_t index, int64_t row,
                                   const float* sums) {
    const LinearJob& job = slice.job;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        if (row + i >= job.n_rows) return;
        if (job.epilogue == Epilogue::kGateUp) {
            const int64_t output = output_in_slice(job, index);
            if (output >= slice.n_outputs) return;
            finish_gate_up(job, slice.first_output + output, row + i, sums[i], sums[i + 2]);
            continue;
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int64_t output = index + 8 * half;
            if (output >= slice.n_outputs) continue;
            finish(job, place_of(job, slice.first_output + output), row + i, sums[i + 2 * half]);
        }
    }
}

// Grid: [rows / kRows][outputs of the slice / kOutputs, gate and up counted apart].
template <class Shape>
__global__ void __launch_bounds__(kThreads, Shape::kBlocks) linear_bf16(const Bf16Job job) {
    auto* memory = static_cast<uint4*>(dynamic_shared());
    const Operands operands = operands_of_block<Shape>(job);
    const auto n_steps = static_cast<int32_t>(job.stride / kBf16Step);
    constexpr int kAhead = Shape::kStages - 1;
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
        if (k < n_steps) ask<Shape>(operands, k, memory);
        commit_copies();
    }
    float sums[Shape::kOutputTiles][Shape::kRowTiles][4] = {};
#pragma unroll 1
    for (int32_t k = 0; k < n_steps; ++k) {
        wait_copies<kAhead - 1>();
        __syncthreads();  // step k is there, and all are done with the stage that is asked for next
        if (k + kAhead < n_steps) ask<Shape>(operands, k + kAhead, memory);
        commit_copies();
        multiply_stage<Shape>(memory + k % Shape::kStages * Shape::kStagePieces, sums);
    }
    wait_copies<0>();
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
    const int64_t output =
        int64_t{blockIdx.y} * Shape::kOutputs + warp_of_thread() / 2 * (Shape::kOutputs / 2) + g;
    const int64_t row =
        int64_t{blockIdx.x} * Shape::kRows + warp_of_thread() % 2 * (Shape::kRows / 2) + 2 * t;
#pragma unroll
    for (int m = 0; m < Shape::kOutputTiles; ++m) {
#pragma unroll
        for (int n = 0; n < Shape::kRowTiles; ++n) {
            finish_sums(job, output + 16 * m, row + 8 * n, sums[m][n]);
        }
    }
}

// ---- Launches -----------------------------------------------------------------------------------

int64_t tiles(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

// What a shape takes: as many rounds of blocks as the processors need, of which each multiplies its tile;
// smaller ones read more for each product.
template <class Shape>
float cost(int64_t outputs, int64_t rows, int32_t n_processors, float reads) {
    const int64_t n_blocks = tiles(outputs, Shape::kOutputs) * tiles(rows, Shape::kRows);
    return static_cast<float>(tiles(n_blocks, n_processors) * Shape::kOutputs * Shape::kRows) *
           reads;
}

template <class Shape>
cudaError_t launch_shape(const Bf16Job& job, int64_t outputs, cudaStream_t stream) {
    const dim3 grid(static_cast<unsigned>(tiles(job.job.n_rows, Shape::kRows)),
                    static_cast<unsigned>(tiles(outputs, Shape::kOutputs)));
    return launch(linear_bf16<Shape>, grid, dim3(kThreads), Shape::kBytes, stream, job);
}

cudaError_t launch_slice(const Bf16Job& job, int32_t n_processors, cudaStream_t stream) {
    const bool is_pair = job.job.epilogue == Epilogue::kGateUp;
    // Pairs lie in groups of eight.
    const int64_t outputs = is_pair ? tiles(job.n_outputs, 8) * 16 : int64_t{job.n_outputs};
    const float large = cost<LargeTile>(outputs, job.job.n_rows, n_processors, 1.0f);
    const float medium = cost<MediumTile>(outputs, job.job.n_rows, n_processors, 1.1f);
    const float small = cost<SmallTile>(outputs, job.job.n_rows, n_processors, 1.3f);
    if (large <= medium && large <= small) return launch_shape<LargeTile>(job, outputs, stream);
    if (medium <= small) return launch_shape<MediumTile>(job, outputs, stream);
    return launch_shape<SmallTile>(job, outputs, stream);
}

template <class Shape>
cudaError_t prepare_shape() {
    return cudaFuncSetAttribute(linear_bf16<Shape>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                Shape::kBytes);
}

// ---- Slices -------------------------------------------------------------------------------------

// Outputs of a slice come in multiples of what a block takes.
constexpr int64_t kMultiple = LargeTile::kOutputs;

int64_t slice_outputs(int64_t bytes, int64_t columns) {
    return (bytes / bf16_bytes(1, columns) - kBf16Spare) / kMultiple * kMultiple;
}

// Rows [first, end) of all matrices together, one behind the other from `to` on.
cudaError_t expand_rows(const Product* products, int32_t n, int64_t first, int64_t end,
                        uint16_t* to, cudaStream_t stream) {
    for (int32_t i = 0; i < n; ++i) {
        const Matrix& matrix = products[i].matrix;
        const int64_t from = first < 0 ? 0 : first;
        const int64_t until = end < matrix.rows ? end : matrix.rows;
        if (from < until) {
            const cudaError_t error =
                expand_matrix({matrix.data + from * matrix.row_bytes, matrix.row_bytes,
                               matrix.columns, bf16_stride(matrix.columns), until - from, to},
                              matrix.format, stream);
            if (error != cudaSuccess) return error;
            to += (until - from) * bf16_stride(matrix.columns);
        }
        first -= matrix.rows;
        end -= matrix.rows;
    }
    return cudaSuccess;
}

cudaError_t multiply_slice(Bf16Job job, const Product* products, int32_t n, int32_t n_processors,
                           uint16_t* slice, cudaStream_t stream) {
    const int64_t first = job.first_output;
    const int64_t end = first + job.n_outputs;
    cudaError_t error = cudaSuccess;
    job.weights[0] = job.weights[1] = slice;
    if (job.job.epilogue == Epilogue::kGateUp) {
        uint16_t* up = slice + job.n_outputs * job.stride;
        job.weights[1] = up;
        error = expand_rows(products, 1, first, end, slice, stream);
        if (error == cudaSuccess) error = expand_rows(products + 1, 1, first, end, up, stream);
    } else {
        error = expand_rows(products, n, first, end, slice, stream);
    }
    return error == cudaSuccess ? launch_slice(job, n_processors, stream) : error;
}

}  // namespace

int64_t bf16_slice_bytes(int64_t outputs, int64_t columns) {
    const int64_t all = tiles(outputs, kMultiple) * kMultiple;
    const int64_t most = kBf16SliceBytes / bf16_bytes(1, columns) / kMultiple * kMultiple;
    const int64_t n = all < most ? all : most;
    return bf16_bytes((n < kMultiple ? kMultiple : n) + kBf16Spare, columns);
}

bool takes_bf16(const Input& input, const Product* products, int32_t n,
                const LinearOptions& options) {
    if (!options.traits.has_floats16 || options.same_for_all_rows || input.n_rows < kBf16Rows ||
        options.epilogue == Epilogue::kLogits || n > kMostParts) {
        return false;
    }
    for (int32_t i = 0; i < n; ++i) {
        if (!expands(products[i].matrix.format)) return false;
    }
    return true;
}

cudaError_t multiply_bf16(const Input& input, const Product* products, int32_t n,
                          const LinearOptions& options, const InputForms& forms,
                          cudaStream_t stream) {
    Bf16Job job = {};
    job.job = make_job(input, options);
    for (int32_t i = 0; i < n; ++i) add_part(job.job, products[i]);
    job.rows = reinterpret_cast<const uint16_t*>(forms.rounded);
    job.stride = bf16_stride(input.columns);
    const int64_t parts = options.epilogue == Epilogue::kGateUp ? 2 : 1;
    const int64_t step = slice_outputs(forms.slice_bytes, input.columns) / parts;
    for (int64_t first = 0; first < job.job.outputs; first += step) {
        const int64_t left = job.job.outputs - first;
        job.first_output = first;
        job.n_outputs = static_cast<int32_t>(left < step ? left : step);
        const cudaError_t error = multiply_slice(job, products, n, options.n_processors,
                                                 reinterpret_cast<uint16_t*>(forms.slice), stream);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t prepare_bf16() {
    for (const auto prepare :
         {prepare_shape<LargeTile>, prepare_shape<MediumTile>, prepare_shape<SmallTile>}) {
        const cudaError_t error = prepare();
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

}  // namespace puna::cuda
