// Products of some rows, more than linear_few.cuh takes, in bfloat16 on tensor cores: weights are the left
// operand, which a warp unpacks for itself, so that they are read once and in their blocks. A warp has 32
// outputs: all rows, which it reads out of the L2 cache as its lanes take them, serve for two operands of
// weights. Warps that share outputs split the columns, and so do blocks where outputs are few. What they
// have is added at the end, always in the same order.
#pragma once

#include "cuda/arrivals.cuh"
#include "cuda/launch.h"
#include "cuda/linear_bf16.h"
#include "cuda/linear_epilogue.cuh"
#include "cuda/mma.cuh"
#include "cuda/weight_spans.cuh"

namespace puna::cuda {

constexpr int kSplitWarps = 8;
constexpr int kSplitThreads = kSplitWarps * kWarp;
constexpr int kSplitHalves = 2;  // of 16 outputs, that a warp has
constexpr int kSumStride = 17;   // from a row to the next, of 16 outputs

// What the kernel is told beside the job. A block has two halves of 16 n_groups outputs.
struct SplitJob {
    LinearJob job;
    int32_t n_groups;    // of warps that share outputs: 1, 2 or 4
    int32_t n_steps;     // of a block: each warp takes a span
    int32_t n_splits;    // blocks that share outputs
    float* parts;        // of theirs: [blocks of outputs][n_splits][half][8 kTiles][16 n_groups]
    uint32_t* arrivals;  // [blocks of outputs]
};

template <int kTiles>
union SplitMemory {
    WeightSpans spans[kSplitWarps];
    float sums[kSplitWarps][8 * kTiles * kSumStride];  // of a half
};

// What a warp multiplies: some spans, of which a lane unpacks those of an output.
struct SplitWarp {
    const uint8_t* weights;
    int32_t first_of_block;
    int32_t first;
    int32_t end;
    int32_t step;
};
__device__ inline SplitWarp share_of_warp(const SplitJob& split) {
    const LinearJob& job = split.job;
    const int half = lane_of_thread() / 16;
    const int64_t group = (int64_t{blockIdx.x} * kSplitHalves + half) * split.n_groups +
                          warp_of_thread() % split.n_groups;
    // Behind the last output it is multiplied once more, for nobody.
    OutputPlace place = place_in_pairs(job, group * 16 + lane_of_thread() % 16);
    if (!is_in_part(job, place)) place.row = job.parts[place.part].rows - 1;
    const int step = kSplitWarps / split.n_groups;
    const int32_t n_each = split.n_steps * step;
    const int32_t first = static_cast<int32_t>(blockIdx.y) * n_each;
    return {weights_of(job, place), first, first + warp_of_thread() / split.n_groups,
            min(first + n_each, static_cast<int32_t>(job.columns / kSpan)), step};
}

// ---- Weights ------------------------------------------------------------------------------------

// How far ahead weights are asked for, of each output, so that warps wait for the L2 cache and not for the
// memory behind it.
constexpr int kSplitAhead = 1024;
constexpr int kLine = 128;

// Where span s of a row begins, or what is close to it within its block.
template <class Format>
__device__ inline int32_t bytes_before(int32_t s) {
    return s * Format::kBytes / (Format::kLength / kSpan);
}

// Warps that share outputs share the lines of the first weights of their block.
template <class Format>
__device__ inline void prefetch_first(const SplitWarp& warp) {
    const int32_t first = bytes_before<Format>(warp.first_of_block) / kLine;
    const int32_t end = bytes_before<Format>(warp.end);
    for (int32_t line = first + warp.first - warp.first_of_block;
         line <= first + kSplitAhead / kLine && line * kLine < end; line += warp.step) {
        prefetch_l2(warp.weights + line * kLine);
    }
}
// Each line behind those is asked for once: by the warp whose span, so far ahead, reaches it.
template <class Format>
__device__ inline void prefetch_ahead(const SplitWarp& warp, int32_t s) {
    const int32_t line = (bytes_before<Format>(s + 1) + kSplitAhead) / kLine * kLine;
    if (line <= bytes_before<Format>(s) + kSplitAhead) return;
    if (line < bytes_before<Format>(warp.end)) prefetch_l2(warp.weights + line);
}

// Always reads, if need be a span that is not used: what a branch has read would be waited for at its end.
template <class Format>
__device__ inline Span unpack_span(const SplitWarp& warp, int32_t s) {
    constexpr int kSpans = Format::kLength / kSpan;
    s = min(s, warp.end - 1);
    Span span = {};
    Format::unpack(warp.weights + s / kSpans * Format::kBytes, s % kSpans, span);
    return span;
}

// ---- Products -----------------------------------------------------------------------------------

template <int kTiles>
__device__ inline void load_rows(const uint4* from, uint4* b) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) b[n] = from[n * kWarp];
}

// Adds the products of the warp's outputs with all rows over a span.
template <class Format, int kTiles>
__device__ inline void add_span(const WeightSpans& spans, const uint4* b,
                                float (*sums)[kTiles][4]) {
    const int g = lane_of_thread() / 4;
#pragma unroll
    for (int half = 0; half < kSplitHalves; ++half) {
        uint32_t a[2][4];
        take_operands<Format>(spans, 16 * half + g, a);
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
            const uint32_t words[4] = {b[n].x, b[n].y, b[n].z, b[n].w};
            mma_bfloat16(sums[half][n], a[0], words);
            mma_bfloat16(sums[half][n], a[1], words + 2);
        }
    }
}

template <class Format, int kTiles>
__device__ inline void multiply_share(const LinearJob& job, const SplitWarp& warp,
                                      WeightSpans& memory, float (*sums)[kTiles][4]) {
    const int32_t span_pieces = (job.n_rows + kFragmentRows - 1) / kFragmentRows * 2 * kWarp;
    const uint4* rows = job.fragments + int64_t{warp.first} * span_pieces + lane_of_thread();
    prefetch_first<Format>(warp);
    Span span = unpack_span<Format>(warp, warp.first);
    wait_for_last_kernel();
    uint4 b[2][kTiles];  // of a step, and on their way for the next
    load_rows<kTiles>(rows, b[0]);
#pragma unroll 1
    for (int32_t first = warp.first; first < warp.end; first += 2 * warp.step) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int32_t s = first + i * warp.step;
            if (s >= warp.end) break;
            put_span<Format>(span, memory);
            __syncwarp();
            span = unpack_span<Format>(warp, s + warp.step);
            prefetch_ahead<Format>(warp, s);
            rows += warp.step * span_pieces;
            if (s + warp.step < warp.end) load_rows<kTiles>(rows, b[1 - i]);
            add_span<Format, kTiles>(memory, b[i], sums);
            __syncwarp();
        }
    }
}

// ---- Sums ---------------------------------------------------------------------------------------

// sums[n][i] of mma.cuh: outputs g and g + 8, rows 8 n + 2 t and the next.
template <int kTiles>
__device__ inline void put_split_sums(const float (*sums)[4], float* memory) {
    const int g = lane_of_thread() / 4;
    const int t = lane_of_thread() % 4;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            memory[(8 * n + 2 * t + i % 2) * kSumStride + g + i / 2 * 8] = sums[n][i];
        }
    }
}

// Where sums of a half are: those over the columns of the block, in shared memory. load() adds up those of
// an output and of rows `row`, row + step, ... of which there are n_rows.
template <int kTiles>
struct BlockSums {
    const SplitMemory<kTiles>& memory;
    int n_groups;
    int n_rows;

    __device__ void load(int output, int row, int step, float* sums) const {
#pragma unroll
        for (int i = 0; i < kTiles; ++i) sums[i] = 0.0f;
        for (int warp = output / 16; warp < kSplitWarps; warp += n_groups) {
#pragma unroll
            for (int i = 0; i < kTiles; ++i) {
                const int at = row + i * step;
                if (at < n_rows) sums[i] += memory.sums[warp][at * kSumStride + output % 16];
            }
        }
    }
};
// And those that all blocks of the outputs have left.
template <int kTiles>
struct LeftSums {
    const float* parts;
    int64_t next;  // from a block to the next
    int n_splits;
    int n_outputs;
    int n_rows;

    __device__ void load(int output, int row, int step, float* sums) const {
#pragma unroll
        for (int i = 0; i < kTiles; ++i) sums[i] = 0.0f;
#pragma unroll 4  // reads that do not wait for each other
        for (int split = 0; split < n_splits; ++split) {
            const float* part = parts + split * next + output;
#pragma unroll
            for (int i = 0; i < kTiles; ++i) {
                const int at = row + i * step;
                if (at < n_rows) sums[i] += __ldcg(part + at * n_outputs);
            }
        }
    }
};

// Some rows of an output; with kGateUp of the gate, whose up is 8 further.
template <int kTiles, class Sums>
__device__ inline void finish_some(const LinearJob& job, const OutputPlace& place,
                                   const Sums& memory, int output, int row, int step) {
    float sums[kTiles];
    float others[kTiles] = {};  // ups, or what is there so far
    if (job.epilogue == Epilogue::kGateUp) {
        memory.load(output + 8, row, step, others);
    } else if (job.epilogue == Epilogue::kResidual) {
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
            if (row + i * step < job.n_rows) others[i] = *place_in_y(job, place, row + i * step);
        }
    }
    memory.load(output, row, step, sums);
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
        const int at = row + i * step;
        if (at >= job.n_rows) return;
        if (job.epilogue == Epilogue::kGateUp) {
            finish_gate_up(job, place.row, at, sums[i], others[i]);
        } else {
            finish(job, place, at, sums[i], others[i]);
        }
    }
}

template <int kTiles, class Sums>
__device__ inline void finish_half(const SplitJob& split, int half, const Sums& memory) {
    const LinearJob& job = split.job;
    const auto thread = static_cast<int>(threadIdx.x);
    const bool is_pair = job.epilogue == Epilogue::kGateUp;
    const int n_outputs = 16 * split.n_groups;
    const int n_lanes = is_pair ? n_outputs / 2 : n_outputs;  // of a row
    const int lane = thread % n_lanes;
    const int output = is_pair ? lane / 8 * 16 + lane % 8 : lane;
    const int64_t first = (int64_t{blockIdx.x} * kSplitHalves + half) * n_outputs;
    const OutputPlace place = place_in_pairs(job, first + output);
    if (!is_in_part(job, place)) return;
    const int step = kSplitThreads / n_lanes;
#pragma unroll 1
    for (int row = thread / n_lanes; row < job.n_rows; row += kTiles * step) {
        finish_some<kTiles>(job, place, memory, output, row, step);
    }
}

// Where a block leaves its sums of a half.
template <int kTiles>
__device__ inline float* parts_of(const SplitJob& split, int index, int half) {
    const int64_t block = int64_t{blockIdx.x} * split.n_splits + index;
    return split.parts + (block * kSplitHalves + half) * (8 * kTiles * 16 * split.n_groups);
}
template <int kTiles>
__device__ inline void leave_half(const SplitJob& split, int half,
                                  const BlockSums<kTiles>& memory) {
    const auto thread = static_cast<int>(threadIdx.x);
    const int n_outputs = 16 * split.n_groups;
    const int output = thread % n_outputs;
    const int step = kSplitThreads / n_outputs;
    float* part = parts_of<kTiles>(split, static_cast<int>(blockIdx.y), half) + output;
#pragma unroll 1
    for (int row = thread / n_outputs; row < memory.n_rows; row += kTiles * step) {
        float sums[kTiles];
        memory.load(output, row, step, sums);
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
            const int at = row + i * step;
            if (at < memory.n_rows) part[at * n_outputs] = sums[i];
        }
    }
}

template <int kTiles>
__device__ inline void join_blocks(const SplitJob& split) {
    __shared__ bool is_last;
    if (!comes_last(split.arrivals + blockIdx.x, split.n_splits, is_last)) return;
    const int n_outputs = 16 * split.n_groups;
#pragma unroll 1
    for (int half = 0; half < kSplitHalves; ++half) {
        finish_half<kTiles>(split, half,
                            LeftSums<kTiles>{parts_of<kTiles>(split, 0, half),
                                             int64_t{kSplitHalves} * 8 * kTiles * n_outputs,
                                             split.n_splits, n_outputs, split.job.n_rows});
    }
}

// Grid: [blocks of outputs][n_splits]. job.fragments is the input as right operands, of 8 kTiles rows.
template <class Format, int kTiles>
__global__ void __launch_bounds__(kSplitThreads, kTiles < 8 ? 2 : 1)
    linear_split(const SplitJob split) {
    __shared__ SplitMemory<kTiles> memory;
    float sums[kSplitHalves][kTiles][4] = {};
    multiply_share<Format, kTiles>(split.job, share_of_warp(split), memory.spans[warp_of_thread()],
                                   sums);
    const BlockSums<kTiles> own = {memory, split.n_groups, split.job.n_rows};
    float* put_to = memory.sums[warp_of_thread()];
#pragma unroll 1  // the second half finds its instructions in the cache
    for (int half = 0; half < kSplitHalves; ++half) {
        __syncthreads();  // all are done with what the sums lie over
        if (half == 0) {  // by numbers that are known, so that sums stay in registers
            put_split_sums<kTiles>(sums[0], put_to);
        } else {
            put_split_sums<kTiles>(sums[1], put_to);
        }
        __syncthreads();
        if (split.n_splits == 1) {
            finish_half<kTiles>(split, half, own);
        } else {
            leave_half<kTiles>(split, half, own);
        }
    }
    if (split.n_splits > 1) join_blocks<kTiles>(split);
}

// ---- Launches -----------------------------------------------------------------------------------

// How blocks share a product, and the clocks that it takes.
struct SplitShape {
    float cost;
    int32_t n_groups;
    int32_t n_steps;
    int32_t n_splits;
};

// Of an H100. In a step a block unpacks 8 Ki weights, by the count of its instructions, and multiplies them
// with tiles of eight rows, which other units do meanwhile. Rows come out of the L2 cache, at the rates of
// linear_bf16.cu.
constexpr float kUnpackClocks = 450.0f;
constexpr float kTileClocks = 50.0f;
constexpr float kBytesAClock = 25.0f;  // for each multiprocessor
constexpr float kOwnBytesAClock = 64.0f;
// Parts are written, counted and read one after the other, and each is a way to the L2 cache.
constexpr float kJoinClocks = 2500.0f;

// Takes a shape if it is better than the one so far.
inline void consider_split(int64_t outputs, int64_t columns, int64_t n_tiles, int32_t n_groups,
                           int32_t n_splits, const LinearOptions& options, const InputForms& forms,
                           SplitShape& shape) {
    const int64_t step = int64_t{kSplitWarps / n_groups} * kSpan;
    const int64_t n_steps = (columns + step * n_splits - 1) / (step * n_splits);
    const int64_t n_outputs = int64_t{kSplitHalves} * 16 * n_groups;
    const int64_t n_blocks = (outputs + n_outputs - 1) / n_outputs;
    const int64_t part_bytes = n_outputs * 8 * n_tiles * 4;
    const int64_t n_rounds =
        (n_blocks * n_splits + options.n_processors - 1) / options.n_processors;
    const auto steps = static_cast<float>(n_rounds * n_steps);
    const auto bytes = static_cast<float>(step * 2 * 8 * n_tiles);
    const auto used = static_cast<float>(n_blocks * n_splits) / static_cast<float>(n_rounds);
    const float share = used / static_cast<float>(options.n_processors);
    float cost = 0.0f;
    for (const float clocks : {kUnpackClocks, kTileClocks * static_cast<float>(n_tiles),
                               bytes / kOwnBytesAClock, bytes * share / kBytesAClock}) {
        if (steps * clocks > cost) cost = steps * clocks;
    }
    if (n_splits > 1) {
        const bool fits = n_blocks * n_splits * part_bytes <= forms.parts_bytes &&
                          n_blocks <= forms.n_arrivals && (n_splits - 1) * n_steps * step < columns;
        if (!fits) return;
        cost += kJoinClocks + static_cast<float>((n_splits + 1) * part_bytes) / kOwnBytesAClock;
    }
    if (shape.n_groups == 0 || cost < shape.cost) {
        shape = {cost, n_groups, static_cast<int32_t>(n_steps), n_splits};
    }
}

template <class Format, int kTiles>
cudaError_t launch_split(const LinearJob& job, const LinearOptions& options,
                         const InputForms& forms, cudaStream_t stream) {
    const bool is_pair = job.epilogue == Epilogue::kGateUp;
    const int64_t outputs = is_pair ? (job.outputs + 7) / 8 * 16 : job.outputs;
    SplitShape shape = {};
    for (const int32_t n_groups : {1, 2, 4}) {
        for (int32_t n_splits = 1; n_splits <= 8; ++n_splits) {
            consider_split(outputs, job.columns, kTiles, n_groups, n_splits, options, forms, shape);
        }
    }
    const int64_t n_outputs = int64_t{16 * kSplitHalves} * shape.n_groups;
    return launch_next(
        options.traits.overlaps, linear_split<Format, kTiles>,
        dim3(static_cast<unsigned>((outputs + n_outputs - 1) / n_outputs),
             static_cast<unsigned>(shape.n_splits)),
        dim3(kSplitThreads), 0, stream,
        {job, shape.n_groups, shape.n_steps, shape.n_splits, forms.parts, forms.arrivals});
}

template <class Format>
cudaError_t multiply_split(const LinearJob& job, const LinearOptions& options,
                           const InputForms& forms, cudaStream_t stream) {
    if (job.n_rows <= 16) return launch_split<Format, 2>(job, options, forms, stream);
    if (job.n_rows <= 32) return launch_split<Format, 4>(job, options, forms, stream);
    return launch_split<Format, 8>(job, options, forms, stream);
}

}  // namespace puna::cuda
