#include "cpu/linear.h"

#include <algorithm>
#include <numeric>

namespace puna::core {

namespace {

// Activation rows that weights pass once; kernels prepare these once per call.
constexpr int32_t kRowsOfAPass = 4;
// Weight rows that more activation rows pass one after the other: they stay in L2 meanwhile.
constexpr int64_t kSliceBytes = 128 * 1024;

// A panel kernel, and where the rows lie as it takes them.
struct PackedFor {
    const PanelEntry* panel = nullptr;  // null: the input is not packed for the matrix
    const uint8_t* rows = nullptr;

    explicit operator bool() const { return panel; }
};

PackedFor packed_for(const Matrix& matrix, const Input& x) {
    const PanelEntry* panel = panel_for(matrix, x.rows.n);
    for (int32_t i = 0; panel && i < x.n_packed; ++i) {
        if (x.packed[i].packing == panel->packing) return {panel, x.packed[i].data};
    }
    return {};
}

// The packings that so many rows take for the matrices, each once; returns how many.
int32_t list_packings(Matrices matrices, int64_t n_rows,
                      const RowPacking* (&packings)[kMostMatrices]) {
    int32_t n = 0;
    for (const Matrix* matrix : matrices) {
        const PanelEntry* panel = panel_for(*matrix, n_rows);
        if (!panel) continue;
        if (std::find(packings, packings + n, panel->packing) == packings + n) {
            packings[n++] = panel->packing;
        }
    }
    return n;
}

// The most of bytes_of(n) for all batches of n rows up to n_rows: it grows with the rows that a kernel takes.
template <class BytesOf>
int64_t most_bytes(Matrices matrices, int64_t n_rows, const BytesOf& bytes_of) {
    int64_t bytes = bytes_of(n_rows);
    for (const Matrix* matrix : matrices) {
        if (!matrix->small_panel) continue;
        const int64_t most = matrix->small_panel->packing->most_rows;
        bytes = std::max(bytes, bytes_of(std::min(n_rows, most)));
    }
    return bytes;
}

int64_t align_to_line(int64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

// The group of rows from `first` on, in all slices of columns: those lie one after the other, each of them groups.
void pack_group(const Rows& rows, int64_t first, int64_t n_columns, const RowPacking& packing,
                uint8_t* memory) {
    const int64_t slice = packing.slice > 0 ? packing.slice : n_columns;
    const auto n = static_cast<int32_t>(std::min<int64_t>(packing.group, rows.n - first));
    for (int64_t j = 0; j < n_columns; j += slice) {
        const int64_t width = std::min(slice, n_columns - j);
        packing.pack(
            rows.row(first) + j, rows.stride, width, n,
            memory + j / 32 * packing.bytes(rows.n) + (width + 31) / 32 * packing.bytes(first));
    }
}

// One of the memories of panel kernels, while it lives.
class TakenMemory {
  public:
    explicit TakenMemory(const PanelScratch& scratch) : scratch_(scratch) {
        if (scratch.memory_bytes == 0) return;
        for (index_ = 0; scratch.taken[index_].exchange(1, std::memory_order_acquire) != 0;) {
            index_ = (index_ + 1) % scratch.n_memories;
        }
    }
    ~TakenMemory() {
        if (index_ >= 0) scratch_.taken[index_].store(0, std::memory_order_release);
    }
    TakenMemory(const TakenMemory&) = delete;
    TakenMemory& operator=(const TakenMemory&) = delete;

    uint8_t* data() const {
        return index_ < 0 ? nullptr : scratch_.memories + index_ * scratch_.memory_bytes;
    }

  private:
    const PanelScratch& scratch_;
    int32_t index_ = -1;
};

PanelBlock panel_block(const Matrix& matrix, const PackedFor& packed, Range outputs,
                       const Input& x) {
    PanelBlock block = {};
    block.weights = matrix.data + outputs.begin * matrix.row_bytes;
    block.row_bytes = matrix.row_bytes;
    block.n_in = matrix.columns;
    block.n_out = outputs.end - outputs.begin;
    block.n_rows = x.rows.n;
    block.x = packed.rows;
    return block;
}

void run(const PanelEntry& panel, const Input& x, PanelBlock& block) {
    const TakenMemory memory(*x.scratch);
    block.memory = memory.data();
    panel.run(block);
}

void run_panels(const Matrix& matrix, const PackedFor& packed, Range outputs, const Input& x,
                bool adds, const Rows& y) {
    PanelBlock block = panel_block(matrix, packed, outputs, x);
    block.y = y.data + outputs.begin;
    block.y_stride = y.stride;
    block.adds = adds;
    run(*packed.panel, x, block);
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
        block.read_order = matrix.read_order;
        matrix.multiply(block);
    }
}

}  // namespace

const PanelEntry* panel_for(const Matrix& matrix, int64_t n_rows) {
    for (const PanelEntry* panel : {matrix.small_panel, matrix.panel}) {
        if (!panel || n_rows < panel->packing->fewest_rows) continue;
        if (n_rows <= panel->packing->most_rows) return panel;
    }
    return nullptr;
}

int64_t packed_column_bytes(Matrices matrices, int64_t n_rows) {
    return most_bytes(matrices, n_rows, [&](int64_t n) {
        const RowPacking* packings[kMostMatrices];
        const int32_t n_packings = list_packings(matrices, n, packings);
        int64_t bytes = 0;
        for (int32_t i = 0; i < n_packings; ++i) bytes += align_to_line(packings[i]->bytes(n));
        return bytes;
    });
}

int64_t panel_memory_bytes(Matrices matrices, int64_t n_rows) {
    return most_bytes(matrices, n_rows, [&](int64_t n) {
        int64_t bytes = 0;
        for (const Matrix* matrix : matrices) {
            const PanelEntry* panel = panel_for(*matrix, n);
            if (!panel || !panel->packing->memory) continue;
            bytes = std::max(bytes, align_to_line(panel->packing->memory(n)));
        }
        return bytes;
    });
}

InputPacker::InputPacker(const Rows& rows, Matrices matrices, const PanelScratch& scratch)
    : input_{rows, &scratch}, n_columns_((*matrices.begin())->columns) {
    if (!scratch.packed) return;
    uint8_t* memory = scratch.packed;
    const RowPacking* packings[kMostMatrices];
    const int32_t n = list_packings(matrices, rows.n, packings);
    for (int32_t i = 0; i < n; ++i) {
        unit_ = unit_ == 0 ? packings[i]->group : std::lcm(unit_, int64_t{packings[i]->group});
        input_.packed[input_.n_packed++] = {packings[i], memory};
        memory += align_to_line(packings[i]->bytes(rows.n)) * ((n_columns_ + 31) / 32);
    }
}

void InputPacker::pack(Range rows) const {
    for (int32_t i = 0; i < input_.n_packed; ++i) {
        const Input::Packed& packed = input_.packed[i];
        for (int64_t r = rows.begin; r < rows.end; r += packed.packing->group) {
            pack_group(input_.rows, r, n_columns_, *packed.packing, packed.data);
        }
    }
}

Input make_input(const Workers& workers, const Rows& rows, Matrices matrices,
                 const PanelScratch& scratch) {
    const InputPacker packer(rows, matrices, scratch);
    if (packer.unit() > 0) {
        workers.split(rows.n, packer.unit(), [&](Range range) { packer.pack(range); });
    }
    return packer.input();
}

void multiply(const Matrix& matrix, Range outputs, const Input& x, const Rows& y) {
    if (const PackedFor packed = packed_for(matrix, x)) {
        run_panels(matrix, packed, outputs, x, false, y);
    } else {
        multiply_blocks(matrix, outputs, x.rows, y);
    }
}

bool can_add(const Matrix& matrix, const Input& x) {
    return static_cast<bool>(packed_for(matrix, x));
}

void multiply_add(const Matrix& matrix, Range outputs, const Input& x, const Rows& y) {
    run_panels(matrix, packed_for(matrix, x), outputs, x, true, y);
}

Input make_gated_input(const Matrix& gate, const Matrix& up, const Matrix& next, const Input& x,
                       uint8_t* memory, int64_t n_bytes) {
    Input input = {{nullptr, 0, x.rows.n}, x.scratch};
    const PackedFor from = packed_for(gate, x);
    const PanelEntry* to = panel_for(next, x.rows.n);
    if (!from || gate.format != up.format || !to) return input;
    const RowPacking* packing = to->packing;
    if (packing != from.panel->packing || !packing->gates || gate.rows % 32 != 0) return input;
    if (packing->bytes(x.rows.n) > n_bytes / (gate.rows / 32)) return input;
    input.packed[input.n_packed++] = {packing, memory};
    return input;
}

void multiply_gated(const Matrix& gate, const Matrix& up, Range outputs, const Input& x,
                    const Input& to) {
    const PackedFor packed = packed_for(gate, x);
    PanelBlock block = panel_block(gate, packed, outputs, x);
    block.up = up.data + outputs.begin * up.row_bytes;
    block.gated = to.packed[0].data;
    block.first_gated = outputs.begin;
    block.n_gated = gate.rows;
    run(*packed.panel, x, block);
}

void add_bias(const float* bias, Range outputs, const Rows& y) {
    if (!bias) return;
    for (int32_t r = 0; r < y.n; ++r) {
        float* row = y.row(r);
        for (int64_t i = outputs.begin; i < outputs.end; ++i) row[i] += bias[i];
    }
}

}  // namespace puna::core
