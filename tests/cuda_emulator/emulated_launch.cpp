#include "emulated_launch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
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

enum class Order { kThreadByThread, kFirstWarpFirst, kLastWarpFirst };
constexpr int kOrders = 3;

enum class State { kReady, kAtBarrier, kInWarp, kDone };

struct Copy {
    void* to;
    const void* from;
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
};

struct Block {
    std::vector<std::unique_ptr<Thread>> threads;  // grows, and is used again
    int n_threads = 0;
    int n_done = 0;
    int n_at_barrier = 0;
    int n_hasty = 0;     // ended without having waited
    int n_careless = 0;  // likewise, for their copies
    int n_crooked = 0;   // copies between addresses that are not multiples of 16
    int current = 0;
    const Launch* launch = nullptr;
    std::vector<uint64_t> shared;
};

std::mutex running;
Block block;
uint64_t n_blocks = 0;  // that have run
std::string fault;

Thread& thread(int index) {
    return *block.threads[static_cast<size_t>(index)];
}

void run_thread(void* argument) {
    auto& self = *static_cast<Thread*>(argument);
    block.launch->thread();
    self.state = State::kDone;
    ++block.n_done;
    if (block.launch->must_wait && !self.has_waited) ++block.n_hasty;
    for (const auto& group : self.on_their_way) block.n_careless += group.empty() ? 0 : 1;
    if (!self.copies.empty()) ++block.n_careless;
    self.fiber.leave();
}

void start_block(const Launch& launch) {
    block.launch = &launch;
    block.n_threads = static_cast<int>(launch.block[0] * launch.block[1] * launch.block[2]);
    block.n_done = 0;
    block.n_at_barrier = 0;
    block.n_hasty = 0;
    block.n_careless = 0;
    block.n_crooked = 0;
    while (static_cast<int>(block.threads.size()) < block.n_threads) {
        block.threads.push_back(std::make_unique<Thread>());
    }
    block.shared.assign(launch.shared_bytes / 8 + 2, ~uint64_t{0});
    for (int i = 0; i < block.n_threads; ++i) {
        Thread& t = thread(i);
        const auto index = static_cast<unsigned>(i);
        t.index = {index % launch.block[0], index / launch.block[0] % launch.block[1],
                   index / launch.block[0] / launch.block[1]};
        t.state = State::kReady;
        t.has_waited = false;
        t.copies.clear();
        t.on_their_way.clear();
        t.fiber.prepare(run_thread, &t);
    }
}

// Lets the threads of a barrier go on once all have come. False when some have ended.
bool open_barrier() {
    if (block.n_at_barrier == 0 || block.n_at_barrier + block.n_done < block.n_threads) return true;
    if (block.n_done > 0) return false;
    int count = 0;
    for (int i = 0; i < block.n_threads; ++i) count += thread(i).condition;
    for (int i = 0; i < block.n_threads; ++i) {
        thread(i).count = count;
        thread(i).state = State::kReady;
    }
    block.n_at_barrier = 0;
    return true;
}

// Lets a thread run on if it can.
bool resume(int index) {
    Thread& t = thread(index);
    if (t.state != State::kReady) return false;
    block.current = index;
    threadIdx = t.index;
    t.fiber.resume();
    return true;
}

// The threads of a warp in turns, until none can go on.
bool run_warp(int warp) {
    const int end = std::min(block.n_threads, (warp + 1) * kWarp);
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
        for (int i = 0; i < block.n_threads; ++i) any |= resume(i);
        return any;
    }
    const int n_warps = (block.n_threads + kWarp - 1) / kWarp;
    for (int w = 0; w < n_warps; ++w) {
        any |= run_warp(order == Order::kLastWarpFirst ? n_warps - 1 - w : w);
    }
    return any;
}

bool run_block(Order order) {
    while (block.n_done < block.n_threads) {
        const bool any = run_threads(order);
        if (!open_barrier()) {
            fault = "a block barrier that some threads will never reach";
            return false;
        }
        if (!any) {
            fault = "a barrier or warp operation that not all of its threads reach";
            return false;
        }
    }
    if (block.n_hasty > 0) fault = "a thread that ends without waiting for the kernel before";
    if (block.n_careless > 0) fault = "a thread that ends without waiting for its copies";
    if (block.n_crooked > 0) fault = "an asynchronous copy between addresses that are not aligned";
    return block.n_hasty == 0 && block.n_careless == 0 && block.n_crooked == 0;
}

void wait() {
    Thread& self = thread(block.current);
    self.fiber.yield();
}

// Gives the lanes of a warp operation their results if all have come.
void complete_warp(uint32_t mask, int first) {
    uint32_t ballot = 0;
    // From the last lane down: lanes come in order, so that the first look mostly says that some miss.
    for (int l = kWarp - 1; l >= 0; --l) {
        if ((mask >> l & 1) == 0) continue;
        if (first + l >= block.n_threads) return;
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
    for (unsigned z = 0; z < launch.grid[2]; ++z) {
        for (unsigned y = 0; y < launch.grid[1]; ++y) {
            for (unsigned x = 0; x < launch.grid[0]; ++x) {
                blockIdx = {x, y, z};
                start_block(launch);
                if (!run_block(static_cast<Order>(n_blocks++ % kOrders))) return false;
            }
        }
    }
    return true;
}

const char* last_fault() {
    return fault.c_str();
}

void* dynamic_shared() {
    auto address = reinterpret_cast<uintptr_t>(block.shared.data());
    return reinterpret_cast<void*>((address + 15) & ~uintptr_t{15});
}

void wait_for_last_kernel() {
    thread(block.current).has_waited = true;
}

void copy_async(void* to, const void* from) {
    const auto bits = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
    if (bits % 16 != 0) ++block.n_crooked;
    thread(block.current).copies.push_back({to, from});
}

void commit_copies() {
    Thread& self = thread(block.current);
    self.on_their_way.push_back(std::move(self.copies));
    self.copies.clear();
}

void wait_copies(size_t n_left) {
    auto& groups = thread(block.current).on_their_way;
    for (; groups.size() > n_left; groups.pop_front()) {
        for (const Copy& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
    }
}

int block_barrier(bool condition) {
    Thread& self = thread(block.current);
    self.condition = condition;
    self.state = State::kAtBarrier;
    ++block.n_at_barrier;
    wait();
    return self.count;
}

Exchange warp_exchange(uint32_t mask, uint64_t value, int source) {
    const int first = block.current / kWarp * kWarp;
    // Lanes beyond the end of the block do not exist; a full mask does not mean them.
    const int n_lanes = block.n_threads - first;
    if (n_lanes < kWarp) mask &= (1u << n_lanes) - 1;
    Thread& self = thread(block.current);
    self.value = value;
    self.source = source;
    self.mask = mask;
    self.state = State::kInWarp;
    if ((mask >> (block.current - first) & 1) != 0) complete_warp(mask, first);
    if (self.state != State::kReady) wait();
    return {self.result, self.ballot};
}

void warp_values(uint32_t mask, uint64_t value, uint64_t (&values)[kWarp]) {
    const int first = block.current / kWarp * kWarp;
    warp_exchange(mask, value, 0);
    for (int l = 0; l < kWarp; ++l) {
        const bool is_there = (mask >> l & 1) != 0 && first + l < block.n_threads;
        values[l] = is_there ? thread(first + l).value : ~uint64_t{0};
    }
    // A second meeting keeps the values where they are until all have read them.
    warp_exchange(mask, value, 0);
}

int lane() {
    return block.current % kWarp;
}

}  // namespace cuda_emulator
