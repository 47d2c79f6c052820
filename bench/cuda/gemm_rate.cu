// How fast cuBLAS multiplies bfloat16 on a GPU, in the shapes of prompts of TinyLlama 1.1B: the rate that
// reading a prompt is compared with. Prints one line for each product, and what the products of all layers
// take.
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bench/cuda/gpu_time.h"

namespace {

constexpr int kLayers = 22;
constexpr int kMostRows = 2048;

struct Shape {
    const char* name;
    int outputs;
    int columns;
};
constexpr Shape kShapes[] = {{"Q, K and V", 2560, 2048},
                             {"output", 2048, 2048},
                             {"gate and up", 11264, 2048},
                             {"down", 2048, 5632}};

void check(cublasStatus_t status) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    std::fprintf(stderr, "%s\n", cublasGetStatusString(status));
    std::exit(1);
}

uint16_t* allocate(int64_t n) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, static_cast<size_t>(n) * 2));
    check(cudaMemset(memory, 0x3c, static_cast<size_t>(n) * 2));
    return static_cast<uint16_t*>(memory);
}

struct Operands {
    uint16_t* weights = allocate(int64_t{11264} * 5632);
    uint16_t* rows = allocate(int64_t{kMostRows} * 5632);
    uint16_t* results = allocate(int64_t{kMostRows} * 11264);
};

void multiply(cublasHandle_t cublas, const Operands& at, const Shape& shape, int n_rows) {
    const float one = 1.0f;
    const float zero = 0.0f;
    check(cublasGemmEx(cublas, CUBLAS_OP_T, CUBLAS_OP_N, shape.outputs, n_rows, shape.columns, &one,
                       at.weights, CUDA_R_16BF, shape.columns, at.rows, CUDA_R_16BF, shape.columns,
                       &zero, at.results, CUDA_R_16BF, shape.outputs, CUBLAS_COMPUTE_32F,
                       CUBLAS_GEMM_DEFAULT));
}

// Of kLayers products one after the other, in milliseconds.
double time_of(cublasHandle_t cublas, const Operands& operands, const Shape& shape, int n_rows) {
    return gpu_time([&] {
        for (int l = 0; l < kLayers; ++l) multiply(cublas, operands, shape, n_rows);
    });
}

}  // namespace

int main() {
    cublasHandle_t cublas = nullptr;
    check(cublasCreate(&cublas));
    const Operands operands;
    for (const int n_rows : {512, kMostRows}) {
        double total = 0.0;
        for (const Shape& shape : kShapes) {
            const double milliseconds = time_of(cublas, operands, shape, n_rows);
            const double operations = 2.0 * kLayers * shape.outputs * shape.columns * n_rows;
            std::printf("%4d rows, %-12s %8.1f TFLOPS\n", n_rows, shape.name,
                        operations / milliseconds / 1e9);
            total += milliseconds;
        }
        std::printf("%4d rows, all layers   %8.3f ms, %.0f rows/s\n", n_rows, total,
                    n_rows / total * 1e3);
    }
    return 0;
}
