// Products of many rows, in bfloat16 by warpgroups: on compute capability 9.0. Weights are the left operand, which
// each warp unpacks for itself and has in registers, so that matrices are read in their blocks and nothing is
// written in between. One warp of a block brings what the others read, by the copy engine: rows as panels, a step
// of 64 columns at a time, and weights as they lie, a chunk of some steps at a time. While the products of a step
// are on their way, a warp unpacks the weights of the next.
//
// Two neighbouring blocks have the same rows and form a cluster: each brings half of them to both.
#pragma once

#include "cuda/bf16_tile.cuh"
#include "cuda/bulk_copy.cuh"
#include "cuda/launch.h"
#include "cuda/linear_few.cuh"
#include "cuda/tile_choice.h"
#include "cuda/warpgroup_mma.cuh"
#include "cuda/weight_spans.cuh"

namespace puna::cuda {

constexpr int kGroups = 2;  // of warps that multiply, side by side
constexpr int kGroupOutputs = 64;
constexpr int kGroupTileOutputs = kGroups * kGroupOutputs;
constexpr int kGroupWarps = kGroups * kWarpgroup / kWarp;
constexpr int kGroupMultiplyThreads = kGroupWarps * kWarp;
// One more warpgroup, of which a warp brings operands: registers come and go by warpgroups, and those that multiply
// take most of them.
constexpr int kGroupThreads = kGroupMultiplyThreads + kWarpgroup;
constexpr int kMultiplyRegisters = 224;
constexpr int kBringRegisters = 56;
constexpr int kPanelRowBytes = kBf16Step * 2;
constexpr int kPanelAlignment = 1024;
constexpr int kChunks = 2;  // of weights, in shared memory
constexpr int kStepProducts = kBf16Step / 16;

// Weights of a row that come together, and their place in shared memory: as far beyond a multiple of 16 bytes as in
// the row. Rows are an odd number of 16 bytes apart there, so that warps read eight of them from different banks.
template <class Format>
struct ChunkOf {
    static constexpr int kColumns = kIsFloats<Format> ? 128 : 256;
    static constexpr int kSteps = kColumns / kBf16Step;
    static constexpr int bytes() {
        if constexpr (kIsFloats<Format>) {
            return kColumns * Format::kBytes;
        } else {
            return kColumns / Format::kLength * Format::kBytes;
        }
    }
    static constexpr int kBytes = bytes();
    static constexpr int kPieces = (kBytes + 15 + 15) / 16;
    static constexpr int kPlace = (kPieces % 2 == 0 ? kPieces + 1 : kPieces) * 16;
    static constexpr int kAll = kGroupTileOutputs * kPlace;
};

// Barriers: operands have come; all who read them, in all blocks that they came to, are done.
struct GroupBarriers {
    uint64_t rows_come[8];
    uint64_t rows_read[8];
    uint64_t chunk_come[kChunks];
    uint64_t chunk_read[kChunks];
    bool is_last;  // of join_parts()
};

template <class Format, int kRowsOf>
struct GroupTile {
    using Chunk = ChunkOf<Format>;
    static constexpr int kRows = kRowsOf;
    static constexpr int kStages = kRows == 256 ? 4 : 6;
    static constexpr int kSums = kRows / 8;
    static constexpr int kPanelBytes = kRows * kPanelRowBytes;
    // A warp finishes its part of the rows, of all outputs of its group.
    using Sums = WarpTile<kRows / 4 / kFragmentRows, kGroupOutputs / 8, 4>;
    using Results = WarpTile<kRows / 4 / kFragmentRows, kGroupOutputs / 16, Sums::kStride - 32>;
    static constexpr int kPanels = kStages * kPanelBytes;
    static constexpr int kSpans = kPanels + kChunks * Chunk::kAll;  // behind both
    static constexpr int kBarriers = kSpans + kGroupWarps * static_cast<int>(sizeof(WeightSpans));
    static constexpr int kShared =
        kPanelAlignment + kBarriers + static_cast<int>(sizeof(GroupBarriers));
    static_assert(kGroups * 4 * Sums::kBytes <= kBarriers);
    static_assert(kStages <= 8 && kShared <= kWarpgroupShared);
};

struct GroupJob {
    TileJob tile;
    int32_t cluster;
    int32_t n_chunks;  // of a block, at most
};

// ---- What comes ---------------------------------------------------------------------------------

// The part of the columns that is the block's.
struct GroupSteps {
    int32_t first_chunk;
    int32_t n;  // of 64 columns
};
template <class Format>
__device__ inline GroupSteps steps_of_block(const GroupJob& group) {
    constexpr int kSteps = ChunkOf<Format>::kSteps;
    const auto n_all = static_cast<int32_t>(bf16_stride(group.tile.job.columns) / kBf16Step);
    const int32_t first = static_cast<int32_t>(blockIdx.z) * group.n_chunks;
    return {first, max(0, min(group.n_chunks * kSteps, n_all - first * kSteps))};
}

// Output `index` of a block; behind the last one it is multiplied once more, for nobody.
__device__ inline const uint8_t* group_weights(const LinearJob& job, int index) {
    OutputPlace place = place_in_pairs(job, int64_t{blockIdx.x} * kGroupTileOutputs + index);
    if (!is_in_part(job, place)) place.row = job.parts[place.part].rows - 1;
    return weights_of(job, place);
}

// By the lanes of a warp, each for some outputs. What is behind the end of a row is not read.
template <class Format>
__device__ inline void bring_chunk(const uint8_t* const* weights, int64_t row_bytes, int32_t chunk,
                                   uint8_t* to, uint64_t* barrier) {
    using Chunk = ChunkOf<Format>;
    constexpr int kEach = kGroupTileOutputs / kWarp;
    const int64_t first = int64_t{chunk} * Chunk::kBytes;
    const int64_t left = row_bytes - first;
    const auto n = static_cast<uint32_t>(left < Chunk::kBytes ? left : Chunk::kBytes);
    uint32_t sizes[kEach];
    uint32_t all = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const auto beyond =
            static_cast<uint32_t>(reinterpret_cast<uintptr_t>(weights[i] + first) % 16);
        sizes[i] = (beyond + n + 15) / 16 * 16;
        all += sizes[i];
    }
    expect_bytes(barrier, all);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const uint8_t* from = weights[i] + first;
        from -= reinterpret_cast<uintptr_t>(from) % 16;
        copy_bulk(to + (lane_of_thread() + i * kWarp) * Chunk::kPlace, from, sizes[i], barrier);
    }
}

// Where in its rounds a ring of kPlaces is.
template <int kPlaces>
struct RingPosition {
    int32_t place = 0;
    uint32_t parity = 0;
    __device__ void advance() {
        if (++place < kPlaces) return;
        place = 0;
        parity ^= 1;
    }
};

// By a warp. The first round of a ring waits for nobody: its barriers take a parity of 1 for that of a round that
// has ended.
template <class Tile, class Format>
__device__ inline void bring_operands(const GroupJob& group, const GroupSteps& steps,
                                      uint8_t* memory, GroupBarriers& barriers) {
    using Chunk = ChunkOf<Format>;
    const LinearJob& job = group.tile.job;
    constexpr int kEach = kGroupTileOutputs / kWarp;
    const uint8_t* weights[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) weights[i] = group_weights(job, lane_of_thread() + i * kWarp);
    const int64_t row_bytes = job.parts[0].row_bytes;  // of all parts
    const int32_t share = Tile::kPanelBytes / group.cluster;
    const int32_t own = group.cluster == 1 ? 0 : static_cast<int32_t>(block_in_cluster()) * share;
    const int64_t step_bytes = panel_rows(job.n_rows) * kPanelRowBytes;
    const auto* rows = reinterpret_cast<const uint8_t*>(job.fragments) +
                       int64_t{steps.first_chunk} * Chunk::kSteps * step_bytes +
                       int64_t{blockIdx.y} * Tile::kPanelBytes + own;
    RingPosition<Tile::kStages> stage;
    RingPosition<kChunks> chunk;
    for (int32_t k = 0; k < steps.n; ++k) {
        if (k % Chunk::kSteps == 0) {
            wait_bulk(&barriers.chunk_read[chunk.place], chunk.parity ^ 1);
            bring_chunk<Format>(weights, row_bytes, steps.first_chunk + k / Chunk::kSteps,
                                memory + Tile::kPanels + chunk.place * Chunk::kAll,
                                &barriers.chunk_come[chunk.place]);
            chunk.advance();
        }
        if (lane_of_thread() == 0) {
            uint64_t* come = &barriers.rows_come[stage.place];
            uint8_t* panel = memory + stage.place * Tile::kPanelBytes + own;
            wait_bulk(&barriers.rows_read[stage.place], stage.parity ^ 1);
            expect_bytes(come, Tile::kPanelBytes);
            if (group.cluster == 1) {
                copy_bulk(panel, rows, share, come);
            } else {
                copy_bulk_to((1u << group.cluster) - 1, panel, rows, share, come);
            }
        }
        __syncwarp();
        stage.advance();
        rows += step_bytes;
    }
}

// ---- Products -----------------------------------------------------------------------------------

// What a lane unpacks: of each step a span of an output, or 16-bit floats of two.
struct LaneWeights {
    uint32_t place;   // in a chunk, less what rows are beyond 16 bytes
    uint32_t beyond;  // of the row's first byte
    int64_t columns;  // from the block's first on
};
template <class Format>
__device__ inline LaneWeights weights_of_lane(const LinearJob& job, const GroupSteps& steps,
                                              int output) {
    using Chunk = ChunkOf<Format>;
    const int64_t first = int64_t{steps.first_chunk} * Chunk::kBytes;
    const uint8_t* row = group_weights(job, output) + first;
    return {static_cast<uint32_t>(output * Chunk::kPlace),
            static_cast<uint32_t>(reinterpret_cast<uintptr_t>(row) % 16),
            job.columns - int64_t{steps.first_chunk} * Chunk::kColumns};
}
// The first byte of the row's chunk, that is the n-th of the block.
template <class Format>
__device__ inline SharedBytes chunk_of_lane(const LaneWeights& lane, const uint8_t* chunk,
                                            int32_t n) {
    using Chunk = ChunkOf<Format>;
    const uint32_t beyond = (lane.beyond + static_cast<uint32_t>(n) * (Chunk::kBytes % 16)) % 16;
    return {chunk + lane.place + beyond};
}

// The left operands of a step.
template <class Format>
__device__ inline void unpack_step(const LaneWeights& lane, const uint8_t* chunk, int32_t n,
                                   int step, WeightSpans& memory, uint32_t (*a)[4]) {
    constexpr int kSpans = Format::kLength / kSpan;
    const int s = 2 * step + lane_of_thread() / 16;
    const SharedBytes bytes = chunk_of_lane<Format>(lane, chunk, n);
    Span span = {};
    // Behind the last column is what was there before.
    if (int64_t{n} * ChunkOf<Format>::kColumns + s * kSpan < lane.columns) {
        Format::unpack(bytes + s / kSpans * Format::kBytes, s % kSpans, span);
    }
    __syncwarp();  // all have taken the last step's
    put_span<Format>(span, memory);
    __syncwarp();
    const int g = lane_of_thread() / 4;
    take_operands<Format>(memory, g, a);
    take_operands<Format>(memory, 16 + g, a + 2);
}

// Columns column .. column + 7 of a row of 16-bit floats, from the block's first on.
template <class Format>
__device__ inline uint4 floats_of_lane(const LaneWeights& lane, const uint8_t* chunk, int32_t n,
                                       int column) {
    const SharedBytes bytes = chunk_of_lane<Format>(lane, chunk, n) + column * Format::kBytes;
    uint32_t words[4];
    load_words<2, 4>(bytes, words);
    const int64_t left = lane.columns - int64_t{n} * ChunkOf<Format>::kColumns - column;
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        values[i] = i < left ? Format::value(words[i / 2] >> i % 2 * 16 & 0xffffu) : 0.0f;
    }
    return bfloat16_piece(values);
}
template <class Format>
__device__ inline void take_floats(const LaneWeights* lanes, const uint8_t* chunk, int32_t n,
                                   int step, uint32_t (*a)[4]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int column = (2 * step + i) * kSpan + lane_of_thread() % 4 * 8;
        const uint4 low = floats_of_lane<Format>(lanes[0], chunk, n, column);
        const uint4 high = floats_of_lane<Format>(lanes[1], chunk, n, column);
        const uint32_t first[4] = {low.x, high.x, low.y, high.y};
        const uint32_t second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            a[2 * i][j] = first[j];
            a[2 * i + 1][j] = second[j];
        }
    }
}

// The weights of a warp, step by step.
template <class Tile, class Format>
struct WeightSteps {
    using Chunk = ChunkOf<Format>;
    LaneWeights lanes[kIsFloats<Format> ? 2 : 1];
    const uint8_t* chunks;
    GroupBarriers& barriers;
    WeightSpans& memory;
    RingPosition<kChunks> chunk;
    int32_t k;
    int32_t n;

    __device__ WeightSteps(const LinearJob& job, const GroupSteps& steps, uint8_t* block,
                           GroupBarriers& all)
        : chunks(block + Tile::kPanels),
          barriers(all),
          memory(reinterpret_cast<WeightSpans*>(block + Tile::kSpans)[warp_of_thread()]),
          k(0),
          n(steps.n) {
        const int output = warp_of_thread() * 16;
        const int lane = lane_of_thread();
        if constexpr (kIsFloats<Format>) {
            lanes[0] = weights_of_lane<Format>(job, steps, output + lane / 4);
            lanes[1] = weights_of_lane<Format>(job, steps, output + lane / 4 + 8);
        } else {
            lanes[0] = weights_of_lane<Format>(job, steps, output + lane % 16);
        }
    }

    // Those of the next step.
    __device__ void take(uint32_t (*a)[4]) {
        const int step = k % Chunk::kSteps;
        if (step == 0) wait_bulk(&barriers.chunk_come[chunk.place], chunk.parity);
        const uint8_t* at = chunks + chunk.place * Chunk::kAll;
        if constexpr (kIsFloats<Format>) {
            take_floats<Format>(lanes, at, k / Chunk::kSteps, step, a);
            __syncwarp();
        } else {
            unpack_step<Format>(lanes[0], at, k / Chunk::kSteps, step, memory, a);
        }
        ++k;
        if (k % Chunk::kSteps != 0 && k < n) return;
        if (lane_of_thread() == 0) arrive_at(&barriers.chunk_read[chunk.place], block_in_cluster());
        chunk.advance();
    }
};

template <class Tile>
__device__ inline void multiply_step(uint32_t panel, const uint32_t (*a)[4], float (*sums)[4]) {
    const uint64_t rows = panel_operand(panel);
    begin_products();
#pragma unroll
    for (int i = 0; i < kStepProducts; ++i) {
        multiply_panel<Tile::kRows>(sums, a[i], rows + static_cast<uint64_t>(i) * kProductAdvance);
    }
    end_products();
}

template <class Tile, class Format>
__device__ inline void multiply_steps(const GroupJob& group, const GroupSteps& steps,
                                      uint8_t* memory, GroupBarriers& barriers, float (*sums)[4]) {
    WeightSteps<Tile, Format> weights(group.tile.job, steps, memory, barriers);
    RingPosition<Tile::kStages> stage;
    uint32_t a[2][kStepProducts][4];
    if (steps.n > 0) weights.take(a[0]);
#pragma unroll 1
    for (int32_t first = 0; first < steps.n; first += 2) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int32_t k = first + i;
            if (k >= steps.n) break;
            wait_bulk(&barriers.rows_come[stage.place], stage.parity);
            multiply_step<Tile>(shared_address(memory + stage.place * Tile::kPanelBytes), a[i],
                                sums);
            if (k + 1 < steps.n) weights.take(a[1 - i]);
            wait_products<Tile::kRows>(sums);
            if (lane_of_thread() < group.cluster) {
                arrive_at(&barriers.rows_read[stage.place],
                          static_cast<uint32_t>(lane_of_thread()));
            }
            stage.advance();
        }
    }
}

// ---- The end of a tile --------------------------------------------------------------------------

// sums[n][i]: outputs g and g + 8 of the warp, rows 8 n + 2 t and the next. Those of a group lie side by side.
template <class Warp, int kSums>
__device__ inline void put_group_sums(const float (*sums)[4], float* memory) {
    float* at = memory + lane_of_thread() % 4 * 2 * Warp::kStride + warp_of_thread() % 4 * 16 +
                lane_of_thread() / 4;
#pragma unroll
    for (int n = 0; n < kSums; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            at[(8 * n + i % 2) * Warp::kStride + i / 2 * 8] = sums[n][i];
        }
    }
}
// Of a gate and an up these are the two of one output: with SiLU, which is little code, results lie there at once.
template <class Warp, int kSums>
__device__ inline void put_group_results(const TileJob& tile, int64_t first, const float (*sums)[4],
                                         float* memory) {
    const int output = warp_of_thread() % 4 * 8 + lane_of_thread() / 4;
    const GateBias bias(tile, first + output);
    float* at = memory + lane_of_thread() % 4 * 2 * Warp::kStride + output;
#pragma unroll
    for (int n = 0; n < kSums; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            at[(8 * n + i) * Warp::kStride] =
                bias.result(PUNA_ACTIVATION_SILU, sums[n][i], sums[n][i + 2]);
        }
    }
}
// With others, by the lanes for the outputs of a row, where the sums of the warp's rows lie.
template <class Warp>
__device__ inline void activate_rows(const TileJob& tile, int64_t first, float* memory) {
    const int lane = lane_of_thread();
    const GateBias bias(tile, first + lane);
#pragma unroll 1
    for (int row = 0; row < Warp::kRows; ++row) {
        float* sums = memory + row * Warp::kStride;
        const float* gate = sums + lane / 8 * 16 + lane % 8;
        const float result = bias.result(tile.job.activation, gate[0], gate[8]);
        __syncwarp();
        sums[lane] = result;
    }
    __syncwarp();
}

// Results of a row and 32 outputs in four lanes, as panels: a piece has two of each eight.
template <class Warp>
__device__ inline void put_panels(const TileJob& tile, const WarpValues& warp) {
    static_assert(Warp::kOutputs == 32);
    const int lane = lane_of_thread();
    const int piece = lane % 4;
    if (warp.output >= bf16_stride(tile.job.outputs)) return;
    const int64_t n_rows = panel_rows(tile.job.n_rows);
    const int64_t left = n_rows - warp.row;
    const int n = left < Warp::kRows ? static_cast<int>(left) : Warp::kRows;
#pragma unroll 4
    for (int i = lane / 4; i < n; i += 8) {
        const float* x = warp.memory + i * Warp::kStride + 2 * piece;
        uint32_t words[4];
#pragma unroll
        for (int t = 0; t < 4; ++t) {
            const float2 two = *reinterpret_cast<const float2*>(x + 8 * t);
            words[t] = bfloat16_pair(two.x, two.y);
        }
        tile.y_fragments[panel_piece(n_rows, warp.output, warp.row + i, piece)] =
            make_uint4(words[0], words[1], words[2], words[3]);
    }
}

// A warp of a group finishes its part of the rows, of all outputs of the group.
template <class Tile>
__device__ inline void finish_group(const TileJob& tile, const float (*sums)[4], uint8_t* memory) {
    using Sums = typename Tile::Sums;
    using Results = typename Tile::Results;
    const int warp = warp_of_thread();
    auto* all = reinterpret_cast<float*>(memory) + warp / 4 * (4 * Sums::kBytes / 4);
    const int64_t index = int64_t{blockIdx.x} * kGroupTileOutputs + warp / 4 * kGroupOutputs;
    const int64_t row = int64_t{blockIdx.y} * Tile::kRows + warp % 4 * Sums::kRows;
    if (tile.job.epilogue != Epilogue::kGateUp) {
        put_group_sums<Sums, Tile::kSums>(sums, all);
        __syncthreads();
        store_warp<Sums>(tile, {row, index, all + warp % 4 * (Sums::kBytes / 4)});
        return;
    }
    const int64_t output = index / 2;
    float* own = all + warp % 4 * (Results::kBytes / 4);
    if (tile.job.activation == PUNA_ACTIVATION_SILU) {
        put_group_results<Results, Tile::kSums>(tile, output, sums, all);
        __syncthreads();
    } else {
        put_group_sums<Sums, Tile::kSums>(sums, all);
        __syncthreads();
        activate_rows<Sums>(tile, output, own);
    }
    if (tile.y_fragments) {
        put_panels<Results>(tile, {row, output, own});
    } else {
        store_rows<Results, Epilogue::kStore>(tile, {row, output, own});
    }
}

template <class Tile>
__device__ inline void init_barriers(const GroupJob& group, GroupBarriers& barriers) {
    for (int i = 0; i < Tile::kStages; ++i) {
        init_barrier(&barriers.rows_come[i]);
        init_barrier(&barriers.rows_read[i], static_cast<uint32_t>(kGroupWarps * group.cluster));
    }
    for (int i = 0; i < kChunks; ++i) {
        init_barrier(&barriers.chunk_come[i], kWarp);
        init_barrier(&barriers.chunk_read[i], kGroupWarps);
    }
    publish_barriers();
}

// By the warps that multiply.
template <class Tile, class Format>
__device__ inline void multiply_tile(const GroupJob& group, const GroupSteps& steps,
                                     uint8_t* memory, GroupBarriers& barriers) {
    take_registers<kMultiplyRegisters>();
    float sums[Tile::kSums][4] = {};
    multiply_steps<Tile, Format>(group, steps, memory, barriers, sums);
    // Behind this all are done with the memory of this block, and nobody asks another for anything.
    meet_cluster();
    if (group.tile.n_splits > 1 &&
        !join_parts<kGroupMultiplyThreads, Tile::kSums>(group.tile, sums, barriers.is_last)) {
        return;
    }
    finish_group<Tile>(group.tile, sums, memory);
}

// By the others, of which one has something to do, and all meet those that multiply.
template <class Tile, class Format>
__device__ inline void bring_tile(const GroupJob& group, const GroupSteps& steps, uint8_t* memory,
                                  GroupBarriers& barriers) {
    give_registers<kBringRegisters>();
    if (warp_of_thread() == kGroupWarps) {
        bring_operands<Tile, Format>(group, steps, memory, barriers);
    }
    __syncwarp();
    meet_cluster();
    if (group.tile.n_splits > 1 && !ends_tile(group.tile, barriers.is_last)) return;
    __syncthreads();
}

template <class Tile, class Format>
__device__ inline void run_group_tile(const GroupJob& group) {
    auto* memory = static_cast<uint8_t*>(dynamic_shared());
    memory += (kPanelAlignment - shared_address(memory) % kPanelAlignment) % kPanelAlignment;
    auto& barriers = *reinterpret_cast<GroupBarriers*>(memory + Tile::kBarriers);
    if (threadIdx.x == 0) init_barriers<Tile>(group, barriers);
    __syncwarp();
    wait_for_last_kernel();
    meet_cluster();
    const GroupSteps steps = steps_of_block<Format>(group);
    if (warp_of_thread() < kGroupWarps) {
        multiply_tile<Tile, Format>(group, steps, memory, barriers);
    } else {
        bring_tile<Tile, Format>(group, steps, memory, barriers);
    }
}

// Grid: [outputs / 128, gate and up counted apart][rows / kRows][splits].
template <class Format, int kRows>
__global__ void __launch_bounds__(kHasWarpgroups ? kGroupThreads : kWarp, 1)
    linear_warpgroups(const GroupJob group) {
    if constexpr (kHasWarpgroups) run_group_tile<GroupTile<Format, kRows>, Format>(group);
}

// ---- Launches -----------------------------------------------------------------------------------

// A multiprocessor has 2,048 products in a clock, less what waits for barriers and for shared memory. Those of 128 rows
// take as long as it does to unpack their weights: 250 to 330 instructions of 8 warps for each 64 columns.
template <class Format, int kRows>
constexpr TileShape group_shape(int32_t cluster) {
    using Tile = GroupTile<Format, kRows>;
    constexpr float kProducts = kRows == 256 ? 1750.0f : 1400.0f;
    // The way of the first weights, and the results of rows by each lane.
    constexpr float kClocks = 2500.0f + 16.0f * kRows;
    const float bytes = static_cast<float>(kGroupTileOutputs * ChunkOf<Format>::kBytes) /
                            static_cast<float>(ChunkOf<Format>::kColumns) +
                        2.0f * kRows / static_cast<float>(cluster);
    return {kRows,   kGroupTileOutputs, Tile::kStages, Tile::kShared,
            cluster, kProducts,         bytes,         kClocks};
}

template <class Format>
constexpr TileShape kGroupShapes[] = {group_shape<Format, 256>(2), group_shape<Format, 256>(1),
                                      group_shape<Format, 128>(2), group_shape<Format, 128>(1)};

template <class Format, int kRows>
cudaError_t launch_rows(const GroupJob& group, const TileChoice& choice, bool overlaps,
                        cudaStream_t stream) {
    constexpr int kShared = GroupTile<Format, kRows>::kShared;
    // A property of the kernel on this device, which costs no more than a look.
    const cudaError_t error = cudaFuncSetAttribute(
        linear_warpgroups<Format, kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
    if (error != cudaSuccess) return error;
    const dim3 grid(static_cast<unsigned>(choice.output_tiles),
                    static_cast<unsigned>(choice.row_tiles),
                    static_cast<unsigned>(choice.n_splits));
    return launch_clusters(group.cluster, overlaps, linear_warpgroups<Format, kRows>, grid,
                           dim3(kGroupThreads), kShared, stream, group);
}

// By one of kGroupShapes.
template <class Format>
cudaError_t launch_group(const LinearJob& job, const TileChoice& choice,
                         const LinearOptions& options, const InputForms& forms,
                         cudaStream_t stream) {
    const TileShape& shape = kGroupShapes<Format>[choice.index];
    GroupJob group = {};
    group.tile.job = job;
    group.tile.n_outputs = job.outputs;
    group.tile.y_fragments = options.y_fragments;
    group.tile.n_splits = choice.n_splits;
    group.tile.parts = reinterpret_cast<float4*>(forms.parts);
    group.tile.arrivals = forms.arrivals;
    group.cluster = shape.cluster;
    const int64_t n_chunks =
        (bf16_stride(job.columns) + ChunkOf<Format>::kColumns - 1) / ChunkOf<Format>::kColumns;
    group.n_chunks = static_cast<int32_t>((n_chunks + choice.n_splits - 1) / choice.n_splits);
    const bool overlaps = options.traits.overlaps;
    return shape.rows == 256 ? launch_rows<Format, 256>(group, choice, overlaps, stream)
                             : launch_rows<Format, 128>(group, choice, overlaps, stream);
}

// job.fragments is the input as panels.
template <class Format>
cudaError_t multiply_warpgroups(const LinearJob& job, const LinearOptions& options,
                                const InputForms& forms, cudaStream_t stream) {
    const int64_t outputs = tiled_outputs(job, job.outputs, options.y_fragments != nullptr);
    const TileChoice choice = choose_tile(
        kGroupShapes<Format>, {outputs, job.n_rows, bf16_stride(job.columns)}, options, forms);
    if (choice.index < 0) return cudaErrorInvalidConfiguration;
    return launch_group<Format>(job, choice, options, forms, stream);
}

}  // namespace puna::cuda
