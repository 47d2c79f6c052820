#include "cpu/kv_cache.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "cpu/rope.h"

namespace puna::core {

namespace {

// Cells in the order that keeps overlapping ranges whole.
template <class Work>
void for_each_cell(const puna_kv_move& move, const Work& work) {
    for (int32_t i = 0; i < move.n_cells; ++i) {
        const int32_t at = move.target > move.source ? move.n_cells - 1 - i : i;
        work(move.source + at, move.target + at);
    }
}

// `line` takes line_bytes.
void move_head(const KvHalf& half, int32_t layer, int32_t kv_head, const puna_kv_move& move,
               uint8_t* line) {
    for_each_cell(move, [&](int32_t source, int32_t target) {
        half.get_line(layer, kv_head, source, line);
        half.put_line(layer, kv_head, target, line);
    });
}

// `head` takes head_dim floats. The type of the cache rounds keys once more.
void turn_head(const KvHalf& half, int32_t layer, int32_t kv_head, const puna_kv_move& move,
               const puna_model_spec& spec, const float* table, float* head) {
    for_each_cell(move, [&](int32_t source, int32_t target) {
        half.load(layer, kv_head, source, head);
        rope_turn(spec, table, head);
        half.store(layer, kv_head, target, head);
    });
}

}  // namespace

Result<KvCache> KvCache::plan(const LayerSet& layers, const puna_executor_options& options) {
    KvCache cache;
    cache.spec_ = &layers.spec;
    cache.n_layers_ = layers.n_layers();
    PUNA_TRY_ASSIGN(cache.keys_, KvHalf::plan(layers, options, PUNA_KV_KEYS));
    PUNA_TRY_ASSIGN(cache.values_, KvHalf::plan(layers, options, PUNA_KV_VALUES));
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

Status KvCache::move(const Workers& workers, const puna_kv_move& move) {
    const bool turns = move.delta != 0 && rope_table_size(*spec_) > 0;
    if (move.source == move.target && !turns) return {};
    std::vector<float> table(static_cast<size_t>(rope_table_size(*spec_)));
    if (turns) rope_table(*spec_, move.delta, 1.0f, table.data());

    const int64_t n_heads = n_layers_ * keys_.n_head_kv;
    const int32_t n_parts = workers.parts_for(n_heads);
    // No type takes more than 4 bytes for an element, so a line fits the floats of a head.
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
        for (int32_t head = 0; head < half.n_head_kv; ++head, out += half.line_bytes) {
            half.get_line(layer, head, cell, out);
        }
    }
}

void KvCache::write(const KvHalf& half, int32_t layer, std::span<const int32_t> cells,
                    const uint8_t* data) {
    for (const int32_t cell : cells) {
        for (int32_t head = 0; head < half.n_head_kv; ++head, data += half.line_bytes) {
            half.put_line(layer, head, cell, data);
        }
    }
}

}  // namespace puna::core
