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

struct FeedMemory {
    TokenPhase phases[kTokenPhases];  // phase p is at p % kTokenPhases
    uint64_t barriers[kFewWarps][kFeedEntries];
};

// What a warp knows of its ring; the same in all lanes.
struct WeightFeed {
    uint32_t ring;  // where it is in the dynamic shared memory, which begins with FeedMemory
    uint32_t ring_bytes;
    int32_t end_phase;  // of those at hand
    // The entry that is to be asked for next.
    int32_t phase;
    int64_t task;  // below 0: the first one of the phase
    int32_t chunk;
    uint32_t asked_at;  // offsets in the ring: behind the last entry that was asked for, and taken
    uint32_t taken_at;
    uint32_t used;  // bytes
    uint32_t n_asked;
    uint32_t n_taken;
};

__device__ inline FeedMemory& feed_memory() {
    return *static_cast<FeedMemory*>(dynamic_shared());
}
__device__ inline const TokenPhase& token_phase(int32_t phase) {
    return feed_memory().phases[phase % kTokenPhases];
}

// Tasks go round the warps of the grid, from block to block first: all multiprocessors have as many.
__device__ inline int64_t n_grid_warps() {
    return int64_t{gridDim.x} * kFewWarps;
}
__device__ inline int64_t first_task(const TokenPhase& phase) {
    const int64_t warp = int64_t{warp_of_thread()} * gridDim.x + blockIdx.x - phase.first_warp;
    return warp < 0 ? warp + n_grid_warps() : warp;
}
__device__ inline OutputPair outputs_of_task(const TokenPhase& phase, int64_t task) {
    if (phase.outputs_each == 2) return pair_at(phase.job, task);
    OutputPair pair = {};
    pair.places[0] = pair.places[1] = place_of(phase.job, task);
    pair.weights[0] = pair.weights[1] = weights_of(phase.job, pair.places[0]);
    return pair;
}
__device__ inline int rows_of_pair(const TokenPhase& phase, const OutputPair& pair) {
    return phase.outputs_each == 2 && pair.has_second ? 2 : 1;
}

// Where an entry of so many bytes is, behind what ends at `end`.
struct RingPlace {
    uint32_t offset;
    uint32_t used;  // with what is left free before it
};
__device__ inline RingPlace place_in_ring(const WeightFeed& feed, uint32_t end, uint32_t n_bytes) {
    if (end + n_bytes <= feed.ring_bytes) return {end, n_bytes};
    return {0, feed.ring_bytes - end + n_bytes};
}
__device__ inline uint32_t room_of_chunk(const TokenPhase& phase, int32_t chunk) {
    const int32_t room = chunk + 1 < phase.n_chunks ? phase.chunk_room : phase.last_chunk_room;
    return static_cast<uint32_t>(room);
}

// A chunk of a row of weights as it is copied: in pieces of 16 bytes, with what is around it in the first
// and the last of them.
struct ChunkBytes {
    const uint8_t* begin;
    uint32_t before;  // bytes of others
    uint32_t size;
};
__device__ inline ChunkBytes chunk_bytes(const TokenPhase& phase, const uint8_t* row,
                                         int64_t row_bytes, int32_t chunk) {
    const uint8_t* from = row + int64_t{chunk} * phase.chunk_bytes;
    const int64_t left = row_bytes - int64_t{chunk} * phase.chunk_bytes;
    const auto size = static_cast<uint32_t>(left < phase.chunk_bytes ? left : phase.chunk_bytes);
    const auto before = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(from) % 16);
    return {from - before, before, (before + size + 15) / 16 * 16};
}

// Asks for the chunk of a task's rows, by one lane.
__device__ inline void request(const TokenPhase& phase, const OutputPair& pair, int32_t chunk,
                               uint8_t* to, uint64_t* barrier) {
    const int64_t row_bytes = phase.job.parts[pair.places[0].part].row_bytes;
    const ChunkBytes first = chunk_bytes(phase, pair.weights[0], row_bytes, chunk);
    const bool has_second = rows_of_pair(phase, pair) == 2;
    const ChunkBytes second = chunk_bytes(phase, pair.weights[1], row_bytes, chunk);
    expect_bytes(barrier, first.size + (has_second ? second.size : 0));
    copy_bulk(to, first.begin, first.size, barrier);
    if (has_second) copy_bulk(to + room_of_chunk(phase, chunk), second.begin, second.size, barrier);
}

// As much as there is room for. All lanes of a warp come.
__device__ inline void ask_for_weights(WeightFeed& feed) {
    auto* shared = static_cast<uint8_t*>(dynamic_shared());
    // Nothing is on its way: any entry fits again.
    if (feed.n_asked == feed.n_taken) feed.asked_at = feed.taken_at = 0;
    while (feed.phase < feed.end_phase && feed.n_asked - feed.n_taken < kFeedEntries) {
        const TokenPhase& phase = token_phase(feed.phase);
        if (feed.task < 0) feed.task = first_task(phase);
        if (phase.kind != TokenPhaseKind::kProduct || feed.task >= phase.n_tasks) {
            ++feed.phase;
            feed.task = -1;
            continue;
        }
        const OutputPair pair = outputs_of_task(phase, feed.task);
        const uint32_t n_bytes =
            room_of_chunk(phase, feed.chunk) * static_cast<uint32_t>(rows_of_pair(phase, pair));
        const RingPlace place = place_in_ring(feed, feed.asked_at, n_bytes);
        if (feed.used + place.used > feed.ring_bytes) return;
        if (lane_of_thread() == 0) {
            request(phase, pair, feed.chunk, shared + feed.ring + place.offset,
                    &feed_memory().barriers[warp_of_thread()][feed.n_asked % kFeedEntries]);
        }
        feed.used += place.used;
        feed.asked_at = place.offset + n_bytes;
        ++feed.n_asked;
        if (++feed.chunk < phase.n_chunks) continue;
        feed.chunk = 0;
        feed.task += n_grid_warps();
    }
}

// The next entry, which must be that of the chunk: waits until it is there.
__device__ inline RingPlace take_weights(const WeightFeed& feed, const TokenPhase& phase,
                                         const OutputPair& pair, int32_t chunk,
                                         SharedBytes* weights) {
    const uint32_t room = room_of_chunk(phase, chunk);
    const auto n_rows = static_cast<uint32_t>(rows_of_pair(phase, pair));
    const RingPlace place = place_in_ring(feed, feed.taken_at, n_rows * room);
    wait_bulk(&feed_memory().barriers[warp_of_thread()][feed.n_taken % kFeedEntries],
              feed.n_taken / kFeedEntries % 2);
    const int64_t row_bytes = phase.job.parts[pair.places[0].part].row_bytes;
    const uint8_t* entry = static_cast<const uint8_t*>(dynamic_shared()) + feed.ring + place.offset;
    const uint8_t* second = n_rows == 2 ? entry + room : entry;
    weights[0].at = entry + chunk_bytes(phase, pair.weights[0], row_bytes, chunk).before;
    weights[1].at = second + chunk_bytes(phase, pair.weights[1], row_bytes, chunk).before;
    return place;
}

// Gives back what was taken, and asks for more in its place.
__device__ inline void release_weights(WeightFeed& feed, const TokenPhase& phase,
                                       const OutputPair& pair, int32_t chunk,
                                       const RingPlace& place) {
    __syncwarp();  // all lanes have read it
    feed.used -= place.used;
    feed.taken_at = place.offset +
                    room_of_chunk(phase, chunk) * static_cast<uint32_t>(rows_of_pair(phase, pair));
    ++feed.n_taken;
    ask_for_weights(feed);
}

}  // namespace puna::cuda
