// Cells that are moved, turned, read and written.
#include "cuda/kv_cells.cuh"

#include "cuda/launch.h"
#include "cuda/rope.cuh"

namespace puna::cuda {

namespace {

constexpr int kThreads = 128;

int64_t distance(const puna_kv_move& move) {
    const int64_t difference = int64_t{move.target} - move.source;
    return difference < 0 ? -difference : difference;
}

// Cells that a thread must take one after the other: all where the ranges overlap, else each by itself.
struct CellOrder {
    int32_t source;
    int32_t target;
    int32_t n_cells;
    int32_t n_chains;   // threads that share the cells
    int32_t goes_down;  // the last cell first
};

CellOrder cell_order(const puna_kv_move& move) {
    const bool overlaps = move.source != move.target && distance(move) < move.n_cells;
    constexpr int32_t kMostChains = 16384;
    const int32_t n_chains = move.n_cells < kMostChains ? move.n_cells : kMostChains;
    return {move.source, move.target, move.n_cells, overlaps ? 1 : n_chains,
            move.target > move.source ? 1 : 0};
}

// A half as plain units of kBytes that every cell has: its elements, or its scales.
struct CellUnits {
    uint8_t* data;
    int64_t layer_bytes;
    int64_t cell_bytes;
};

// Grid: [units of a cell][chains][layers].
template <class Unit>
__global__ void copy_cells_kernel(const CellUnits units, const CellOrder order) {
    const int64_t n_units = units.cell_bytes / static_cast<int64_t>(sizeof(Unit));
    const int64_t unit = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    if (unit >= n_units) return;
    auto* layer = reinterpret_cast<Unit*>(units.data + blockIdx.z * units.layer_bytes);
    for (auto i = static_cast<int32_t>(blockIdx.y); i < order.n_cells; i += order.n_chains) {
        const int64_t at = order.goes_down != 0 ? order.n_cells - 1 - i : i;
        layer[(order.target + at) * n_units + unit] = layer[(order.source + at) * n_units + unit];
    }
}

template <class Unit>
cudaError_t launch_copy(const CellUnits& units, const CellOrder& order, int64_t n_layers,
                        cudaStream_t stream) {
    const int64_t n_units = units.cell_bytes / static_cast<int64_t>(sizeof(Unit));
    const auto n_blocks = static_cast<unsigned>((n_units + kThreads - 1) / kThreads);
    return launch(
        copy_cells_kernel<Unit>,
        dim3(n_blocks, static_cast<unsigned>(order.n_chains), static_cast<unsigned>(n_layers)),
        dim3(kThreads), 0, stream, units, order);
}

cudaError_t copy_units(const CellUnits& units, const CellOrder& order, int64_t n_layers,
                       cudaStream_t stream) {
    if (units.cell_bytes % 4 == 0) return launch_copy<uint32_t>(units, order, n_layers, stream);
    if (units.cell_bytes % 2 == 0) return launch_copy<uint16_t>(units, order, n_layers, stream);
    return launch_copy<uint8_t>(units, order, n_layers, stream);
}

cudaError_t copy_cells(const KvHalf& half, const CellOrder& order, int64_t n_layers,
                       cudaStream_t stream) {
    const CellUnits elements = {half.data, kv_layer_bytes(half), kv_cell_bytes(half)};
    const cudaError_t error = copy_units(elements, order, n_layers, stream);
    if (error != cudaSuccess || !half.scales) return error;
    const CellUnits scales = {reinterpret_cast<uint8_t*>(half.scales), kv_layer_scale_bytes(half),
                              2 * kv_cell_scales(half)};
    return copy_units(scales, order, n_layers, stream);
}

struct TurnJob {
    KvHalf keys;
    CellOrder order;
    const double* frequencies;
    int32_t rope;
    int32_t rope_dim;
    int32_t delta;
};

// Grid: [heads][chains][layers]; a warp for a head, which it keeps in shared memory [head_dim] meanwhile.
__global__ void __launch_bounds__(kWarp) turn_cells_kernel(const TurnJob job) {
    auto* head = static_cast<float*>(dynamic_shared());
    const auto layer = static_cast<int32_t>(blockIdx.z);
    const CellOrder& order = job.order;
    for (auto i = static_cast<int32_t>(blockIdx.y); i < order.n_cells; i += order.n_chains) {
        const int64_t at = order.goes_down != 0 ? order.n_cells - 1 - i : i;
        const KvHead from = kv_head(job.keys, layer, order.source + at, blockIdx.x);
        for (int32_t d = lane_of_thread(); d < job.keys.head_dim; d += kWarp) {
            head[d] = kv_element(job.keys.type, from, d);
        }
        __syncwarp();
        for (int32_t p = lane_of_thread(); p < job.rope_dim / 2; p += kWarp) {
            turn_pair(job.rope, job.rope_dim, p, rope_turn(job.frequencies[p], job.delta, 1.0f),
                      head);
        }
        __syncwarp();
        store_head(job.keys, kv_head(job.keys, layer, order.target + at, blockIdx.x), head);
        __syncwarp();
    }
}

// ---- The canonical layout -----------------------------------------------------------------------

struct LinesJob {
    KvHalf half;
    int32_t layer;
    const int32_t* cells;
    uint8_t* bytes;
};

__device__ inline void exchange(uint8_t* stored, uint8_t* line, bool is_read) {
    if (is_read) {
        *line = *stored;
    } else {
        *stored = *line;
    }
}

// Grid: [heads][cells]; a warp for a head of a cell.
template <bool kIsRead>
__global__ void __launch_bounds__(kWarp) lines_kernel(const LinesJob job) {
    const int64_t n_scales = kv_head_scales(job.half);
    const int64_t n_bytes = job.half.head_dim * kv_element_bytes(job.half.type);
    const int64_t index = int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
    const KvHead head = kv_head(job.half, job.layer, job.cells[blockIdx.y], blockIdx.x);
    uint8_t* line = job.bytes + index * (n_bytes + 2 * n_scales);
    for (int64_t i = lane_of_thread(); i < n_bytes; i += kWarp) {
        // Behind the scales of the blocks up to its own.
        const int64_t before = n_scales > 0 ? 2 * (i / kKvSpan + 1) : 0;
        exchange(head.data + i, line + before + i, kIsRead);
    }
    auto* scales = reinterpret_cast<uint8_t*>(head.scales);
    for (int64_t i = lane_of_thread(); i < 2 * n_scales; i += kWarp) {
        exchange(scales + i, line + i / 2 * (kKvSpan + 2) + i % 2, kIsRead);
    }
}

template <bool kIsRead>
cudaError_t run_lines(const Forward& f, int32_t layer, int32_t keys_or_values, const int32_t* cells,
                      int32_t n_cells, uint8_t* bytes) {
    // As many cells as a grid may have along its second side.
    constexpr int32_t kMostCells = 65535;
    LinesJob job;
    job.half = keys_or_values == PUNA_KV_KEYS ? f.cache.keys : f.cache.values;
    job.layer = layer;
    const int64_t line_bytes =
        job.half.head_dim * kv_element_bytes(job.half.type) + 2 * kv_head_scales(job.half);
    for (int32_t first = 0; first < n_cells; first += kMostCells) {
        const int32_t left = n_cells - first;
        const int32_t n = left < kMostCells ? left : kMostCells;
        job.cells = cells + first;
        job.bytes = bytes + first * job.half.n_head_kv * line_bytes;
        const cudaError_t error =
            launch(lines_kernel<kIsRead>,
                   dim3(static_cast<unsigned>(job.half.n_head_kv), static_cast<unsigned>(n)),
                   dim3(kWarp), 0, f.stream, job);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

}  // namespace

uint64_t kv_scales_offset(const KvHalf& half, int32_t n_layers) {
    return static_cast<uint64_t>(n_layers * kv_layer_bytes(half));
}

uint64_t kv_half_bytes(const KvHalf& half, int32_t n_layers) {
    return static_cast<uint64_t>(n_layers * (kv_layer_bytes(half) + kv_layer_scale_bytes(half)));
}

cudaError_t move_cells(const Forward& f, const puna_kv_move& move) {
    const puna_model_spec& spec = f.weights->spec;
    const bool turns = move.delta != 0 && spec.rope != PUNA_ROPE_NONE && spec.rope_dim > 0;
    const auto n_layers = static_cast<int64_t>(f.weights->layers.size());
    if (move.n_cells <= 0 || n_layers == 0 || (move.source == move.target && !turns)) {
        return cudaSuccess;
    }
    const CellOrder order = cell_order(move);
    const KvHalf& keys = f.cache.keys;
    if (move.source != move.target) {
        const cudaError_t error = copy_cells(f.cache.values, order, n_layers, f.stream);
        if (error != cudaSuccess) return error;
    }
    if (!turns) return copy_cells(keys, order, n_layers, f.stream);
    const TurnJob job = {keys,      order,         f.weights->rope_frequencies,
                         spec.rope, spec.rope_dim, move.delta};
    return launch(turn_cells_kernel,
                  dim3(static_cast<unsigned>(keys.n_head_kv), static_cast<unsigned>(order.n_chains),
                       static_cast<unsigned>(n_layers)),
                  dim3(kWarp), static_cast<size_t>(keys.head_dim) * sizeof(float), f.stream, job);
}

cudaError_t gather_cells(const Forward& f, int32_t layer, int32_t keys_or_values,
                         const int32_t* cells, int32_t n_cells, uint8_t* bytes) {
    return run_lines<true>(f, layer, keys_or_values, cells, n_cells, bytes);
}

cudaError_t scatter_cells(const Forward& f, int32_t layer, int32_t keys_or_values,
                          const int32_t* cells, int32_t n_cells, const uint8_t* bytes) {
    return run_lines<false>(f, layer, keys_or_values, cells, n_cells, const_cast<uint8_t*>(bytes));
}

}  // namespace puna::cuda
