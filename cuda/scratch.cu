#include "cuda/scratch.h"

#include <algorithm>

#include "cuda/attention.h"
#include "cuda/linear_bf16.h"

namespace puna::cuda {

namespace {

constexpr uint64_t kAlignment = 256;

// Hands out the parts of an allocation.
struct Cutter {
    uint8_t* base;
    uint64_t used = 0;

    template <class T>
    T* take(int64_t n) {
        const uint64_t offset = used;
        const uint64_t bytes = static_cast<uint64_t>(n) * sizeof(T);
        used += (bytes + kAlignment - 1) / kAlignment * kAlignment;
        return base && n > 0 ? reinterpret_cast<T*>(base + offset) : nullptr;
    }
};

int64_t power_of_two_from(int64_t n) {
    int64_t power = 1;
    while (power < n) power *= 2;
    return power;
}

int32_t rows_to_split(const puna_model_spec& spec, int64_t max_chunks, int64_t max_rows) {
    const int64_t row_bytes = spec.n_head * max_chunks * partial_floats(spec) * 4;
    return static_cast<int32_t>(std::clamp<int64_t>(kMostPartialBytes / row_bytes, 1, max_rows));
}

// The largest slice of a product of a layer. Whoever wants the same results for any batch needs none.
int64_t slice_bytes(const puna_model_spec& spec, const puna_executor_options& options) {
    if (options.deterministic != 0 || options.max_rows <= kFewRows) return 0;
    return std::max({bf16_slice_bytes(qkv_columns(spec), spec.n_embd),
                     bf16_slice_bytes(spec.n_embd, attn_columns(spec)),
                     bf16_slice_bytes(int64_t{2} * spec.n_ff, spec.n_embd),
                     bf16_slice_bytes(spec.n_embd, spec.n_ff)});
}

}  // namespace

Scratch make_scratch(const puna_model_spec& spec, bool has_head,
                     const puna_executor_options& options, uint8_t* base) {
    const int64_t rows = std::max(options.max_rows, 1);
    const int64_t widest = std::max({int64_t{spec.n_embd}, attn_columns(spec), int64_t{spec.n_ff}});
    Scratch s;
    Cutter cutter = {base};
    s.x = cutter.take<float>(rows * spec.n_embd);
    s.normed = cutter.take<float>(rows * spec.n_embd);
    s.rounded = cutter.take<uint8_t>(rounded_bytes(rows, widest));
    s.slice_bytes = slice_bytes(spec, options);
    s.slice = cutter.take<uint8_t>(s.slice_bytes);
    s.parts_bytes = s.slice_bytes > 0 ? kBf16PartsBytes : 0;
    s.parts = cutter.take<float>(s.parts_bytes / 4);
    s.qkv = cutter.take<float>(rows * qkv_columns(spec));
    s.attn = cutter.take<float>(rows * attn_columns(spec));
    s.gate = cutter.take<float>(std::max(rows * spec.n_ff, bf16_bytes(rows, spec.n_ff) / 4));
    s.up = cutter.take<float>(rows * spec.n_ff);
    s.rope = cutter.take<float>(rows * spec.rope_dim);
    s.max_chunks = options.n_ctx / kAttentionChunk + 2;
    s.split_rows = rows_to_split(spec, s.max_chunks, rows);
    s.partials = cutter.take<float>(int64_t{s.split_rows} * spec.n_head * s.max_chunks *
                                    partial_floats(spec));
    s.arrivals = cutter.take<uint32_t>(rows * spec.n_head);
    if (has_head) {
        s.head_rows = std::min(kMostHeadRows, std::max(options.max_outputs, 1));
        s.sorting_size = power_of_two_from(spec.n_vocab);
        s.logits = cutter.take<float>(int64_t{s.head_rows} * spec.n_vocab);
        s.sorting = cutter.take<uint64_t>(s.head_rows * s.sorting_size);
    }
    s.bytes = cutter.used;
    return s;
}

uint64_t scratch_bytes(const puna_model_spec& spec, bool has_head,
                       const puna_executor_options& options) {
    return make_scratch(spec, has_head, options, nullptr).bytes;
}

}  // namespace puna::cuda
