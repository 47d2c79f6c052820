#include "cpu/scratch.h"

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "cpu/linear.h"
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

    void take_rows(float** place, int64_t n, int64_t n_columns) {
        take(place, n, row_stride(n_columns));
    }

    bool ok() const { return ok_; }
    uint64_t total() const { return total_; }

  private:
    uint8_t* memory_;
    uint64_t total_ = 0;
    bool ok_ = true;
};

// The most that panel kernels take for a phase.
struct PanelSize {
    int64_t column_blocks = 0;  // of 32
    int64_t bytes = 0;          // of one
    int64_t memory = 0;
};

PanelSize panel_size(const LayerSet& layers, const puna_executor_options& options) {
    if (options.deterministic) return {};
    PanelSize size;
    const auto count = [&](Matrices matrices) {
        const int64_t bytes = packed_column_bytes(matrices, options.max_rows);
        if (bytes == 0) return;
        size.column_blocks = std::max(size.column_blocks, ((*matrices.begin())->columns + 31) / 32);
        size.bytes = std::max(size.bytes, bytes);
        size.memory = std::max(size.memory, panel_memory_bytes(matrices, options.max_rows));
    };
    for (const LayerWeights& w : layers.layers) {
        count({&w.q, &w.k, &w.v});
        count({&w.attn_output});
        count({&w.gate, &w.up});
        count({&w.down});
    }
    if (layers.has_head) count({&layers.output});
    return size;
}

void cut_panels(const PanelSize& size, int32_t n_threads, Cutter& cutter, PanelScratch& panels) {
    if (size.bytes == 0) return;
    cutter.take(&panels.packed, size.column_blocks, size.bytes);
    if (size.memory == 0) return;
    panels.memory_bytes = size.memory;
    panels.n_memories = n_threads;
    cutter.take(&panels.memories, n_threads, size.memory);
    cutter.take(&panels.taken, n_threads, 1);
}

Scratch cut(const LayerSet& layers, const puna_executor_options& options,
            const AttentionPlan& attention, const Workers& workers, Cutter& cutter) {
    const puna_model_spec& spec = layers.spec;
    const int64_t rows = options.max_rows;
    Scratch scratch;
    cutter.take_rows(&scratch.x, rows, spec.n_embd);
    if (layers.n_layers() > 0) {
        cutter.take_rows(&scratch.qkv, rows,
                         layers.q_columns() + layers.k_columns() + layers.v_columns());
        cutter.take_rows(&scratch.attn, rows, layers.attn_columns());
        cutter.take_rows(&scratch.gate, rows, spec.n_ff);
        cutter.take_rows(&scratch.up, rows, spec.n_ff);
        cutter.take_rows(&scratch.change, rows, spec.n_embd);
        cutter.take(&scratch.rope, rows, rope_table_size(spec));
        cutter.take(&scratch.partials, attention.n_partials(), attention.partial_size());
        cutter.take(&scratch.counters, attention.n_counters(), 1);
        cutter.take(&scratch.attention_rows, attention.n_rows_memories(), attention.rows_memory());
    }
    if (layers.n_layers() > 0 || layers.has_head) {
        cutter.take_rows(&scratch.normed, rows, spec.n_embd);
    }
    cut_panels(panel_size(layers, options), workers.n_threads(), cutter, scratch.panels);
    if (layers.has_head) {
        cutter.take(&scratch.wanted, rows, 1);
        cutter.take_rows(&scratch.logits, std::min<int64_t>(rows, kHeadRows), spec.n_vocab);
    }
    return scratch;
}

void make_zeros(std::atomic<int32_t>* counters, int64_t n) {
    for (int64_t i = 0; i < n; ++i) new (&counters[i]) std::atomic<int32_t>(0);
}

}  // namespace

Result<uint64_t> scratch_bytes(const LayerSet& layers, const puna_executor_options& options,
                               const AttentionPlan& attention, const Workers& workers) {
    Cutter cutter(nullptr);
    cut(layers, options, attention, workers, cutter);
    if (!cutter.ok()) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "scratch for max_rows %d does not fit the address space",
                           options.max_rows);
    }
    return cutter.total();
}

Scratch cut_scratch(const LayerSet& layers, const puna_executor_options& options,
                    const AttentionPlan& attention, const Workers& workers,
                    const HostMemory& memory) {
    Cutter cutter(memory.data());
    const Scratch scratch = cut(layers, options, attention, workers, cutter);
    if (scratch.counters) make_zeros(scratch.counters, attention.n_counters());
    if (scratch.panels.taken) make_zeros(scratch.panels.taken, scratch.panels.n_memories);
    return scratch;
}

}  // namespace puna::core
