// Runs kernels on the host: the threads of a block are fibers, one block after the other. Only a cooperative
// launch has all blocks at the same time, and a cluster its own; such a kernel has no __shared__ variables, of
// which there is one for all blocks here, but dynamic shared memory.
//
// A thread runs until it ends or comes to a barrier or a warp operation. Which one is next differs from block
// to block: threads take turns, or a warp goes as far as it can, the first one first or the last one. When no
// thread can go on and some have not ended, a barrier was not reached by all that it waits for, and the
// launch fails; so it does when threads end while others wait at a block barrier, which some processors
// forgive, and when a thread ends without having waited for the kernel before where it must, or for its
// asynchronous copies and products. These are made when they are waited for; until then there is 0xff where
// copies go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace cuda_emulator {

struct Launch {
    unsigned grid[3];
    unsigned block[3];
    size_t shared_bytes;
    std::function<void()> thread;  // the kernel with its arguments
    bool must_wait = false;        // each thread, for the kernel before
    bool is_cooperative = false;   // blocks may wait for each other
    unsigned cluster = 1;  // neighbours along x that do, and reach each other's shared memory
};

// False: `last_fault()` says what happened.
bool run(const Launch& launch);
const char* last_fault();

// ---- From within kernels ------------------------------------------------------------------------

// The dynamic shared memory of the block.
void* dynamic_shared();
// The thread has waited for the kernel before.
void wait_for_last_kernel();
// 16 bytes, to be there once the thread has waited for the group that they belong to: those since the last
// call of commit_copies(). wait_copies() leaves the last `n_left` groups on their way.
void copy_async(void* to, const void* from);
void commit_copies();
void wait_copies(size_t n_left);
// Copies of multiples of 16 bytes, each to be there once somebody has waited for its barrier, an address in
// shared memory. A barrier's round ends when n_arrivals threads have arrived at it, which those do that expect
// bytes, and all of these bytes have come; wait_bulk() returns when the round of this parity has ended, the first
// one having 0. A block's copies go to the blocks of its cluster whose bits are set, and to their barriers: 0
// means to itself.
void init_bulk(const void* barrier, unsigned n_arrivals);
void arrive_bulk(const void* barrier, unsigned block_in_cluster);
void expect_bulk(const void* barrier, size_t n_bytes);
void copy_bulk(void* to, const void* from, size_t n_bytes, const void* barrier,
               unsigned blocks_of_cluster = 0);
void wait_bulk(const void* barrier, unsigned parity);
unsigned block_in_cluster();
// All threads of the cluster.
void meet_cluster();
// Addresses of the processor in the shared memory of the block, which begins somewhere in them.
uint32_t shared_address(const void* memory);
const void* shared_memory_at(uint64_t address);
// What a processor computes while the thread goes on: as groups of copies are, made when they are waited for.
void enqueue_product(std::function<void()> product);
void commit_products();
void wait_products(size_t n_left);
// Lets others run, by whom something is to change that the thread looks at again and again.
void watch();
// All threads of the block. Returns how many came with a condition that is true.
int block_barrier(bool condition);

struct Exchange {
    uint64_t value;   // of the source lane; all bits set when that takes no part
    uint32_t ballot;  // the lanes of the mask whose value is not 0
};
// All threads of the warp that are in the mask, which must be the same for them and name the caller.
Exchange warp_exchange(uint32_t mask, uint64_t value, int source);
// The same, for the values of all of them.
void warp_values(uint32_t mask, uint64_t value, uint64_t (&values)[32]);
int lane();

}  // namespace cuda_emulator
