// The weights of a token pass on their way into shared memory. Each warp has a ring of its own, into which it
// asks for what it will multiply, in that order, as far ahead as there is room: across tasks, products and the
// barriers between them. So memory is busy while blocks wait for each other.
//
// An entry is a chunk of columns of the rows of one task. Entries lie one after the other; one that does not
// fit before the end of the ring begins at its start.
#pragma once

#include "cuda/bulk_copy.cuh"
#include "cuda/launch.h"
#include "cuda/linear_few.cuh"
#include "cuda/token_pass.h"

namespace puna::cuda {

constexpr int kFeedEntries = 8;  // of a warp, on their way at most
// Phases that a block has at hand: the present one, and those whose weights it may ask for.
constexpr int kTokenPhases = 8;
// The copy engine copies multiples of it, from multiples to multiples.
constexpr uint32_t kCopyBytes = 16;

// Offsets here and below are those in the dynamic shared memory, which begins with FeedMemory.
struct alignas(16) FeedEntry {
    uint64_t barrier;
    // Where the chunk of each row begins; before it, to a multiple of 16, are bytes of others.
    uint32_t rows[2];
};

// What a warp knows of its ring, the same in all lanes. Entries are counted by their bytes in WarpFeed.
struct alignas(16) FeedPlan {
    uint64_t from;       // address of the next chunk of the task's first row
    uint64_t to_second;  // from there to that of the second
    uint32_t asked_at;   // behind the last entry that was asked for
    uint32_t n_asked;
    uint32_t n_taken;
    int32_t chunks_left;  // of the task
    int32_t phase;
    int32_t next_task;  // below 0: the first one of the phase
    uint32_t ring_begin;
    uint32_t ring_end;
};

struct WarpFeed {
    FeedEntry entries[kFeedEntries];
    FeedPlan plan;      // as it is between phases
    int32_t end_phase;  // of those at hand
};
struct FeedMemory {
    TokenPhase phases[kTokenPhases];  // phase p is at p % kTokenPhases
    WarpFeed warps[kFewWarps];
};

__device__ inline FeedMemory& feed_memory() {
    return *static_cast<FeedMemory*>(dynamic_shared());
}
__device__ inline TokenPhase& token_phase(int32_t phase) {
    return feed_memory().phases[static_cast<uint32_t>(phase) % kTokenPhases];
}
__device__ inline WarpFeed& feed_of_warp() {
    return feed_memory().warps[warp_of_thread()];
}
constexpr uint32_t kEntryBytes = sizeof(FeedEntry);
constexpr uint32_t kEntriesBytes = kFeedEntries * kEntryBytes;
__device__ inline FeedEntry& feed_entry(WarpFeed& feed, uint32_t n) {
    auto* entries = reinterpret_cast<uint8_t*>(feed.entries);
    return *reinterpret_cast<FeedEntry*>(entries + n % kEntriesBytes);
}

// Tasks go round the warps of the grid, from block to block first: all multiprocessors have as many.
__device__ inline int32_t n_grid_warps() {
    return static_cast<int32_t>(gridDim.x) * kFewWarps;
}
__device__ inline int32_t first_task(const TokenPhase& phase) {
    const int32_t warp = warp_of_thread() * static_cast<int32_t>(gridDim.x) +
                         static_cast<int32_t>(blockIdx.x) - phase.first_warp;
    return warp < 0 ? warp + n_grid_warps() : warp;
}

__device__ inline int part_of_output(const TokenPhase& phase, int32_t output) {
    return (output >= phase.part_ends[0] ? 1 : 0) + (output >= phase.part_ends[1] ? 1 : 0);
}

// ---- What is asked for --------------------------------------------------------------------------

__device__ inline uint64_t address_of_row(const TokenPhase& phase, int part, int32_t output) {
    return phase.rows[part] + uint64_t{static_cast<uint32_t>(output)} * phase.row_bytes;
}
__device__ inline void plan_task(const TokenPhase& phase, int32_t task, FeedPlan& plan) {
    plan.next_task = task + n_grid_warps();
    plan.chunks_left = phase.n_chunks;
    if (phase.is_gate_up != 0) {
        plan.from = address_of_row(phase, 0, task);
        plan.to_second = address_of_row(phase, 1, task) - plan.from;
        return;
    }
    const bool is_pair = phase.chunks.n_rows == 2;
    const int32_t output = is_pair ? 2 * task : task;
    plan.from = address_of_row(phase, part_of_output(phase, output), output);
    if (!is_pair) return;
    // The last pair may have one output: its weights come twice, and all entries of a phase take as much room.
    const int32_t second = min(output + 1, phase.n_outputs - 1);
    plan.to_second = address_of_row(phase, part_of_output(phase, second), second) - plan.from;
}

// The next task of the warp in the phases at hand. Phases without weights have no tasks.
__device__ inline bool find_task(const WarpFeed& feed, FeedPlan& plan) {
    while (plan.phase < feed.end_phase) {
        const TokenPhase& phase = token_phase(plan.phase);
        const int32_t task = plan.next_task < 0 ? first_task(phase) : plan.next_task;
        if (task < phase.n_tasks) {
            plan_task(phase, task, plan);
            return true;
        }
        ++plan.phase;
        plan.next_task = -1;
    }
    return false;
}

// Whether there is room for an entry of so many bytes, and where.
__device__ inline bool place_entry(const FeedPlan& plan, WarpFeed& feed, uint32_t n_bytes,
                                   uint32_t* place) {
    const uint32_t n_there = plan.n_asked - plan.n_taken;
    const uint32_t oldest = feed_entry(feed, plan.n_taken).rows[0] / kCopyBytes * kCopyBytes;
    const uint32_t at = plan.asked_at;
    // Entries lie from the oldest one to the end of the ring and again from its start, or all side by side.
    const bool is_parted = n_there != 0 && at <= oldest;
    const bool wraps = !is_parted && at + n_bytes > plan.ring_end;
    const bool ends_at_oldest = is_parted || (wraps && n_there != 0);
    *place = wraps ? plan.ring_begin : at;
    return *place + n_bytes <= (ends_at_oldest ? oldest : plan.ring_end) &&
           n_there != kEntriesBytes;
}

// A chunk of a row as it is copied, with what is around it in its first and last 16 bytes.
struct ChunkCopy {
    uint64_t begin;
    uint32_t before;  // bytes of others
    uint32_t size;
};
__device__ inline ChunkCopy copy_of_chunk(uint64_t from, uint32_t n_bytes) {
    const uint32_t before = static_cast<uint32_t>(from) % kCopyBytes;
    return {from & ~uint64_t{kCopyBytes - 1}, before,
            (before + n_bytes + kCopyBytes - 1) / kCopyBytes * kCopyBytes};
}
__device__ inline void start_copy(const ChunkCopy& chunk, uint32_t at, FeedEntry& entry) {
    copy_bulk(static_cast<uint8_t*>(dynamic_shared()) + at,
              reinterpret_cast<const void*>(chunk.begin), chunk.size, &entry.barrier);
}

// Asks for the next chunk of the task's rows, whose place is at `at`, by one lane.
__device__ inline void request(const TokenChunks& chunks, const FeedPlan& plan, uint32_t at,
                               FeedEntry& entry) {
    const uint32_t n_bytes = plan.chunks_left > 1 ? chunks.n_bytes : chunks.last_bytes;
    const ChunkCopy first = copy_of_chunk(plan.from, n_bytes);
    entry.rows[0] = at + first.before;
    if (chunks.n_rows == 1) {
        expect_bytes(&entry.barrier, first.size);
        start_copy(first, at, entry);
        return;
    }
    const ChunkCopy second = copy_of_chunk(plan.from + plan.to_second, n_bytes);
    const uint32_t second_at = at + chunks.room / 2;
    entry.rows[1] = second_at + second.before;
    expect_bytes(&entry.barrier, first.size + second.size);
    start_copy(first, at, entry);
    start_copy(second, second_at, entry);
}

// As much as there is room for. Of phase `present` one entry alone: it is as large as the one that was given back.
// All lanes of a warp come.
__device__ inline void ask_for_weights(int32_t present, FeedPlan& plan) {
    WarpFeed& feed = feed_of_warp();
    while (plan.chunks_left > 0 || find_task(feed, plan)) {
        const TokenChunks chunks = token_phase(plan.phase).chunks;
        uint32_t at = 0;
        if (!place_entry(plan, feed, chunks.room, &at)) break;
        if (lane_of_thread() == 0) {
            request(chunks, plan, at, feed_entry(feed, plan.n_asked));
        }
        plan.asked_at = at + chunks.room;
        plan.n_asked += kEntryBytes;
        --plan.chunks_left;
        plan.from += chunks.n_bytes;
        if (plan.phase == present) break;
        __syncwarp();  // all lanes look where the oldest entry is
    }
}

// ---- What is taken ------------------------------------------------------------------------------

// The next entry: waits until it is there. All lanes of a warp come.
__device__ inline void take_weights(const FeedPlan& plan, SharedBytes* weights) {
    FeedEntry& entry = feed_entry(feed_of_warp(), plan.n_taken);
    wait_bulk(&entry.barrier, plan.n_taken / kEntriesBytes % 2);
    const auto* shared = static_cast<const uint8_t*>(dynamic_shared());
    weights[0].at = shared + entry.rows[0];
    weights[1].at = shared + entry.rows[1];
}

// Gives it back, and asks for more in its place; `present`: the phase of it.
__device__ inline void release_weights(int32_t present, FeedPlan& plan) {
    __syncwarp();  // all lanes have read it
    plan.n_taken += kEntryBytes;
    ask_for_weights(present, plan);
}

// Until the next phase. All lanes of a warp come.
__device__ inline void keep_plan(const FeedPlan& plan) {
    if (lane_of_thread() == 0) feed_of_warp().plan = plan;
    __syncwarp();
}

}  // namespace puna::cuda
