#include "cpu/scratch.h"

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "cpu/rope.h"

namespace puna::core {

namespace {

// Counts what is taken, and hands it out once there is memory.
class Cutter {
  public:
    explicit Cutter(uint8_t* memory) : memory_(memory) {}

    // n * m elements, on a cache line of their own.
    template <class T>
    void take(T** place, int64_t n, int64_t m) {
        uint64_t bytes = 0;
        ok_ = ok_ &&
              checked_mul<uint64_t>(static_cast<uint64_t>(n), static_cast<uint64_t>(m), &bytes) &&
              checked_mul<uint64_t>(bytes, sizeof(T), &bytes) &&
              checked_align_up(bytes, HostMemory::kAlignment, &bytes);
        if (ok_ && memory_) *place = reinterpret_cast<T*>(memory_ + total_);
        ok_ = ok_ && checked_add(total_, bytes, &total_) && total_ <= INT64_MAX;
    }

    bool ok() const { return ok_; }
    uint64_t total() const { return total_; }

  private:
    uint8_t* memory_;
    uint64_t total_ = 0;
    bool ok_ = true;
};

// Columns of the widest matrix that takes packed rows; 0: none does.
int64_t packed_columns(const LayerSet& layers, const puna_executor_options& options) {
    if (options.deterministic) return 0;
    int64_t widest = 0;
    const auto count = [&widest](const Matrix& matrix) {
        if (matrix.panel) widest = std::max(widest, matrix.columns);
    };
    for (const LayerWeights& w : layers.layers) {
        for (const Matrix* matrix : {&w.q, &w.k, &w.v, &w.attn_output, &w.gate, &w.up, &w.down}) {
            count(*matrix);
        }
    }
    if (layers.has_head) count(layers.output);
    return widest;
}

Scratch cut(const LayerSet& layers, const puna_executor_options& options,
            const AttentionPlan& attention, Cutter& cutter) {
    const puna_model_spec& spec = layers.spec;
    const int64_t rows = options.max_rows;
    Scratch scratch;
    cutter.take(&scratch.x, rows, spec.n_embd);
    if (layers.n_layers() > 0) {
        cutter.take(&scratch.qkv, rows,
                    layers.q_columns() + layers.k_columns() + layers.v_columns());
        cutter.take(&scratch.attn, rows, layers.attn_columns());
        cutter.take(&scratch.gate, rows, spec.n_ff);
        cutter.take(&scratch.up, rows, spec.n_ff);
        cutter.take(&scratch.change, rows, spec.n_embd);
        cutter.take(&scratch.rope, rows, rope_table_size(spec));
        cutter.take(&scratch.partials, attention.n_partials(), attention.partial_size());
        cutter.take(&scratch.counters, attention.n_counters(), 1);
    }
    if (layers.n_layers() > 0 || layers.has_head) cutter.take(&scratch.normed, rows, spec.n_embd);
    if (const int64_t columns = packed_columns(layers, options); columns > 0) {
        cutter.take(&scratch.packed, columns / 32, layers.kernels->packing.bytes(32, rows));
    }
    if (layers.has_head) {
        cutter.take(&scratch.logits, std::min<int64_t>(rows, kHeadRows), spec.n_vocab);
    }
    return scratch;
}

}  // namespace

Result<uint64_t> scratch_bytes(const LayerSet& layers, const puna_executor_options& options,
                               const AttentionPlan& attention) {
    Cutter cutter(nullptr);
    cut(layers, options, attention, cutter);
    if (!cutter.ok()) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "scratch for max_rows %d does not fit the address space",
                           options.max_rows);
    }
    return cutter.total();
}

Scratch cut_scratch(const LayerSet& layers, const puna_executor_options& options,
                    const AttentionPlan& attention, const HostMemory& memory) {
    Cutter cutter(memory.data());
    const Scratch scratch = cut(layers, options, attention, cutter);
    if (scratch.counters) {
        for (int64_t i = 0; i < attention.n_counters(); ++i)
            new (&scratch.counters[i]) std::atomic<int32_t>(0);
    }
    return scratch;
}

}  // namespace puna::core
