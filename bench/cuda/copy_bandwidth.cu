// How fast the memory of a GPU is: the rate that decoding cannot pass. Prints one line for each way.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

#include "bench/cuda/gpu_time.h"

namespace {

constexpr size_t kBytes = size_t{1} << 30;

// Sums 16 bytes at a time, as kernels that stream weights read them.
__global__ void read_kernel(const uint4* from, size_t n, unsigned* out) {
    unsigned sum = 0;
    const size_t step = size_t{gridDim.x} * blockDim.x;
    for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
        const uint4 value = __ldcs(from + i);
        sum += value.x ^ value.y ^ value.z ^ value.w;
    }
    if (sum == 0x12345678u) *out = sum;  // never; else the loop would go
}

template <class Run>
void measure(const char* what, double bytes, const Run& run) {
    std::printf("%-28s %8.1f GB/s\n", what, bytes / gpu_time(run) / 1e6);
}

}  // namespace

int main() {
    uint8_t* a = nullptr;
    uint8_t* b = nullptr;
    uint8_t* host = nullptr;
    unsigned* out = nullptr;
    check(cudaMalloc(&a, kBytes));
    check(cudaMalloc(&b, kBytes));
    check(cudaMallocHost(&host, kBytes));
    check(cudaMalloc(&out, sizeof *out));
    check(cudaMemset(a, 1, kBytes));
    int n_processors = 0;
    check(cudaDeviceGetAttribute(&n_processors, cudaDevAttrMultiProcessorCount, 0));
    measure("read", kBytes, [&] {
        read_kernel<<<n_processors * 4, 512>>>(reinterpret_cast<const uint4*>(a),
                                               kBytes / sizeof(uint4), out);
        check(cudaGetLastError());
    });
    measure("copy (read and written)", 2.0 * kBytes,
            [&] { check(cudaMemcpyAsync(b, a, kBytes, cudaMemcpyDeviceToDevice)); });
    measure("host to device, pinned", kBytes,
            [&] { check(cudaMemcpyAsync(a, host, kBytes, cudaMemcpyHostToDevice)); });
    measure("device to host, pinned", kBytes,
            [&] { check(cudaMemcpyAsync(host, a, kBytes, cudaMemcpyDeviceToHost)); });
    return 0;
}
