#include "emulated_launch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "emulated_fiber.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace cuda_emulator {

namespace {

constexpr int kWarp = 32;
constexpr int kUnknown = 0xff;                  // bytes that are on their way
constexpr uint32_t kSharedAddress = 1024 + 16;  // of the first byte of dynamic shared memory

enum class Order { kThreadByThread, kFirstWarpFirst, kLastWarpFirst };
constexpr int kOrders = 3;

enum class State { kReady, kWatching, kAtBarrier, kInWarp, kDone };

struct Copy {
    void* to;
    const void* from;
    size_t size = 16;
};

// What a bulk barrier in shared memory stands for.
struct BulkBarrier {
    unsigned n_arrivals = 1;  // of a round
    unsigned n_arrived = 0;
    size_t n_expected = 0;  // bytes
    unsigned n_done = 0;    // rounds
    std::vector<Copy> copies;
};

struct Thread {
    Fiber fiber;
    State state = State::kDone;
    uint3 index = {};
    // What it brings to a barrier or a warp operation, and what it gets back.
    bool condition = false;
    int count = 0;
    uint32_t mask = 0;
    int source = 0;
    uint64_t value = 0;
    uint64_t result = 0;
    uint32_t ballot = 0;
    bool has_waited = false;
    std::vector<Copy> copies;                    // of no group yet
    std::deque<std::vector<Copy>> on_their_way;  // groups
    std::vector<std::function<void()>> products;
    std::deque<std::vector<std::function<void()>>> enqueued;
};

struct Block {
    std::vector<std::unique_ptr<Thread>> threads;  // grows, and is used again
    int n_threads = 0;
    int n_done = 0;
    int n_at_barrier = 0;
    int n_hasty = 0;     // ended without having waited
    int n_careless = 0;  // likewise, for their copies
    int n_crooked = 0;   // copies between addresses that are not multiples of 16
    int n_strays =
        0;  // addresses that are not in shared memory, and arrivals that no barrier waits for
    int current = 0;
    size_t first_of_cluster = 0;  // in `blocks`
    unsigned in_cluster = 0;
    // Of the first block of a cluster, for all.
    int n_at_meeting = 0;
    uint64_t n_meetings = 0;
    uint3 index = {};
    Order order = Order::kThreadByThread;
    const Launch* launch = nullptr;
    std::vector<uint64_t> shared;
    std::map<const void*, BulkBarrier> bulk_barriers;
};

std::mutex running;
std::vector<std::unique_ptr<Block>> blocks;  // grows, and is used again
Block* block = nullptr;                      // that runs
uint64_t n_blocks = 0;                       // that have run
std::string fault;

// The first byte of its dynamic shared memory.
uintptr_t first_shared(const Block& of) {
    return (reinterpret_cast<uintptr_t>(of.shared.data()) + 15) & ~uintptr_t{15};
}

Thread& thread(int index) {
    return *block->threads[static_cast<size_t>(index)];
}

void run_thread(void* argument) {
    auto& self = *static_cast<Thread*>(argument);
    block->launch->thread();
    self.state = State::kDone;
    ++block->n_done;
    if (block->launch->must_wait && !self.has_waited) ++block->n_hasty;
    for (const auto& group : self.on_their_way) block->n_careless += group.empty() ? 0 : 1;
    if (!self.copies.empty()) ++block->n_careless;
    if (!self.products.empty() || !self.enqueued.empty()) ++block->n_careless;
    self.fiber.leave();
}

Block& block_at(size_t i) {
    while (blocks.size() <= i) blocks.push_back(std::make_unique<Block>());
    return *blocks[i];
}

// As that of `blocks` at this place.
void start_block(size_t at_place, const Launch& launch, const uint3& index) {
    block = &block_at(at_place);
    block->index = index;
    block->in_cluster = index.x % launch.cluster;
    block->first_of_cluster = at_place - block->in_cluster;
    block->n_at_meeting = 0;
    block->n_strays = 0;
    block->order = static_cast<Order>(n_blocks++ % kOrders);
    block->launch = &launch;
    block->n_threads = static_cast<int>(launch.block[0] * launch.block[1] * launch.block[2]);
    block->n_done = 0;
    block->n_at_barrier = 0;
    block->n_hasty = 0;
    block->n_careless = 0;
    block->n_crooked = 0;
    while (static_cast<int>(block->threads.size()) < block->n_threads) {
        block->threads.push_back(std::make_unique<Thread>());
    }
    block->bulk_barriers.clear();
    block->shared.assign(launch.shared_bytes / 8 + 2, ~uint64_t{0});
    for (int i = 0; i < block->n_threads; ++i) {
        Thread& t = thread(i);
        const auto at = static_cast<unsigned>(i);
        t.index = {at % launch.block[0], at / launch.block[0] % launch.block[1],
                   at / launch.block[0] / launch.block[1]};
        t.state = State::kReady;
        t.has_waited = false;
        t.copies.clear();
        t.on_their_way.clear();
        t.products.clear();
        t.enqueued.clear();
        t.fiber.prepare(run_thread, &t);
    }
}

// Lets the threads of a barrier go on once all have come. False when some have ended.
bool open_barrier() {
    if (block->n_at_barrier == 0 || block->n_at_barrier + block->n_done < block->n_threads)
        return true;
    if (block->n_done > 0) return false;
    int count = 0;
    for (int i = 0; i < block->n_threads; ++i) count += thread(i).condition;
    for (int i = 0; i < block->n_threads; ++i) {
        thread(i).count = count;
        thread(i).state = State::kReady;
    }
    block->n_at_barrier = 0;
    return true;
}

// Lets a thread run on if it can. False if nothing has changed by that.
bool resume(int index) {
    Thread& t = thread(index);
    const bool has_watched = t.state == State::kWatching;
    if (t.state != State::kReady && !has_watched) return false;
    block->current = index;
    threadIdx = t.index;
    t.state = State::kReady;
    t.fiber.resume();
    return !has_watched || t.state != State::kWatching;
}

// The threads of a warp in turns, until none can go on.
bool run_warp(int warp) {
    const int end = std::min(block->n_threads, (warp + 1) * kWarp);
    bool any = false;
    bool again = true;
    while (again) {
        again = false;
        for (int i = warp * kWarp; i < end; ++i) again |= resume(i);
        any |= again;
    }
    return any;
}

// Each thread once, or each warp as far as it comes, the last one first or the first one: blocks take turns
// in that, so that a barrier that is missing shows in one of them.
bool run_threads(Order order) {
    bool any = false;
    if (order == Order::kThreadByThread) {
        for (int i = 0; i < block->n_threads; ++i) any |= resume(i);
        return any;
    }
    const int n_warps = (block->n_threads + kWarp - 1) / kWarp;
    for (int w = 0; w < n_warps; ++w) {
        any |= run_warp(order == Order::kLastWarpFirst ? n_warps - 1 - w : w);
    }
    return any;
}

// Lets a block run until none of its threads can go on.
enum class Progress { kNone, kSome, kFault };
Progress advance(Block& advanced) {
    block = &advanced;
    blockIdx = block->index;
    Progress progress = Progress::kNone;
    while (block->n_done < block->n_threads && run_threads(block->order)) {
        progress = Progress::kSome;
        if (open_barrier()) continue;
        fault = "a block barrier that some threads will never reach";
        return Progress::kFault;
    }
    return progress;
}

bool ended_well(const Block& ended) {
    if (ended.n_hasty > 0) fault = "a thread that ends without waiting for the kernel before";
    if (ended.n_careless > 0) fault = "a thread that ends without waiting for its copies";
    if (ended.n_crooked > 0) fault = "an asynchronous copy between addresses that are not aligned";
    if (ended.n_strays > 0) fault = "an address beyond shared memory, or an arrival too many";
    for (const auto& [address, barrier] : ended.bulk_barriers) {
        if (barrier.copies.empty()) continue;
        fault = "a block that ends without waiting for its copies";
        return false;
    }
    return ended.n_hasty == 0 && ended.n_careless == 0 && ended.n_crooked == 0 &&
           ended.n_strays == 0;
}

// Blocks that run at the same time, in turns.
bool run_blocks(size_t n) {
    size_t n_ended = 0;
    while (n_ended < n) {
        n_ended = 0;
        bool any = false;
        for (size_t i = 0; i < n; ++i) {
            const Progress progress = advance(*blocks[i]);
            if (progress == Progress::kFault) return false;
            any |= progress == Progress::kSome;
            n_ended += blocks[i]->n_done == blocks[i]->n_threads ? 1u : 0u;
        }
        if (any || n_ended == n) continue;
        fault = "a barrier or warp operation that not all of its threads reach";
        return false;
    }
    for (size_t i = 0; i < n; ++i) {
        if (!ended_well(*blocks[i])) return false;
    }
    return true;
}

void wait() {
    Thread& self = thread(block->current);
    self.fiber.yield();
}

// Gives the lanes of a warp operation their results if all have come.
void complete_warp(uint32_t mask, int first) {
    uint32_t ballot = 0;
    // From the last lane down: lanes come in order, so that the first look mostly says that some miss.
    for (int l = kWarp - 1; l >= 0; --l) {
        if ((mask >> l & 1) == 0) continue;
        if (first + l >= block->n_threads) return;
        const Thread& t = thread(first + l);
        if (t.state != State::kInWarp || t.mask != mask) return;
        if (t.value != 0) ballot |= 1u << l;
    }
    for (int l = 0; l < kWarp; ++l) {
        if ((mask >> l & 1) == 0) continue;
        Thread& t = thread(first + l);
        const bool is_there = t.source >= 0 && t.source < kWarp && (mask >> t.source & 1) != 0;
        t.result = is_there ? thread(first + t.source).value : ~uint64_t{0};
        t.ballot = ballot;
        t.state = State::kReady;
    }
}

}  // namespace

bool run(const Launch& launch) {
    const std::lock_guard<std::mutex> lock(running);
    gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    blockDim = {launch.block[0], launch.block[1], launch.block[2]};
    size_t n_started = 0;
    for (unsigned z = 0; z < launch.grid[2]; ++z) {
        for (unsigned y = 0; y < launch.grid[1]; ++y) {
            for (unsigned x = 0; x < launch.grid[0]; ++x) {
                start_block(n_started++, launch, {x, y, z});
                if (launch.is_cooperative || n_started < launch.cluster) continue;
                if (!run_blocks(n_started)) return false;
                n_started = 0;
            }
        }
    }
    return run_blocks(n_started);
}

const char* last_fault() {
    return fault.c_str();
}

void* dynamic_shared() {
    return reinterpret_cast<void*>(first_shared(*block));
}

void wait_for_last_kernel() {
    thread(block->current).has_waited = true;
}

void copy_async(void* to, const void* from) {
    const auto bits = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    if (bits % 16 != 0) ++block->n_crooked;
    std::memset(to, kUnknown, 16);
    thread(block->current).copies.push_back({to, from});
}

void commit_copies() {
    Thread& self = thread(block->current);
    self.on_their_way.push_back(std::move(self.copies));
    self.copies.clear();
}

void wait_copies(size_t n_left) {
    auto& groups = thread(block->current).on_their_way;
    for (; groups.size() > n_left; groups.pop_front()) {
        for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, copy.size);
    }
}

namespace {

// The same place in another block of the cluster.
uintptr_t address_in(const void* memory, const Block& other) {
    return reinterpret_cast<uintptr_t>(memory) - first_shared(*block) + first_shared(other);
}
Block& cluster_block(unsigned i) {
    return *blocks[block->first_of_cluster + i];
}

// Ends the round if nothing is missing.
bool end_round(BulkBarrier& bulk) {
    size_t n_bytes = 0;
    for (const Copy& copy : bulk.copies) n_bytes += copy.size;
    if (bulk.n_arrived < bulk.n_arrivals || n_bytes != bulk.n_expected) return false;
    for (const Copy& copy : bulk.copies) std::memcpy(copy.to, copy.from, copy.size);
    bulk.copies.clear();
    bulk.n_arrived = 0;
    bulk.n_expected = 0;
    ++bulk.n_done;
    return true;
}

}  // namespace

void init_bulk(const void* barrier, unsigned n_arrivals) {
    block->bulk_barriers[barrier] = {};
    block->bulk_barriers[barrier].n_arrivals = n_arrivals;
}

void arrive_bulk(const void* barrier, unsigned block_in_cluster) {
    if (block_in_cluster >= block->launch->cluster) {
        ++block->n_strays;
        return;
    }
    Block& other = cluster_block(block_in_cluster);
    BulkBarrier& bulk =
        other.bulk_barriers[reinterpret_cast<const void*>(address_in(barrier, other))];
    if (++bulk.n_arrived > bulk.n_arrivals) ++block->n_strays;
    if (bulk.copies.empty()) end_round(bulk);
}

void expect_bulk(const void* barrier, size_t n_bytes) {
    BulkBarrier& bulk = block->bulk_barriers[barrier];
    bulk.n_expected += n_bytes;
    if (++bulk.n_arrived > bulk.n_arrivals) ++block->n_strays;
}

void copy_bulk(void* to, const void* from, size_t n_bytes, const void* barrier,
               unsigned blocks_of_cluster) {
    const auto bits = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from) | n_bytes;
    if (bits % 16 != 0) ++block->n_crooked;
    const unsigned chosen = blocks_of_cluster == 0 ? 1u << block->in_cluster : blocks_of_cluster;
    if (chosen >> block->launch->cluster != 0) ++block->n_strays;
    for (unsigned i = 0; i < block->launch->cluster; ++i) {
        if ((chosen >> i & 1) == 0) continue;
        Block& other = cluster_block(i);
        auto* there = reinterpret_cast<void*>(address_in(to, other));
        std::memset(there, kUnknown, n_bytes);
        other.bulk_barriers[reinterpret_cast<const void*>(address_in(barrier, other))]
            .copies.push_back({there, from, n_bytes});
    }
}

void wait_bulk(const void* barrier, unsigned parity) {
    BulkBarrier& bulk = block->bulk_barriers[barrier];
    while (bulk.n_done % 2 == parity) {
        if (!end_round(bulk)) watch();
    }
}

unsigned block_in_cluster() {
    return block->in_cluster;
}

void meet_cluster() {
    const unsigned n_blocks_here = block->launch->cluster;
    Block& first = cluster_block(0);
    const uint64_t meeting = first.n_meetings;
    if (++first.n_at_meeting == static_cast<int>(n_blocks_here) * block->n_threads) {
        first.n_at_meeting = 0;
        ++first.n_meetings;
    }
    while (first.n_meetings == meeting) watch();
}

uint32_t shared_address(const void* memory) {
    const uintptr_t offset = reinterpret_cast<uintptr_t>(memory) - first_shared(*block);
    if (offset >= block->launch->shared_bytes) ++block->n_strays;
    return kSharedAddress + static_cast<uint32_t>(offset);
}

const void* shared_memory_at(uint64_t address) {
    const uint64_t offset = address - kSharedAddress;
    const bool is_there = address >= kSharedAddress && offset < block->launch->shared_bytes;
    if (!is_there) ++block->n_strays;
    return reinterpret_cast<const void*>(first_shared(*block) + (is_there ? offset : 0));
}

void enqueue_product(std::function<void()> product) {
    thread(block->current).products.push_back(std::move(product));
}

void commit_products() {
    Thread& self = thread(block->current);
    self.enqueued.push_back(std::move(self.products));
    self.products.clear();
}

void wait_products(size_t n_left) {
    auto& groups = thread(block->current).enqueued;
    for (; groups.size() > n_left; groups.pop_front()) {
        for (const auto& product : groups.front()) product();
    }
}

void watch() {
    thread(block->current).state = State::kWatching;
    wait();
}

int block_barrier(bool condition) {
    Thread& self = thread(block->current);
    self.condition = condition;
    self.state = State::kAtBarrier;
    ++block->n_at_barrier;
    wait();
    return self.count;
}

Exchange warp_exchange(uint32_t mask, uint64_t value, int source) {
    const int first = block->current / kWarp * kWarp;
    // Lanes beyond the end of the block do not exist; a full mask does not mean them.
    const int n_lanes = block->n_threads - first;
    if (n_lanes < kWarp) mask &= (1u << n_lanes) - 1;
    Thread& self = thread(block->current);
    self.value = value;
    self.source = source;
    self.mask = mask;
    self.state = State::kInWarp;
    if ((mask >> (block->current - first) & 1) != 0) complete_warp(mask, first);
    if (self.state != State::kReady) wait();
    return {self.result, self.ballot};
}

void warp_values(uint32_t mask, uint64_t value, uint64_t (&values)[kWarp]) {
    const int first = block->current / kWarp * kWarp;
    warp_exchange(mask, value, 0);
    for (int l = 0; l < kWarp; ++l) {
        const bool is_there = (mask >> l & 1) != 0 && first + l < block->n_threads;
        values[l] = is_there ? thread(first + l).value : ~uint64_t{0};
    }
    // A second meeting keeps the values where they are until all have read them.
    warp_exchange(mask, value, 0);
}

int lane() {
    return block->current % kWarp;
}

}  // namespace cuda_emulator
