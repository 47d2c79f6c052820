// F32, F16 and BF16 matrices: floats times floats.
#include "cuda/linear_family.cuh"

namespace puna::cuda {

namespace {

constexpr int kTile = 64;  // outputs and rows of a block
constexpr int kSide = 16;  // threads along each; a thread has every 16th of both
constexpr int kEach = kTile / kSide;
constexpr int kDepth = 16;  // columns at a time

struct FloatTile {
    float weights[kDepth][kTile + 1];
    float rows[kDepth][kTile + 1];
};

// Output `index` of a block. The gate and the up of an output are 32 apart: a thread has both.
__device__ inline OutputPlace place_in_tile(const LinearJob& job, int index) {
    if (job.epilogue == Epilogue::kGateUp) {
        return {index / (kTile / 2), int64_t{blockIdx.x} * (kTile / 2) + index % (kTile / 2)};
    }
    return place_of(job, int64_t{blockIdx.x} * kTile + index);
}

template <class Format>
__device__ inline void fill_tile(const LinearJob& job, int64_t first, FloatTile& tile) {
    const int column = static_cast<int>(threadIdx.x) % kDepth;
    const int64_t j = first + column;
    for (int i = static_cast<int>(threadIdx.x) / kDepth; i < kTile; i += kSide * kSide / kDepth) {
        const OutputPlace place = place_in_tile(job, i);
        const bool is_weight = j < job.columns && is_in_part(job, place);
        tile.weights[column][i] =
            is_weight ? Format::load(weights_of(job, place) + j * Format::kBytes) : 0.0f;
        const int64_t r = int64_t{blockIdx.y} * kTile + i;
        tile.rows[column][i] =
            j < job.columns && r < job.n_rows ? job.x[r * job.columns + j] : 0.0f;
    }
}

__device__ inline void finish_tile(const LinearJob& job, const float (*sums)[kEach], int x, int y) {
#pragma unroll
    for (int r = 0; r < kEach; ++r) {
        const int64_t row = int64_t{blockIdx.y} * kTile + y + kSide * r;
        if (row >= job.n_rows) continue;
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const OutputPlace place = place_in_tile(job, x + kSide * i);
            if (!is_in_part(job, place)) continue;
            if (job.epilogue != Epilogue::kGateUp) {
                finish(job, place, row, sums[r][i]);
            } else if (i < kEach / 2) {
                finish_gate_up(job, place.row, row, sums[r][i], sums[r][(i + kEach / 2) % kEach]);
            }
        }
    }
}

// Grid: [outputs / 64 (gate and up: 32)][rows / 64].
template <class Format>
__global__ void __launch_bounds__(kSide* kSide) linear_tiles(const LinearJob job) {
    __shared__ FloatTile tile;
    const int x = static_cast<int>(threadIdx.x) % kSide;
    const int y = static_cast<int>(threadIdx.x) / kSide;
    float sums[kEach][kEach] = {};
    for (int64_t first = 0; first < job.columns; first += kDepth) {
        fill_tile<Format>(job, first, tile);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < kDepth; ++k) {
            float w[kEach];
#pragma unroll
            for (int i = 0; i < kEach; ++i) w[i] = tile.weights[k][x + kSide * i];
#pragma unroll
            for (int r = 0; r < kEach; ++r) {
                const float row = tile.rows[k][y + kSide * r];
#pragma unroll
                for (int i = 0; i < kEach; ++i) sums[r][i] = __fmaf_rn(w[i], row, sums[r][i]);
            }
        }
        __syncthreads();
    }
    finish_tile(job, sums, x, y);
}

template <class Format>
cudaError_t multiply_floats(const LinearJob& job, cudaStream_t stream) {
    const int64_t outputs = job.epilogue == Epilogue::kGateUp ? 2 * job.outputs : job.outputs;
    const auto n_blocks = static_cast<unsigned>((outputs + kTile - 1) / kTile);
    const auto n_groups = static_cast<unsigned>((job.n_rows + kTile - 1) / kTile);
    return launch(linear_tiles<Format>, dim3(n_blocks, n_groups), dim3(kSide * kSide), 0, stream,
                  job);
}

// Grid: [blocks of columns][rows].
template <class Format>
__global__ void look_up_elements(const LookUp job) {
    const int64_t j = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (j >= job.columns) return;
    const int64_t row = job.indices[int64_t{blockIdx.y} * job.step];
    const float value = Format::load(job.data + row * job.row_bytes + j * Format::kBytes);
    job.out[int64_t{blockIdx.y} * job.columns + j] = value * job.scale;
}

template <class Format>
cudaError_t look_up_floats(const LookUp& job, cudaStream_t stream) {
    constexpr unsigned kThreads = 256;
    const auto n_blocks = static_cast<unsigned>((job.columns + kThreads - 1) / kThreads);
    return launch(look_up_elements<Format>, dim3(n_blocks, static_cast<unsigned>(job.n_rows)),
                  dim3(kThreads), 0, stream, job);
}

// Grid: [rows][pieces of 8 elements / threads].
template <class Format>
__global__ void expand_elements(const Expand job) {
    wait_for_last_kernel();
    constexpr int kElements = Format::kWide;
    static_assert(kElements == 8);
    const int64_t first = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kElements;
    if (first >= job.stride) return;
    const RowToExpand row = row_to_expand(job, static_cast<int64_t>(blockIdx.x));
    const uint8_t* from = row.data + first * Format::kBytes;
    float values[kElements];
    if (job.row_bytes % 16 == 0 && first + kElements <= job.columns) {
        Format::load_wide(from, values);
    } else {
#pragma unroll
        for (int j = 0; j < kElements; ++j) {
            values[j] = first + j < job.columns ? Format::load(from + j * Format::kBytes) : 0.0f;
        }
    }
    *reinterpret_cast<uint4*>(job.out + row.out * job.stride + first) = bfloat16_piece(values);
}

template <class Format>
cudaError_t expand_floats(const Expand& job, cudaStream_t stream) {
    constexpr unsigned kThreads = 128;
    const auto n_blocks = static_cast<unsigned>((job.stride / 8 + kThreads - 1) / kThreads);
    return launch_next(job.overlaps, expand_elements<Format>,
                       dim3(static_cast<unsigned>(job.n_rows), n_blocks), dim3(kThreads), 0, stream,
                       job);
}

template <class Format>
constexpr LinearFamily float_family() {
    return {multiply_few<Format>, multiply_floats<Format>, look_up_floats<Format>};
}
template <class Format>
constexpr LinearFamily half_family() {
    return {multiply_few<Format>,
            multiply_floats<Format>,
            look_up_floats<Format>,
            expand_floats<Format>,
            nullptr,
            multiply_warpgroups<Format>};
}

}  // namespace

LinearFamily linear_floats(int32_t format) {
    switch (format) {
        case PUNA_FORMAT_F32:
            return float_family<F32>();
        case PUNA_FORMAT_F16:
            return half_family<F16>();
        case PUNA_FORMAT_BF16:
            return half_family<BF16>();
        default:
            return {};
    }
}

}  // namespace puna::cuda
