#include "cuda/outputs.h"

#include "cuda/device_math.cuh"
#include "cuda/launch.h"
#include "cuda/scratch.h"

namespace puna::cuda {

namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSharedKeys = 2048;  // sorted in shared memory; more of them in the scratch
constexpr int kDigits = 256;

// A token as one number, whose order is that of outputs: the larger logit first, of equal ones the
// smaller token. 0 for what must not come back.
__device__ inline uint64_t key_of(float logit, int32_t token, const uint32_t* mask) {
    if (!(logit > __uint_as_float(0xff800000u))) return 0;  // -infinity, NaN
    if (mask && (mask[token / 32] >> token % 32 & 1u) == 0) return 0;
    const uint32_t bits = __float_as_uint(logit + 0.0f);  // no negative zero
    const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    return static_cast<uint64_t>(ordered) << 32 | ~static_cast<uint32_t>(token);
}
__device__ inline int32_t token_of(uint64_t key) {
    return static_cast<int32_t>(~static_cast<uint32_t>(key));
}
__device__ inline float logit_of(uint64_t key) {
    const auto ordered = static_cast<uint32_t>(key >> 32);
    return __uint_as_float((ordered & 0x80000000u) != 0 ? ordered & 0x7fffffffu : ~ordered);
}

// A row of logits as its block sees it.
struct Row {
    float* logits;
    int32_t n_vocab;
    const uint32_t* mask;
};

__device__ inline uint64_t key_at(const Row& row, int32_t token) {
    return key_of(row.logits[token], token, row.mask);
}

// The largest value of all threads.
template <class T>
__device__ inline T block_max(T value, T* shared) {
    value = warp_max(value);
    __syncthreads();
    if (lane_of_thread() == 0) shared[warp_of_thread()] = value;
    __syncthreads();
    T largest = shared[0];
    for (int w = 1; w < kWarps; ++w) largest = shared[w] > largest ? shared[w] : largest;
    return largest;
}

__device__ inline float log_sum_exp(const Row& row, float* shared) {
    float largest = __uint_as_float(0xff800000u);
    for (auto i = static_cast<int32_t>(threadIdx.x); i < row.n_vocab; i += kThreads) {
        if (row.logits[i] > largest) largest = row.logits[i];
    }
    largest = block_max(largest, shared);
    if (fabsf(largest) == __uint_as_float(0x7f800000u)) return largest;
    float sum = 0.0f;
    for (auto i = static_cast<int32_t>(threadIdx.x); i < row.n_vocab; i += kThreads) {
        sum += expf(row.logits[i] - largest);
    }
    return largest + logf(block_sum(sum, shared));
}

// Entries for one token add up in their order: the first one of a token does it for all.
__device__ inline void add_bias(const DeviceOutput& output, float* logits) {
    for (auto i = static_cast<int32_t>(threadIdx.x); i < output.n_bias; i += kThreads) {
        const int32_t token = output.bias[i].token;
        bool is_first = true;
        for (int32_t j = 0; j < i && is_first; ++j) is_first = output.bias[j].token != token;
        if (!is_first) continue;
        float logit = logits[token];
        for (int32_t j = i; j < output.n_bias; ++j) {
            if (output.bias[j].token == token) logit += output.bias[j].bias;
        }
        logits[token] = logit;
    }
    __syncthreads();
}

__device__ inline void fill_argmax(const Row& row, const DeviceOutput& output, uint64_t* shared) {
    uint64_t best = 0;
    for (auto i = static_cast<int32_t>(threadIdx.x); i < row.n_vocab; i += kThreads) {
        const uint64_t key = key_at(row, i);
        best = key > best ? key : best;
    }
    best = block_max(best, shared);
    if (threadIdx.x != 0) return;
    *output.n_filled = best != 0 ? 1 : 0;
    if (best == 0) return;
    output.tokens[0] = token_of(best);
    output.values[0] = logit_of(best);
}

// Keys with (key & mask) >= prefix are those of the best.
struct Selection {
    uint64_t prefix;
    uint64_t mask;
    int32_t n;  // how many of them there are
};

struct SelectMemory {
    int32_t counts[kDigits];
    int32_t digit;
    int32_t above;  // keys in larger digits
    int32_t total;
    int32_t n_listed;
};

// The digit in which the `need`-th largest key is, by warp 0.
__device__ inline void find_digit(SelectMemory& memory, int32_t need) {
    if (warp_of_thread() != 0) return;
    constexpr int kEach = kDigits / kWarp;
    const int top = kDigits - 1 - lane_of_thread() * kEach;  // lanes go down
    int32_t sum = 0;
    for (int i = 0; i < kEach; ++i) sum += memory.counts[top - i];
    int32_t through = sum;  // of this lane and those before it
    for (int step = 1; step < kWarp; step *= 2) {
        const int32_t before = __shfl_up_sync(kAllLanes, through, static_cast<unsigned>(step));
        if (lane_of_thread() >= step) through += before;
    }
    if (lane_of_thread() == kWarp - 1) memory.total = through;
    int32_t above = through - sum;
    if (above >= need || through < need) return;
    for (int i = 0; i < kEach; ++i) {
        const int32_t count = memory.counts[top - i];
        if (above + count >= need) {
            memory.digit = top - i;
            memory.above = above;
            return;
        }
        above += count;
    }
}

// Digit by digit from the top: where the k-th largest key is. All keys differ.
__device__ inline Selection select_best(const Row& row, int32_t k, SelectMemory& memory) {
    Selection best = {0, 0, 0};
    int32_t need = k;
    for (int shift = 56; shift >= 0; shift -= 8) {
        __syncthreads();
        if (threadIdx.x < kDigits) memory.counts[threadIdx.x] = 0;
        __syncthreads();
        for (auto i = static_cast<int32_t>(threadIdx.x); i < row.n_vocab; i += kThreads) {
            const uint64_t key = key_at(row, i);
            if (key == 0 || (key & best.mask) != best.prefix) continue;
            atomicAdd(&memory.counts[key >> shift & (kDigits - 1)], 1);
        }
        __syncthreads();
        find_digit(memory, need);
        __syncthreads();
        if (memory.total < need) return {1, ~uint64_t{0}, memory.total};  // only in the first round
        need -= memory.above;
        best.mask |= uint64_t{kDigits - 1} << shift;
        best.prefix |= static_cast<uint64_t>(memory.digit) << shift;
        if (memory.counts[memory.digit] == need) break;
    }
    best.n = k;
    return best;
}

// Descending, n a power of two.
__device__ inline void sort_keys(uint64_t* keys, int32_t n) {
    for (int32_t size = 2; size <= n; size *= 2) {
        for (int32_t step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            for (auto i = static_cast<int32_t>(threadIdx.x); i < n; i += kThreads) {
                const int32_t other = i ^ step;
                if (other < i) continue;
                const bool descends = (i & size) == 0;
                const uint64_t a = keys[i];
                const uint64_t b = keys[other];
                if ((a < b) == descends) {
                    keys[i] = b;
                    keys[other] = a;
                }
            }
        }
    }
    __syncthreads();
}

__device__ inline void fill_top_k(const Row& row, const DeviceOutput& output, SelectMemory& memory,
                                  uint64_t* shared_keys, uint64_t* scratch_keys) {
    const Selection best = select_best(row, output.k, memory);
    uint64_t* keys = best.n <= kSharedKeys ? shared_keys : scratch_keys;
    int32_t size = 1;
    while (size < best.n) size *= 2;
    __syncthreads();
    if (threadIdx.x == 0) memory.n_listed = 0;
    for (auto i = static_cast<int32_t>(threadIdx.x); i < size; i += kThreads) keys[i] = 0;
    __syncthreads();
    for (auto i = static_cast<int32_t>(threadIdx.x); i < row.n_vocab; i += kThreads) {
        const uint64_t key = key_at(row, i);
        if (key == 0 || (key & best.mask) < best.prefix) continue;
        keys[atomicAdd(&memory.n_listed, 1)] = key;
    }
    sort_keys(keys, size);
    for (auto i = static_cast<int32_t>(threadIdx.x); i < best.n; i += kThreads) {
        output.tokens[i] = token_of(keys[i]);
        output.values[i] = logit_of(keys[i]);
    }
    if (threadIdx.x == 0) *output.n_filled = best.n;
}

__device__ inline void copy_row(const float* from, int32_t n, const DeviceOutput& output) {
    for (auto i = static_cast<int32_t>(threadIdx.x); i < n; i += kThreads) {
        output.values[i] = from[i];
    }
    if (threadIdx.x == 0) *output.n_filled = n;
}

// A block for an output.
__global__ void __launch_bounds__(kThreads)
    deliver_kernel(const DeviceOutput* outputs, const float* normed, int32_t n_embd, float* logits,
                   int32_t n_vocab, uint64_t* sorting, int64_t sorting_size) {
    __shared__ float sums[kWarps];
    __shared__ uint64_t maxima[kWarps];
    __shared__ SelectMemory memory;
    __shared__ uint64_t keys[kSharedKeys];
    wait_for_last_kernel();
    const auto index = static_cast<int64_t>(blockIdx.x);
    const DeviceOutput output = outputs[index];
    if (output.kind == PUNA_ROW_OUTPUT_HIDDEN) {
        copy_row(normed + index * n_embd, n_embd, output);
        return;
    }
    const Row row = {logits + index * n_vocab, n_vocab, output.mask};
    if (output.log_sum_exp) {
        const float value = log_sum_exp(row, sums);
        if (threadIdx.x == 0) *output.log_sum_exp = value;
        __syncthreads();
    }
    if (output.kind == PUNA_ROW_OUTPUT_LOGITS) {
        copy_row(row.logits, n_vocab, output);
        return;
    }
    add_bias(output, row.logits);
    if (output.kind == PUNA_ROW_OUTPUT_ARGMAX) {
        fill_argmax(row, output, maxima);
    } else {
        fill_top_k(row, output, memory, keys, sorting + index * sorting_size);
    }
}

}  // namespace

bool needs_logits(const DeviceOutput* requests, int32_t n) {
    for (int32_t i = 0; i < n; ++i) {
        if (requests[i].kind != PUNA_ROW_OUTPUT_HIDDEN) return true;
    }
    return false;
}

bool needs_hidden(const DeviceOutput* requests, int32_t n) {
    for (int32_t i = 0; i < n; ++i) {
        if (requests[i].kind == PUNA_ROW_OUTPUT_HIDDEN) return true;
    }
    return false;
}

cudaError_t deliver_outputs(const puna_model_spec& spec, const Scratch& scratch,
                            const DeviceOutput* outputs, int32_t n, bool overlaps,
                            cudaStream_t stream) {
    return launch_next(overlaps, deliver_kernel, dim3(static_cast<unsigned>(n)), dim3(kThreads), 0,
                       stream, outputs, scratch.normed, spec.n_embd, scratch.logits, spec.n_vocab,
                       scratch.sorting, scratch.sorting_size);
}

}  // namespace puna::cuda
