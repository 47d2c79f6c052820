#include "cpu/kv_half.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/checked.h"
#include "cpu/kernel_table.h"
#include "format/block_format.h"
#include "format/kv_format.h"

namespace puna::core {

namespace {

constexpr int64_t kQ8Length = 32;  // elements of a Q8_0 block
constexpr int64_t kQ8ScaleBytes = 2;
constexpr int64_t kQ8BlockBytes = kQ8ScaleBytes + kQ8Length;
// A head is encoded in pieces, so that one of any size needs no memory.
constexpr int64_t kPiece = 256;
static_assert(kPiece % kQ8Length == 0);

// Between the cache and a line, whose type says the direction: const bytes go into the cache.
template <class Byte>
void exchange(uint8_t* stored, Byte* line, int64_t n_bytes) {
    if constexpr (std::is_const_v<Byte>) {
        std::memcpy(stored, line, static_cast<size_t>(n_bytes));
    } else {
        std::memcpy(line, stored, static_cast<size_t>(n_bytes));
    }
}

// n pieces of kBytes, which lie `step` bytes apart in the cache.
template <int64_t kBytes, class Byte>
void exchange_strided(uint8_t* stored, int64_t step, Byte* line, int64_t n) {
    for (int64_t i = 0; i < n; ++i) exchange(stored + i * step, line + i * kBytes, kBytes);
}

// n elements from dimension `begin` on.
template <int64_t kBytes, class Byte>
void exchange_elements(const KvHalf& half, uint8_t* block, int32_t slot, int64_t begin, int64_t n,
                       Byte* line) {
    constexpr int64_t kStep = PUNA_KV_PAGE * kBytes;
    if (half.is_keys) {
        exchange_strided<kBytes>(block + begin * kStep + slot * kBytes, kStep, line, n);
    } else {
        exchange(block + (slot * half.head_dim + begin) * kBytes, line, n * kBytes);
    }
}

template <class Byte>
void exchange_q8_0(const KvHalf& half, uint8_t* block, int32_t slot, int64_t begin, int64_t n,
                   Byte* line) {
    constexpr int64_t kScaleRow = PUNA_KV_PAGE * kQ8ScaleBytes;
    uint8_t* scales = block + half.head_dim * PUNA_KV_PAGE;
    for (int64_t d = begin; d < begin + n; d += kQ8Length, line += kQ8BlockBytes) {
        const int64_t count = std::min(kQ8Length, begin + n - d);
        exchange(scales + d / kQ8Length * kScaleRow + slot * kQ8ScaleBytes, line, kQ8ScaleBytes);
        Byte* elements = line + kQ8ScaleBytes;
        if (half.is_keys) {
            uint8_t* pairs = block + d * PUNA_KV_PAGE;
            exchange_strided<2>(pairs + slot * 2, PUNA_KV_PAGE * 2, elements, count / 2);
            if (count % 2 == 0) continue;
            exchange(pairs + (count - 1) * PUNA_KV_PAGE + slot, elements + count - 1, 1);
        } else {
            exchange(block + slot * half.head_dim + d, elements, count);
        }
    }
}

// The part of a line that holds n elements from dimension `begin` on, a multiple of kQ8Length.
template <class Byte>
void exchange_part(const KvHalf& half, uint8_t* block, int32_t slot, int64_t begin, int64_t n,
                   Byte* part) {
    switch (half.type) {
        case PUNA_KV_F32:
            return exchange_elements<4>(half, block, slot, begin, n, part);
        case PUNA_KV_Q8_0:
            return exchange_q8_0(half, block, slot, begin, n, part);
        default:
            return exchange_elements<2>(half, block, slot, begin, n, part);
    }
}

// n elements of a line, from the beginning of a block on.
void decode(const KvHalf& half, const uint8_t* part, int64_t n, float* out) {
    const BlockFormatInfo& format = block_format_info(*kv_block_format(half.type));
    const int64_t n_rest = n % format.block_length;
    const int64_t n_whole = n - n_rest;
    format.dequantize(part, out, n_whole);
    if (n_rest == 0) return;
    uint8_t last[kQ8BlockBytes] = {};
    float elements[kQ8Length];
    std::memcpy(last, part + n_whole / kQ8Length * kQ8BlockBytes,
                static_cast<size_t>(kQ8ScaleBytes + n_rest));
    format.dequantize(last, elements, kQ8Length);
    std::copy_n(elements, n_rest, out + n_whole);
}

}  // namespace

Result<KvHalf> KvHalf::plan(const LayerSet& layers, const puna_executor_options& options,
                            int32_t keys_or_values) {
    KvHalf half;
    half.is_keys = keys_or_values == PUNA_KV_KEYS;
    half.type = half.is_keys ? options.kv_type_k : options.kv_type_v;
    half.encode = layers.kernels->kv_encode[half.type].run;
    half.head_dim = half.is_keys ? layers.spec.head_dim_k : layers.spec.head_dim_v;
    half.n_head_kv = layers.spec.n_head_kv;
    half.n_pages = options.n_cells / PUNA_KV_PAGE;
    const auto line_bytes =
        *kv_head_bytes(half.type, static_cast<int32_t>(half.head_dim));  // below 2^34
    uint64_t page_bytes = 0;
    uint64_t bytes = 0;
    if (!checked_mul<uint64_t>(line_bytes * PUNA_KV_PAGE, static_cast<uint64_t>(half.n_head_kv),
                               &page_bytes) ||
        page_bytes > INT64_MAX ||
        !checked_mul<uint64_t>(page_bytes, static_cast<uint64_t>(half.n_pages), &bytes) ||
        !checked_mul<uint64_t>(bytes, layers.layers.size(), &bytes) || bytes > INT64_MAX) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "the KV cache of %d cells does not fit the address space",
                           options.n_cells);
    }
    half.line_bytes = static_cast<int64_t>(line_bytes);
    half.head_bytes = half.line_bytes * PUNA_KV_PAGE;
    half.page_bytes = static_cast<int64_t>(page_bytes);
    half.size_bytes = bytes;
    return half;
}

void KvHalf::store(int32_t layer, int32_t kv_head, int32_t cell, const float* from) const {
    uint8_t* to = block(layer, kv_head, cell);
    uint8_t part[kPiece * sizeof(float)];
    for (int64_t d = 0; d < head_dim; d += kPiece) {
        const int64_t n = std::min(kPiece, head_dim - d);
        encode(from + d, n, part);
        exchange_part<const uint8_t>(*this, to, cell % PUNA_KV_PAGE, d, n, part);
    }
}

void KvHalf::load(int32_t layer, int32_t kv_head, int32_t cell, float* to) const {
    uint8_t* from = block(layer, kv_head, cell);
    uint8_t part[kPiece * sizeof(float)];
    for (int64_t d = 0; d < head_dim; d += kPiece) {
        const int64_t n = std::min(kPiece, head_dim - d);
        exchange_part<uint8_t>(*this, from, cell % PUNA_KV_PAGE, d, n, part);
        decode(*this, part, n, to + d);
    }
}

void KvHalf::put_line(int32_t layer, int32_t kv_head, int32_t cell, const uint8_t* line) const {
    exchange_part(*this, block(layer, kv_head, cell), cell % PUNA_KV_PAGE, 0, head_dim, line);
}

void KvHalf::get_line(int32_t layer, int32_t kv_head, int32_t cell, uint8_t* line) const {
    exchange_part(*this, block(layer, kv_head, cell), cell % PUNA_KV_PAGE, 0, head_dim, line);
}

}  // namespace puna::core
