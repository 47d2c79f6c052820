// The keys or the values of a context, for the layers of one executor.
//
//   keys    [layer][page][head][head_dim_k][cell of the page]
//   values  [layer][page][head][cell of the page][head_dim_v]
//
// The keys of a page are transposed: scores of 32 cells are sums over rows of 32 contiguous
// elements, whatever the head size. What one head needs of a page is contiguous in both: its block.
//
// With Q8_0 the bytes of values lie in this order, those of keys in pairs, which is how 16-bit products
// are summed: [head_dim / 2][cell of the page][2], and a last row [cell of the page] if head_dim is
// odd. The scales are behind the bytes, F16 [(head_dim + 31) / 32][cell of the page]: 64 bytes at
// least, so that kernels may read 32 bytes where a head ends.
//
// A line is one head of one cell as saved states hold it: head_dim elements in order; Q8_0: blocks of
// 32 elements and a shorter last one, each an F16 scale and then its bytes.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "cpu/host_memory.h"
#include "cpu/layer_set.h"

namespace puna::core {

struct KvHalf {
    // Sizes only. OUT_OF_MEMORY when they do not fit 64 bits.
    static Result<KvHalf> plan(const LayerSet& layers, const puna_executor_options& options,
                               int32_t keys_or_values);

    // The block of a head in page 0, and in the page of a cell.
    uint8_t* head(int32_t layer, int32_t kv_head) const {
        return memory.data() + (layer * n_pages * n_head_kv + kv_head) * head_bytes;
    }
    uint8_t* block(int32_t layer, int32_t kv_head, int32_t cell) const {
        return head(layer, kv_head) + cell / PUNA_KV_PAGE * page_bytes;
    }

    // One head [head_dim] of a cell.
    void store(int32_t layer, int32_t kv_head, int32_t cell, const float* from) const;
    void load(int32_t layer, int32_t kv_head, int32_t cell, float* to) const;
    // Its line [line_bytes], as it is.
    void put_line(int32_t layer, int32_t kv_head, int32_t cell, const uint8_t* line) const;
    void get_line(int32_t layer, int32_t kv_head, int32_t cell, uint8_t* line) const;

    int32_t type = 0;  // PUNA_KV_*
    bool is_keys = false;
    KvEncodeFn encode = nullptr;
    int64_t head_dim = 0;
    int64_t n_head_kv = 0;
    int64_t n_pages = 0;
    int64_t line_bytes = 0;  // of one head in one cell
    int64_t head_bytes = 0;  // of one head in one page
    int64_t page_bytes = 0;  // of all heads: from a page to the next
    uint64_t size_bytes = 0;
    HostMemory memory;
};

}  // namespace puna::core
