#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_neon.h"
#include "cpu/kernels/unroll_neon.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 4;

// Elements of the cache, four at a time.
struct F32 {
    static constexpr int64_t kBytes = 4;
    static float32x4_t load(const uint8_t* at) { return vreinterpretq_f32_u8(vld1q_u8(at)); }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static float32x4_t load(const uint8_t* at) {
        return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at)));
    }
};

// The `left` elements at `at`, fewer than a vector holds, and zeros.
template <class Element>
float32x4_t load_rest(const uint8_t* at, int32_t left) {
    uint8_t rest[kLanes * Element::kBytes] = {};
    std::memcpy(rest, at, static_cast<size_t>(left * Element::kBytes));
    return Element::load(rest);
}

// Vectors per query in one pass: 16 accumulators, or 8 for a single query, whose page has no more.
template <int32_t kQueries>
constexpr int32_t kVectors = kQueries == 1 ? 8 : 16 / kQueries;

// The scores of kVectors vectors of cells of one page. `next` is the same place in the page that
// follows, or null: the addresses of pages are unknown to the processor's own prefetcher.
template <class Element, int32_t kQueries>
void score_cells(const uint8_t* keys, const uint8_t* next, const float* q, int32_t dim,
                 float* scores) {
    constexpr int32_t kWidth = kVectors<kQueries>;
    float32x4_t sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = vdupq_n_f32(0.0f);
    }
    for (int32_t d = 0; d < dim; ++d) {
        const int64_t at = d * kKvPage * Element::kBytes;
        if (next) __builtin_prefetch(next + at);
        float32x4_t k[kWidth];
        for (int32_t i = 0; i < kWidth; ++i) {
            k[i] = Element::load(keys + at + i * kLanes * Element::kBytes);
        }
        for (int32_t h = 0; h < kQueries; ++h) {
            const float factor = q[int64_t{h} * dim + d];
            for (int32_t i = 0; i < kWidth; ++i) {
                sums[h][i] = vfmaq_n_f32(sums[h][i], k[i], factor);
            }
        }
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) {
            vst1q_f32(scores + h * kAttentionChunk + i * kLanes, sums[h][i]);
        }
    }
}

template <class Element, int32_t kQueries>
void score_pages(const AttentionChunk& chunk, int32_t first_query) {
    constexpr int32_t kCells = kVectors<kQueries> * kLanes;
    const float* q = chunk.q + int64_t{first_query} * chunk.head_dim_k;
    float* scores = chunk.scores + first_query * kAttentionChunk;
    const int32_t last = (chunk.end - 1) / kKvPage;
    for (int32_t page = chunk.begin / kKvPage; page <= last; ++page) {
        const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
        const uint8_t* next =
            page < last ? chunk.keys + chunk.pages[page + 1] * chunk.key_page_bytes : nullptr;
        float* page_scores = scores + page * kKvPage % kAttentionChunk;
        for (int32_t cell = 0; cell < kKvPage; cell += kCells) {
            const int64_t at = cell * Element::kBytes;
            score_cells<Element, kQueries>(keys + at, next ? next + at : nullptr, q,
                                           chunk.head_dim_k, page_scores + cell);
        }
    }
}

// out[h][d .. d + 4 * kWidth) for kQueries queries; with kWidth 1 no more than up to head_dim_v.
template <class Element, int32_t kQueries, int32_t kWidth>
void mix_values(const AttentionChunk& chunk, int32_t first_query, int32_t d) {
    const int32_t dim = chunk.head_dim_v;
    const int64_t cell_bytes = dim * Element::kBytes;
    const int32_t width = dim - d;
    float32x4_t sums[kQueries][kWidth];
    unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
        unroll<kWidth>([&](auto i) { sums[h][i] = vdupq_n_f32(0.0f); });
    });
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const uint8_t* value = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes +
                               in_page * cell_bytes + d * Element::kBytes;
        const float* weights = chunk.scores + first_query * kAttentionChunk + p % kAttentionChunk;
        for (int32_t cell = 0; cell < count; ++cell, value += cell_bytes) {
            float32x4_t v[kWidth];
            if (kWidth == 1 && width < kLanes) {
                v[0] = load_rest<Element>(value, width);
            } else {
                for (int32_t i = 0; i < kWidth; ++i) {
                    v[i] = Element::load(value + i * kLanes * Element::kBytes);
                }
            }
            unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
                const float weight = weights[h * kAttentionChunk + cell];
                unroll<kWidth>([&](auto i) __attribute__((always_inline)) {
                    sums[h][i] = vfmaq_n_f32(sums[h][i], v[i], weight);
                });
            });
        }
        p += count;
    }
    unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
        float* out = chunk.out + int64_t{first_query + h} * dim + d;
        if constexpr (kWidth == 1) {
            store_lanes(out, width, sums[h][0]);
        } else {
            unroll<kWidth>([&](auto i) { vst1q_f32(out + i * kLanes, sums[h][i]); });
        }
    });
}

template <class Element, int32_t kQueries>
void mix_all_values(const AttentionChunk& chunk, int32_t first_query) {
    constexpr int32_t kWidth = kVectors<kQueries>;
    const int32_t dim = chunk.head_dim_v;
    int32_t d = 0;
    for (; d + kWidth * kLanes <= dim; d += kWidth * kLanes) {
        mix_values<Element, kQueries, kWidth>(chunk, first_query, d);
    }
    for (; d < dim; d += kLanes) mix_values<Element, kQueries, 1>(chunk, first_query, d);
}

// Queries in groups of 4, 2, 1: each is computed alone, so the grouping does not show.
template <class Element>
void scores(const AttentionChunk& chunk) {
    int32_t h = 0;
    for (; chunk.n_queries - h >= 4; h += 4) score_pages<Element, 4>(chunk, h);
    if (chunk.n_queries - h >= 2) score_pages<Element, 2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) score_pages<Element, 1>(chunk, h);
}

template <class Element>
void values(const AttentionChunk& chunk) {
    int32_t h = 0;
    for (; chunk.n_queries - h >= 4; h += 4) mix_all_values<Element, 4>(chunk, h);
    if (chunk.n_queries - h >= 2) mix_all_values<Element, 2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) mix_all_values<Element, 1>(chunk, h);
}

}  // namespace

void attention_scores_f32_neon(const AttentionChunk& chunk) {
    scores<F32>(chunk);
}
void attention_scores_f16_neon(const AttentionChunk& chunk) {
    scores<F16>(chunk);
}
void attention_values_f32_neon(const AttentionChunk& chunk) {
    values<F32>(chunk);
}
void attention_values_f16_neon(const AttentionChunk& chunk) {
    values<F16>(chunk);
}

}  // namespace puna::core
