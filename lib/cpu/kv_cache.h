// The keys and values of a context, for the layers of one executor.
//
//   keys    [layer][page][head][head_dim_k][cell of the page]
//   values  [layer][page][head][cell of the page][head_dim_v]
//
// The keys of a page are transposed: scores of 32 cells are sums over rows of 32 contiguous
// elements, whatever the head size. What one head needs of a page is contiguous in both.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "cpu/host_memory.h"
#include "cpu/layer_set.h"
#include "cpu/workers.h"

namespace puna::core {

// One of the two halves.
struct KvHalf {
    // Where an element lies within the block of a head and page.
    int64_t offset(int32_t slot, int64_t d) const { return slot * slot_step + d * dim_step; }
    uint8_t* head(int32_t layer, int32_t kv_head) const {
        return memory.data() + (layer * n_pages * n_head_kv + kv_head) * head_bytes;
    }

    int32_t type = 0;  // PUNA_KV_*
    int64_t element_bytes = 0;
    int64_t head_dim = 0;
    int64_t n_head_kv = 0;
    int64_t n_pages = 0;
    int64_t slot_step = 0;  // elements between neighbouring cells, dimensions
    int64_t dim_step = 0;
    int64_t head_bytes = 0;  // of one head in one page
    int64_t page_bytes = 0;  // of all heads: from a page to the next
    uint64_t size_bytes = 0;
    HostMemory memory;
};

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

    // Writes one head [head_dim] of a cell.
    static void store(const KvHalf& half, int32_t layer, int32_t kv_head, int32_t cell,
                      const float* from);

    // As kv_move of the interface; the cells are valid.
    Status move(const Workers& workers, const puna_kv_move& move);
    // The canonical layout [cells][n_head_kv][head_dim] of one layer; sizes and cells are valid.
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
