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

// Of the widest input that is ever packed: of attention's output or of the feed-forward layer.
int64_t packed_bytes(const LayerSet& layers, const puna_executor_options& options) {
    const RowPacking& packing = layers.kernels->packing;
    if (packing.group == 0 || options.deterministic) return 0;
    const int64_t columns =
        std::max<int64_t>({layers.spec.n_embd, layers.spec.n_ff, layers.attn_columns()});
    return packing.bytes((columns + 31) / 32 * 32, options.max_rows);
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
    if (const int64_t bytes = packed_bytes(layers, options); bytes > 0) {
        cutter.take(&scratch.packed, bytes, 1);
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
