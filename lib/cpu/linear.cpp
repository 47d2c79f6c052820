#include "cpu/linear.h"

#include <algorithm>

namespace puna::core {

namespace {

// Activation rows that weights pass once; kernels prepare these once per call.
constexpr int32_t kRowsOfAPass = 4;
// Weight rows that more activation rows pass one after the other: they stay in L2 meanwhile.
constexpr int64_t kSliceBytes = 128 * 1024;

void multiply_panels(const Matrix& matrix, Range outputs, const Input& x, const Rows& y) {
    PanelBlock block;
    block.weights = matrix.data + outputs.begin * matrix.row_bytes;
    block.row_bytes = matrix.row_bytes;
    block.n_in = matrix.columns;
    block.n_out = outputs.end - outputs.begin;
    block.n_rows = x.rows.n;
    block.x = x.packed;
    block.y = y.data + outputs.begin;
    block.y_stride = y.stride;
    matrix.panel(block);
}

void multiply_blocks(const Matrix& matrix, Range outputs, const Rows& x, const Rows& y) {
    const int64_t slice = x.n > kRowsOfAPass ? std::max<int64_t>(1, kSliceBytes / matrix.row_bytes)
                                             : outputs.end - outputs.begin;
    for (int64_t begin = outputs.begin; begin < outputs.end; begin += slice) {
        LinearBlock block;
        block.weights = matrix.data + begin * matrix.row_bytes;
        block.row_bytes = matrix.row_bytes;
        block.n_in = matrix.columns;
        block.n_out = std::min(slice, outputs.end - begin);
        block.n_rows = x.n;
        block.x = x.data;
        block.x_stride = x.stride;
        block.y = y.data + begin;
        block.y_stride = y.stride;
        matrix.multiply(block);
    }
}

}  // namespace

void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y) {
    if (x.packed && matrix.panel) {
        multiply_panels(matrix, outputs, x, y);
    } else {
        multiply_blocks(matrix, outputs, x.rows, y);
    }
}

void add_bias(const float* bias, Range outputs, const Rows& y) {
    if (!bias) return;
    for (int32_t r = 0; r < y.n; ++r) {
        float* row = y.row(r);
        for (int64_t i = outputs.begin; i < outputs.end; ++i) row[i] += bias[i];
    }
}

}  // namespace puna::core
