// Linear layers: weight rows by activation rows, cut into blocks that stay in the caches.
#pragma once

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

// Matrices that multiply the same rows.
using Matrices = std::initializer_list<const Matrix*>;
constexpr int32_t kMostMatrices = 3;

// Rows, beside what panel kernels take in their place.
struct Input {
    struct Packed {
        const RowPacking* packing;
        const uint8_t* data;
    };

    Rows rows;
    Packed packed[kMostMatrices] = {};
    int32_t n_packed = 0;
};

// Bytes of 32 columns of at most n_rows rows, packed for all of the matrices.
int64_t packed_column_bytes(Matrices matrices, int64_t n_rows);

// The rows as input of the matrices, which have the same columns. They are packed into `memory`, which
// has packed_column_bytes for each 32 columns and is aligned to 64; null: nothing is packed.
Input make_input(const Workers& workers, const Rows& rows, Matrices matrices, uint8_t* memory);

// y[r][i] = sum_j matrix[i][j] x[r][j] for the outputs i of the range.
void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y);

// y[r][i] += bias[i] for the outputs of the range; no bias: nothing.
void add_bias(const float* bias, Range outputs, const Rows& y);

}  // namespace puna::core
