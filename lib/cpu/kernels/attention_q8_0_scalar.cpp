// Attention over a cache of Q8_0: cpu/kv_half.h has the layout of a head's part of a page.
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/half_scalar.h"

namespace puna::core {
namespace {

constexpr int32_t kBlock = 32;              // dimensions with a scale
constexpr int64_t kScaleRow = 2 * kKvPage;  // bytes: F16, a scale for each cell

int32_t shorter(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// Dimension d of the cells of a page, without its scale: in pairs, but for a last odd one.
void load_keys(const uint8_t* bytes, int32_t d, int32_t dim, float* out) {
    const bool is_paired = (d | 1) < dim;
    const uint8_t* from = bytes + (d & ~1) * kKvPage + (is_paired ? d & 1 : 0);
    const int32_t step = is_paired ? 2 : 1;
    for (int32_t cell = 0; cell < kKvPage; ++cell) {
        out[cell] = static_cast<float>(static_cast<int8_t>(from[cell * step]));
    }
}

void score_page(const AttentionChunk& chunk, const uint8_t* page, float* scores) {
    const int32_t dim = chunk.head_dim_k;
    for (int32_t h = 0; h < chunk.n_queries; ++h) {
        std::memset(scores + h * kAttentionChunk, 0, kKvPage * sizeof(float));
    }
    for (int32_t first = 0; first < dim; first += kBlock) {
        float sums[kAttentionQueries][kKvPage] = {};
        for (int32_t d = first; d < shorter(first + kBlock, dim); ++d) {
            float key[kKvPage];
            load_keys(page, d, dim, key);
            for (int32_t h = 0; h < chunk.n_queries; ++h) {
                const float q = chunk.q[h * dim + d];
                for (int32_t cell = 0; cell < kKvPage; ++cell) sums[h][cell] += q * key[cell];
            }
        }
        float scales[kKvPage];
        load_halves(page + int64_t{dim} * kKvPage + first / kBlock * kScaleRow, kKvPage, scales);
        for (int32_t h = 0; h < chunk.n_queries; ++h) {
            float* out = scores + h * kAttentionChunk;
            for (int32_t cell = 0; cell < kKvPage; ++cell)
                out[cell] += scales[cell] * sums[h][cell];
        }
    }
}

// Adds what a cell gives to the outputs of all queries.
void mix_cell(const AttentionChunk& chunk, const uint8_t* page, int32_t p) {
    const int32_t dim = chunk.head_dim_v;
    const int32_t cell = p % kKvPage;
    const uint8_t* bytes = page + int64_t{cell} * dim;
    const uint8_t* scales = page + int64_t{dim} * kKvPage + 2 * cell;
    for (int32_t first = 0; first < dim; first += kBlock) {
        const int32_t count = shorter(kBlock, dim - first);
        float scale;
        load_halves(scales + first / kBlock * kScaleRow, 1, &scale);
        float value[kBlock];
        for (int32_t i = 0; i < count; ++i) {
            value[i] = static_cast<float>(static_cast<int8_t>(bytes[first + i]));
        }
        for (int32_t h = 0; h < chunk.n_queries; ++h) {
            const float weight = scale * chunk.scores[h * kAttentionChunk + p % kAttentionChunk];
            float* out = chunk.out + int64_t{h} * dim + first;
            for (int32_t i = 0; i < count; ++i) out[i] += weight * value[i];
        }
    }
}

}  // namespace

void attention_scores_q8_0_scalar(const AttentionChunk& chunk) {
    for (int32_t page = chunk.begin / kKvPage; page * kKvPage < chunk.end; ++page) {
        score_page(chunk, chunk.keys + chunk.pages[page] * chunk.key_page_bytes,
                   chunk.scores + page * kKvPage % kAttentionChunk);
    }
}

void attention_values_q8_0_scalar(const AttentionChunk& chunk) {
    const int64_t n = int64_t{chunk.n_queries} * chunk.head_dim_v;
    for (int64_t i = 0; i < n; ++i) chunk.out[i] = 0.0f;
    for (int32_t p = chunk.begin; p < chunk.end; ++p) {
        mix_cell(chunk, chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes, p);
    }
}

}  // namespace puna::core
