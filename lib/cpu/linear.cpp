#include "cpu/linear.h"

#include <algorithm>

namespace puna::core {

namespace {

// Activation rows that weights pass once; kernels prepare these once per call.
constexpr int32_t kRowsOfAPass = 4;
// Weight rows that more activation rows pass one after the other: they stay in L2 meanwhile.
constexpr int64_t kSliceBytes = 128 * 1024;

// Where the rows lie as the matrix's panel kernel takes them, or null.
const uint8_t* packed_for(const Matrix& matrix, const Input& x) {
    for (int32_t i = 0; matrix.panel && i < x.n_packed; ++i) {
        if (x.packed[i].packing == matrix.panel->packing) return x.packed[i].data;
    }
    return nullptr;
}

// The packings that the matrices take, each once; returns how many.
int32_t list_packings(Matrices matrices, const RowPacking* (&packings)[kMostMatrices]) {
    int32_t n = 0;
    for (const Matrix* matrix : matrices) {
        if (!matrix->panel) continue;
        const RowPacking* packing = matrix->panel->packing;
        if (std::find(packings, packings + n, packing) == packings + n) packings[n++] = packing;
    }
    return n;
}

int64_t align_to_line(int64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

void pack(const Workers& workers, const Rows& rows, int64_t columns, const RowPacking& packing,
          uint8_t* memory) {
    const int64_t blocks = (columns + 31) / 32;
    workers.split(rows.n, packing.group, [&](Range range) {
        for (int64_t r = range.begin; r < range.end; r += packing.group) {
            const auto n = static_cast<int32_t>(std::min<int64_t>(packing.group, range.end - r));
            packing.pack(rows.row(r), rows.stride, columns, n, memory + blocks * packing.bytes(r));
        }
    });
}

void multiply_panels(const Matrix& matrix, Range outputs, const uint8_t* packed, int32_t n_rows,
                     const Rows& y) {
    PanelBlock block;
    block.weights = matrix.data + outputs.begin * matrix.row_bytes;
    block.row_bytes = matrix.row_bytes;
    block.n_in = matrix.columns;
    block.n_out = outputs.end - outputs.begin;
    block.n_rows = n_rows;
    block.x = packed;
    block.y = y.data + outputs.begin;
    block.y_stride = y.stride;
    matrix.panel->run(block);
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

int64_t packed_column_bytes(Matrices matrices, int64_t n_rows) {
    const RowPacking* packings[kMostMatrices];
    const int32_t n = list_packings(matrices, packings);
    int64_t bytes = 0;
    for (int32_t i = 0; i < n; ++i) bytes += align_to_line(packings[i]->bytes(n_rows));
    return bytes;
}

Input make_input(const Workers& workers, const Rows& rows, Matrices matrices, uint8_t* memory) {
    Input input = {rows};
    if (!memory) return input;
    const int64_t columns = (*matrices.begin())->columns;
    const RowPacking* packings[kMostMatrices];
    const int32_t n = list_packings(matrices, packings);
    for (int32_t i = 0; i < n; ++i) {
        if (rows.n < packings[i]->fewest_rows) continue;
        pack(workers, rows, columns, *packings[i], memory);
        input.packed[input.n_packed++] = {packings[i], memory};
        memory += align_to_line(packings[i]->bytes(rows.n)) * ((columns + 31) / 32);
    }
    return input;
}

void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y) {
    if (const uint8_t* packed = packed_for(matrix, x)) {
        multiply_panels(matrix, outputs, packed, x.rows.n, y);
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
