// Linear layers: weight rows by activation rows, cut into blocks that stay in the caches.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>

#include "cpu/layer_set.h"
#include "cpu/workers.h"

namespace puna::core {

// Some rows of activations.
struct Rows {
    float* row(int64_t index) const { return data + index * stride; }

    float* data = nullptr;
    int64_t stride = 0;  // floats between rows
    int32_t n = 0;
};

// Floats between the beginnings of rows of so many columns in working memory: each on a cache line, an odd number
// of lines after the one before it, so that the lines of a column fall into all sets of L1 (docs/kernels.md).
constexpr int64_t row_stride(int64_t n_columns) {
    return ((n_columns + 15) / 16 | 1) * 16;
}

// Matrices that multiply the same rows.
using Matrices = std::initializer_list<const Matrix*>;
constexpr int32_t kMostMatrices = 3;

// Where panel kernels work. Whoever calls one takes the first memory that nobody has: a thread comes back
// to what its caches hold.
struct PanelScratch {
    uint8_t* packed = nullptr;  // the input; null: there are no panel kernels
    uint8_t* memories = nullptr;
    int64_t memory_bytes = 0;               // of each, a multiple of 64; 0: no kernel needs any
    std::atomic<int32_t>* taken = nullptr;  // [n_memories]: 1 while somebody has it
    int32_t n_memories = 0;                 // as many as parts run at a time
};

// Rows, beside what panel kernels take in their place.
struct Input {
    struct Packed {
        const RowPacking* packing;
        uint8_t* data;
    };

    Rows rows;
    const PanelScratch* scratch = nullptr;
    Packed packed[kMostMatrices] = {};
    int32_t n_packed = 0;
};

// The panel kernel for so many rows, or null: they pass through the kernels for few.
const PanelEntry* panel_for(const Matrix& matrix, int64_t n_rows);

// Bytes of 32 columns of at most n_rows rows, packed for all of the matrices.
int64_t packed_column_bytes(Matrices matrices, int64_t n_rows);
// Bytes of each memory in which kernels multiply at most n_rows rows.
int64_t panel_memory_bytes(Matrices matrices, int64_t n_rows);

// Rows that become the input of the matrices, which have the same columns. They are packed into `scratch.packed`,
// which has packed_column_bytes for each 32 columns and is aligned to 64. The scratch outlives the input.
class InputPacker {
  public:
    InputPacker(const Rows& rows, Matrices matrices, const PanelScratch& scratch);

    // Rows are packed in ranges cut at multiples of it; 0: they are not packed.
    int64_t unit() const { return unit_; }
    void pack(Range rows) const;
    // Input once all rows are packed.
    const Input& input() const { return input_; }

  private:
    Input input_;
    int64_t n_columns_;
    int64_t unit_ = 0;
};

// The rows as input of the matrices.
Input make_input(const Workers& workers, const Rows& rows, Matrices matrices,
                 const PanelScratch& scratch);

// y[r][i] = sum_j matrix[i][j] x[r][j] for the outputs i of the range.
void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y);

// The same, added to what y is: where can_add() says so.
bool can_add(const Matrix& matrix, const Input& x);
void multiply_add(const Matrix& matrix, Range outputs, const Input& x, const Rows& y);

// The matrices' outputs silu(gate x) * (up x), packed into `memory` as the input of `next`, whose columns
// they are: multiply_gated() of ranges cut at multiples of 16 that together are all outputs. Nothing is
// packed, and there is no multiply_gated(), unless one kernel does all that and `memory` of `n_bytes`,
// aligned to 64, holds it.
Input make_gated_input(const Matrix& gate, const Matrix& up, const Matrix& next, const Input& x,
                       uint8_t* memory, int64_t n_bytes);
void multiply_gated(const Matrix& gate, const Matrix& up, Range outputs, const Input& x,
                    const Input& to);

// y[r][i] += bias[i] for the outputs of the range; no bias: nothing.
void add_bias(const float* bias, Range outputs, const Rows& y);

}  // namespace puna::core
