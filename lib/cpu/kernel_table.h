// The kernels in force: one table per backend object, chosen once.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "cpu/kernels.h"
#include "seam/backend_limits.h"

namespace puna::core {

// An entry keeps the name of the set it comes from: a set that lacks a kernel inherits that of the
// next lower one, and what really runs can be reported.
template <class Fn>
struct KernelEntry {
    Fn run = nullptr;  // null: no set in force has it
    const char* set = "";
};

// How activations are packed for some panel kernels.
struct RowPacking {
    int32_t group;        // rows that are packed together
    int32_t fewest_rows;  // of a batch; fewer pass through the kernels for few rows
    PackRowsFn pack;
    PackedBytesFn bytes;
    int64_t slice = 0;               // columns that are packed together; 0: all
    PanelMemoryFn memory = nullptr;  // of the kernels; null: they need none
    bool gates = false;              // the kernels take PanelBlock::up
    int32_t most_rows = INT32_MAX;   // of a batch; more pass through other panel kernels

    bool is_for_small_batches() const { return most_rows < INT32_MAX; }
};

struct PanelEntry : KernelEntry<PanelFn> {
    const RowPacking* packing = nullptr;
};

struct RowsAttentionEntry : KernelEntry<AttentionRowsFn> {
    AttentionMemoryFn memory = nullptr;
};

struct KernelTable {
    static constexpr int32_t kFormats = 40;  // above every PUNA_FORMAT_*
    static constexpr int32_t kKvTypes = 5;   // above every PUNA_KV_*
    static constexpr int32_t kNorms = 3;
    static constexpr int32_t kActivations = 4;
    static constexpr int32_t kRopes = 3;

    const char* name = "";
    uint64_t features = 0;                            // what the processor must have
    ReadOrder read_order = ReadOrder::kRowsTogether;  // that suits the processor
    KernelEntry<LinearFn> linear[kFormats];
    PanelEntry panel[kFormats];
    PanelEntry small_panel[kFormats];  // for batches that are small, see RowPacking::most_rows
    KernelEntry<KvEncodeFn> kv_encode[kKvTypes];
    KernelEntry<AttentionFn> attention_scores[kKvTypes];
    KernelEntry<AttentionFn> attention_values[kKvTypes];
    RowsAttentionEntry attention_rows[kKvTypes];  // where keys and values have the same type
    KernelEntry<SoftmaxFn> softmax;
    KernelEntry<NormFn> norm[kNorms];
    KernelEntry<ActivationFn> activation[kActivations];
    KernelEntry<RopeFn> rope[kRopes];

    // Null unless matrices in the format can be multiplied. Any number may be asked.
    const KernelEntry<LinearFn>* linear_of(int32_t format) const {
        if (format < 0 || format >= kFormats || !linear[format].run) return nullptr;
        return &linear[format];
    }
    // Null unless many rows have a kernel of their own for the format. Any number may be asked.
    const PanelEntry* panel_of(int32_t format) const {
        if (format < 0 || format >= kFormats || !panel[format].run) return nullptr;
        return &panel[format];
    }
    // Null unless small batches have another one. Any number may be asked.
    const PanelEntry* small_panel_of(int32_t format) const {
        if (format < 0 || format >= kFormats || !small_panel[format].run) return nullptr;
        return &small_panel[format];
    }
    // Null unless many rows have a kernel of their own for a cache of this type. Any number may be asked.
    const RowsAttentionEntry* attention_rows_of(int32_t type) const {
        if (type < 0 || type >= kKvTypes || !attention_rows[type].run) return nullptr;
        return &attention_rows[type];
    }
    // True when the cache may hold elements of this type. Any number may be asked.
    bool has_kv_type(int32_t type) const {
        return type >= 0 && type < kKvTypes && kv_encode[type].run && attention_scores[type].run &&
               attention_values[type].run;
    }
};

// What the kernels of a table can do.
BackendLimits limits_of(const KernelTable& kernels);

// The names of the sets in this build, the lowest first.
std::span<const char* const> kernel_set_names();

// The best set that a processor with these features runs, or the one of this name: a name that the
// build or the processor lacks is PUNA_ERROR_UNSUPPORTED. `forced` null or empty: none.
Result<KernelTable> choose_kernels(uint64_t cpu_features, const char* forced);

}  // namespace puna::core
