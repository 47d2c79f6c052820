// The keys and values of a context, for the layers of one executor: kv_half.h has the layout.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "cpu/kv_half.h"
#include "cpu/layer_set.h"
#include "cpu/workers.h"

namespace puna::core {

class KvCache {
  public:
    // Sizes only. OUT_OF_MEMORY when they do not fit 64 bits.
    static Result<KvCache> plan(const LayerSet& layers, const puna_executor_options& options);
    Status allocate(const puna_host_services& services);

    uint64_t size_bytes() const { return keys_.size_bytes + values_.size_bytes; }
    const KvHalf& keys() const { return keys_; }
    const KvHalf& values() const { return values_; }
    const KvHalf& half(int32_t keys_or_values) const {
        return keys_or_values == PUNA_KV_KEYS ? keys_ : values_;
    }

    // As kv_move of the interface; the cells are valid.
    Status move(const Workers& workers, const puna_kv_move& move);
    // The canonical layout [cells][n_head_kv][line] of one layer; sizes and cells are valid.
    static void read(const KvHalf& half, int32_t layer, std::span<const int32_t> cells,
                     uint8_t* out);
    static void write(const KvHalf& half, int32_t layer, std::span<const int32_t> cells,
                      const uint8_t* data);

  private:
    const puna_model_spec* spec_ = nullptr;  // of the layer set
    int32_t n_layers_ = 0;
    KvHalf keys_;
    KvHalf values_;
};

}  // namespace puna::core
