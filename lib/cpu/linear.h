// Linear layers: weight rows by activation rows, cut into blocks that stay in the caches.
#pragma once

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

// Rows as panel kernels take them, beside what they were packed from.
struct Input {
    Rows rows;
    const void* packed = nullptr;  // null: not packed
};

// y[r][i] = sum_j matrix[i][j] x[r][j] for the outputs i of the range.
void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y);

// y[r][i] += bias[i] for the outputs of the range; no bias: nothing.
void add_bias(const float* bias, Range outputs, const Rows& y);

}  // namespace puna::core
