#include "cpu/kv_cache.h"

#include <cstring>
#include <vector>

#include "base/checked.h"
#include "cpu/rope.h"
#include "format/half.h"

namespace puna::core {

namespace {

void store_element(int32_t type, uint8_t* at, float value) {
    if (type == PUNA_KV_F32) {
        std::memcpy(at, &value, sizeof value);
    } else {
        const uint16_t half = float_to_half(value);
        std::memcpy(at, &half, sizeof half);
    }
}

float load_element(int32_t type, const uint8_t* at) {
    if (type == PUNA_KV_F32) {
        float value;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    uint16_t half;
    std::memcpy(&half, at, sizeof half);
    return half_to_float(half);
}

Status plan_half(const LayerSet& layers, const puna_executor_options& options, int32_t type,
                 int64_t head_dim, KvHalf* half) {
    half->type = type;
    half->element_bytes = type == PUNA_KV_F32 ? 4 : 2;
    half->head_dim = head_dim;
    half->n_head_kv = layers.spec.n_head_kv;
    half->n_pages = options.n_cells / PUNA_KV_PAGE;
    // head_dim is below 2^31, so this fits.
    half->head_bytes = head_dim * PUNA_KV_PAGE * half->element_bytes;
    uint64_t page_bytes = 0;
    uint64_t bytes = 0;
    if (!checked_mul<uint64_t>(static_cast<uint64_t>(half->head_bytes),
                               static_cast<uint64_t>(half->n_head_kv), &page_bytes) ||
        page_bytes > INT64_MAX ||
        !checked_mul<uint64_t>(page_bytes, static_cast<uint64_t>(half->n_pages), &bytes) ||
        !checked_mul<uint64_t>(bytes, layers.layers.size(), &bytes) || bytes > INT64_MAX) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "the KV cache of %d cells does not fit the address space",
                           options.n_cells);
    }
    half->page_bytes = static_cast<int64_t>(page_bytes);
    half->size_bytes = bytes;
    return {};
}

// The first byte of a head's block in the page of a cell.
uint8_t* block_of(const KvHalf& half, int32_t layer, int32_t kv_head, int32_t cell) {
    return half.head(layer, kv_head) + cell / PUNA_KV_PAGE * half.page_bytes;
}

// The elements of one head of one cell, in order, to and from `line`.
void gather(const KvHalf& half, const uint8_t* block, int32_t slot, uint8_t* line) {
    for (int64_t d = 0; d < half.head_dim; ++d, line += half.element_bytes) {
        std::memcpy(line, block + half.offset(slot, d) * half.element_bytes,
                    static_cast<size_t>(half.element_bytes));
    }
}

void scatter(const KvHalf& half, uint8_t* block, int32_t slot, const uint8_t* line) {
    for (int64_t d = 0; d < half.head_dim; ++d, line += half.element_bytes) {
        std::memcpy(block + half.offset(slot, d) * half.element_bytes, line,
                    static_cast<size_t>(half.element_bytes));
    }
}

// Cells in the order that keeps overlapping ranges whole.
template <class Work>
void for_each_cell(const puna_kv_move& move, const Work& work) {
    for (int32_t i = 0; i < move.n_cells; ++i) {
        const int32_t at = move.target > move.source ? move.n_cells - 1 - i : i;
        work(move.source + at, move.target + at);
    }
}

void move_head(const KvHalf& half, int32_t layer, int32_t kv_head, const puna_kv_move& move,
               uint8_t* line) {
    for_each_cell(move, [&](int32_t source, int32_t target) {
        gather(half, block_of(half, layer, kv_head, source), source % PUNA_KV_PAGE, line);
        scatter(half, block_of(half, layer, kv_head, target), target % PUNA_KV_PAGE, line);
    });
}

void turn_head(const KvHalf& half, int32_t layer, int32_t kv_head, const puna_kv_move& move,
               const puna_model_spec& spec, const float* table, float* line) {
    for_each_cell(move, [&](int32_t source, int32_t target) {
        const uint8_t* from = block_of(half, layer, kv_head, source);
        uint8_t* to = block_of(half, layer, kv_head, target);
        for (int64_t d = 0; d < half.head_dim; ++d) {
            const int64_t offset = half.offset(source % PUNA_KV_PAGE, d);
            line[d] = load_element(half.type, from + offset * half.element_bytes);
        }
        rope_turn(spec, table, line);
        for (int64_t d = 0; d < half.head_dim; ++d) {
            const int64_t offset = half.offset(target % PUNA_KV_PAGE, d);
            store_element(half.type, to + offset * half.element_bytes, line[d]);
        }
    });
}

}  // namespace

Result<KvCache> KvCache::plan(const LayerSet& layers, const puna_executor_options& options) {
    KvCache cache;
    cache.spec_ = &layers.spec;
    cache.n_layers_ = layers.n_layers();
    PUNA_TRY(plan_half(layers, options, options.kv_type_k, layers.spec.head_dim_k, &cache.keys_));
    PUNA_TRY(plan_half(layers, options, options.kv_type_v, layers.spec.head_dim_v, &cache.values_));
    cache.keys_.slot_step = 1;
    cache.keys_.dim_step = PUNA_KV_PAGE;
    cache.values_.slot_step = layers.spec.head_dim_v;
    cache.values_.dim_step = 1;
    uint64_t sum = 0;
    if (!checked_add(cache.keys_.size_bytes, cache.values_.size_bytes, &sum)) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY,
                           "the KV cache of %d cells does not fit the address space",
                           options.n_cells);
    }
    return cache;
}

Status KvCache::allocate(const puna_host_services& services) {
    PUNA_TRY_ASSIGN(keys_.memory,
                    HostMemory::create(services, keys_.size_bytes, "KV cache (keys)"));
    PUNA_TRY_ASSIGN(values_.memory,
                    HostMemory::create(services, values_.size_bytes, "KV cache (values)"));
    return {};
}

void KvCache::store(const KvHalf& half, int32_t layer, int32_t kv_head, int32_t cell,
                    const float* from) {
    uint8_t* block = block_of(half, layer, kv_head, cell);
    const int32_t slot = cell % PUNA_KV_PAGE;
    for (int64_t d = 0; d < half.head_dim; ++d) {
        store_element(half.type, block + half.offset(slot, d) * half.element_bytes, from[d]);
    }
}

Status KvCache::move(const Workers& workers, const puna_kv_move& move) {
    const bool turns = move.delta != 0 && rope_table_size(*spec_) > 0;
    if (move.source == move.target && !turns) return {};
    std::vector<float> table(static_cast<size_t>(rope_table_size(*spec_)));
    if (turns) rope_table(*spec_, move.delta, 1.0f, table.data());

    const int64_t n_heads = n_layers_ * keys_.n_head_kv;
    const int32_t n_parts = workers.parts_for(n_heads);
    const auto line_size = static_cast<size_t>(std::max(keys_.head_dim, values_.head_dim));
    std::vector<float> lines(static_cast<size_t>(n_parts) * line_size);
    workers.run(n_parts, [&](int32_t part) {
        float* line = lines.data() + static_cast<size_t>(part) * line_size;
        const Range range = part_of(n_heads, 1, part, n_parts);
        for (int64_t i = range.begin; i < range.end; ++i) {
            const auto layer = static_cast<int32_t>(i / keys_.n_head_kv);
            const auto head = static_cast<int32_t>(i % keys_.n_head_kv);
            if (turns) {
                turn_head(keys_, layer, head, move, *spec_, table.data(), line);
            } else {
                move_head(keys_, layer, head, move, reinterpret_cast<uint8_t*>(line));
            }
            if (move.source == move.target) continue;
            move_head(values_, layer, head, move, reinterpret_cast<uint8_t*>(line));
        }
    });
    return {};
}

void KvCache::read(const KvHalf& half, int32_t layer, std::span<const int32_t> cells,
                   uint8_t* out) {
    for (const int32_t cell : cells) {
        for (int32_t head = 0; head < half.n_head_kv; ++head) {
            gather(half, block_of(half, layer, head, cell), cell % PUNA_KV_PAGE, out);
            out += half.head_dim * half.element_bytes;
        }
    }
}

void KvCache::write(const KvHalf& half, int32_t layer, std::span<const int32_t> cells,
                    const uint8_t* data) {
    for (const int32_t cell : cells) {
        for (int32_t head = 0; head < half.n_head_kv; ++head) {
            scatter(half, block_of(half, layer, head, cell), cell % PUNA_KV_PAGE, data);
            data += half.head_dim * half.element_bytes;
        }
    }
}

}  // namespace puna::core
