// Matrix products: enqueues y = W x for some matrices that share their input, with what follows them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/forward.h"

namespace puna::cuda {

// Gain null: rows are taken as they are.
struct RowNorm {
    const float* gain = nullptr;  // [columns]
    int32_t kind = 0;             // PUNA_NORM_*
    float epsilon = 0.0f;
};

// Rows that come in, normed before they are multiplied.
struct Input {
    const float* x = nullptr;  // [][columns], aligned to 16 bytes
    // [n_rows], device memory: which rows of x, where there is a norm; null: all in order
    const int32_t* rows = nullptr;
    int32_t n_rows = 0;
    int64_t columns = 0;
    RowNorm norm;
    // Where they are there already in bfloat16, as linear_bf16.h has them: x, rows and norm are not read.
    const uint4* fragments = nullptr;
};

// Products of many rows need memory for what they read, which those of few rows keep to themselves: the rows
// normed, rounded (activations.h) or in bfloat16, and matrices in bfloat16 (linear_bf16.h).
struct InputForms {
    float* normed = nullptr;     // [n_rows][columns]
    uint8_t* rounded = nullptr;  // rounded_bytes(n_rows, columns)
    uint8_t* slice = nullptr;    // null: batches are of few rows
    // bf16_slice_bytes() of some product of as many columns at least, of gate and up for such a pair: what
    // does not fit goes through in more slices.
    int64_t slice_bytes = 0;
    float* parts = nullptr;  // of sums over some of the columns
    int64_t parts_bytes = 0;
    uint32_t* arrivals = nullptr;  // [n_arrivals] 0, and so again behind each product
    int64_t n_arrivals = 0;
};
// Bytes that either form of rows takes.
int64_t rounded_bytes(int64_t n_rows, int64_t columns);

enum class Epilogue : int32_t {
    kStore,     // y = W x + b
    kResidual,  // y = y + scale * (W x + b)
    kLogits,    // y = softcap(scale * W x)
    kGateUp,    // y = activation(W0 x + b0) * (W1 x + b1)
};

// One of the matrices of a product.
struct LinearPart {
    const uint8_t* data = nullptr;
    int64_t row_bytes = 0;
    int64_t rows = 0;
    const float* bias = nullptr;
    float* y = nullptr;  // column 0 of row 0
};

constexpr int kMostParts = 3;

// All that a kernel is told. The parts have one format; with kGateUp they are two of the same shape, and
// part 0 has y. Kernels of few rows take `input`; those of more rows x, `rounded`
// or `fragments`.
struct LinearJob {
    LinearPart parts[kMostParts];
    int32_t n_parts = 0;
    int64_t columns = 0;
    int64_t outputs = 0;  // of all parts; with kGateUp of one
    Input input;
    int32_t panel_columns = 0;  // of the input, which are in shared memory at a time
    const float* x = nullptr;
    const uint8_t* rounded = nullptr;
    const uint4* fragments = nullptr;
    int32_t n_rows = 0;
    int64_t y_stride = 0;
    Epilogue epilogue = Epilogue::kStore;
    int32_t activation = 0;  // PUNA_ACTIVATION_*
    float scale = 1.0f;
    float softcap = 0.0f;
};

// Whether matrices of the format are multiplied with rounded rows.
bool reads_rounded(int32_t format);

struct Product {
    Matrix matrix;
    const float* bias = nullptr;
    float* y = nullptr;
};

// What is the same for all products of a call.
struct LinearOptions {
    Epilogue epilogue = Epilogue::kStore;
    int64_t y_stride = 0;
    int32_t activation = 0;
    float scale = 1.0f;
    float softcap = 0.0f;
    // kGateUp of many rows in bfloat16: results go here as the next product reads them, and not to y.
    uint4* y_fragments = nullptr;
    // Results do not depend on how many rows there are: one kernel for all.
    bool same_for_all_rows = false;
    int32_t n_processors = 1;  // of the device
    KernelTraits traits;       // of it
};

// The job of products without what their kernels read.
LinearJob make_job(const Input& input, const LinearOptions& options);
void add_part(LinearJob& job, const Product& product);

// Products of the same input, in one kernel where their formats are one. kGateUp: two products, of which
// the second may be of another format only if `spare` [rows][y_stride] is there for it.
cudaError_t multiply(const Input& input, const Product* products, int32_t n,
                     const LinearOptions& options, const InputForms& forms, float* spare,
                     cudaStream_t stream);

// Whether multiply() of a gate and its up can leave results in bfloat16 (y_fragments), as multiply() of as many rows
// with the next matrix reads them where it takes that form too.
bool leaves_fragments(const Input& input, const Product* gate_up, const LinearOptions& options,
                      const InputForms& forms);

// out [n] = one row of a matrix, times scale, for each of n row indices in device memory, which lie `step`
// int32 apart.
cudaError_t look_up_rows(const Matrix& matrix, const int32_t* indices, int32_t step, int32_t n,
                         float scale, float* out, cudaStream_t stream);

}  // namespace puna::cuda
