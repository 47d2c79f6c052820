// Products of many rows in bfloat16 on tensor cores, added in floats. Matrices are turned into bfloat16 on
// their way: from compute capability 8.0 on.
#pragma once

#include "cuda/linear.h"

namespace puna::cuda {

// The most of a matrix that is there in bfloat16 at a time: it is read again out of the L2 cache, of which
// GPUs with many multiprocessors have 40 MiB and more.
constexpr int64_t kBf16SliceBytes = 36 << 20;
// Where tiles are fewer than multiprocessors, some share one: what they leave for each other.
constexpr int64_t kBf16PartsBytes = 16 << 20;
// Columns are followed by zeros up to a multiple of it.
constexpr int64_t kBf16Step = 64;

// Rows and outputs behind the last one are read, and not used.
constexpr int64_t kBf16Spare = 256;

// From a row of a matrix in bfloat16 to the next, in elements.
__host__ __device__ inline int64_t bf16_stride(int64_t columns) {
    return (columns + kBf16Step - 1) / kBf16Step * kBf16Step;
}
// Bytes of rows, or of a matrix, in bfloat16.
inline int64_t bf16_bytes(int64_t rows, int64_t columns) {
    return 2 * (rows + kBf16Spare) * bf16_stride(columns);
}

// Rows that are to be multiplied lie as tensor cores take them, in pieces of 16 bytes, up to a multiple of 16 rows.
// For the lanes of a warp (mma.cuh) as left operands, 16 rows and 32 columns in 64 pieces:
//
//   [rows / 16][columns / 32][two products of 16 columns][lane g, t]
//   {row g, row g + 8, row g, row g + 8}, columns 8 t + 4 product, twice, and the two behind them, twice
//
// As right operands, 32 columns of all rows one behind the other:
//
//   [columns / 32][rows / 8][lane g, t] columns 8 t .. 8 t + 7 of row g
//
// For warpgroups (warpgroup_mma.cuh), 64 columns of all rows one behind the other, so that those of neighbouring
// rows are one copy into shared memory. Piece p has of 32 columns what is multiplied with word p of left operands:
//
//   [columns / 64][rows][(columns / 32 % 2 * 4 + p) ^ rows % 8] columns 2 p and the next, 8, 16 and 24 further
constexpr int kFragmentRows = 16;
constexpr int kFragmentPieces = 2 * 32;
enum class OperandForm : int32_t { kLeft, kRight, kPanels };

// Rows of panels, of so many that there are.
__host__ __device__ inline int64_t panel_rows(int64_t n_rows) {
    return (n_rows + kFragmentRows - 1) / kFragmentRows * kFragmentRows;
}

// More rows than kFewRows and up to so many have a kernel that reads matrices in their blocks.
constexpr int32_t kSplitRows = 64;
bool takes_split(const Input& input, const LinearOptions& options);
// More rows than these, on devices that have warpgroups, are multiplied with matrices in their blocks, or of F16 or
// BF16, all of which must be of formats that expand.
bool takes_warpgroups(const Input& input, const Product* products, int32_t n,
                      const LinearOptions& options, const InputForms& forms);

// InputForms::slice_bytes for a product of so many outputs, those of gate and up counted apart. A slice made
// for more outputs also serves fewer.
int64_t bf16_slice_bytes(int64_t outputs, int64_t columns);

// Rows of matrices of one format on their way to bfloat16, which come one behind the other or, of a gate and its
// up, in turns of eight.
struct ExpandPart {
    const uint8_t* data;
    int64_t first;      // of its rows, among those of all
    int64_t first_out;  // where it goes
};
struct Expand {
    ExpandPart parts[kMostParts];
    int32_t n_parts;
    int64_t row_bytes;
    int64_t columns;
    int64_t stride;    // bf16_stride(columns)
    int64_t n_rows;    // of all parts
    bool takes_turns;  // rows go to places that are 8 apart, eight by eight
    uint16_t* out;     // [][stride], aligned to 16 bytes
    bool overlaps;     // KernelTraits of the device
};

// All formats do but F32, which would lose too much.
bool expands(int32_t format);
cudaError_t expand_rows(const Expand& job, int32_t format, cudaStream_t stream);

// Whether multiply_bf16() takes the products.
bool takes_bf16(const Input& input, const Product* products, int32_t n,
                const LinearOptions& options, const InputForms& forms);

// As multiply() of linear.h, with input.fragments.
cudaError_t multiply_bf16(const Input& input, const Product* products, int32_t n,
                          const LinearOptions& options, const InputForms& forms,
                          cudaStream_t stream);

// Part of prepare_kernels().
cudaError_t prepare_bf16(const KernelTraits& traits);

}  // namespace puna::cuda
