#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_avx2.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 8;

struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m256 load(const uint8_t* at) {
        return _mm256_castsi256_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m256 load(const uint8_t* at) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static __m256 load(const uint8_t* at) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
    }
};

// The `left` elements at `at`, fewer than a vector holds, and zeros.
template <class Element>
__m256 load_rest(const uint8_t* at, int32_t left) {
    uint8_t rest[kLanes * Element::kBytes] = {};
    std::memcpy(rest, at, static_cast<size_t>(left * Element::kBytes));
    return Element::load(rest);
}

// Vectors per query in one pass: with the keys or values of the pass, 16 registers hold 8
// accumulators.
template <int32_t kQueries>
constexpr int32_t kVectors = kQueries == 4 ? 2 : 4;

// The scores of kVectors vectors of cells of one page. `next` is the same place in the page that
// follows, or null: the addresses of pages are unknown to the processor's own prefetcher.
template <class Element, int32_t kQueries>
void score_cells(const uint8_t* keys, const uint8_t* next, const float* q, int32_t dim,
                 float* scores) {
    constexpr int32_t kWidth = kVectors<kQueries>;
    __m256 sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = _mm256_setzero_ps();
    }
    for (int32_t d = 0; d < dim; ++d) {
        const int64_t at = d * kKvPage * Element::kBytes;
        if (next) _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
        __m256 k[kWidth];
        for (int32_t i = 0; i < kWidth; ++i) {
            k[i] = Element::load(keys + at + i * kLanes * Element::kBytes);
        }
        for (int32_t h = 0; h < kQueries; ++h) {
            const __m256 factor = _mm256_set1_ps(q[int64_t{h} * dim + d]);
            for (int32_t i = 0; i < kWidth; ++i) {
                sums[h][i] = _mm256_fmadd_ps(k[i], factor, sums[h][i]);
            }
        }
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) {
            _mm256_storeu_ps(scores + h * kAttentionChunk + i * kLanes, sums[h][i]);
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

// out[h][d .. d + 8 * kWidth) for kQueries queries; with kWidth 1 no more than up to head_dim_v.
template <class Element, int32_t kQueries, int32_t kWidth>
void mix_values(const AttentionChunk& chunk, int32_t first_query, int32_t d) {
    const int32_t dim = chunk.head_dim_v;
    const int64_t cell_bytes = dim * Element::kBytes;
    const int32_t width = dim - d;
    __m256 sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = _mm256_setzero_ps();
    }
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const uint8_t* value = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes +
                               in_page * cell_bytes + d * Element::kBytes;
        const float* weights = chunk.scores + first_query * kAttentionChunk + p % kAttentionChunk;
        for (int32_t cell = 0; cell < count; ++cell, value += cell_bytes) {
            __m256 v[kWidth];
            if (kWidth == 1 && width < kLanes) {
                v[0] = load_rest<Element>(value, width);
            } else {
                for (int32_t i = 0; i < kWidth; ++i) {
                    v[i] = Element::load(value + i * kLanes * Element::kBytes);
                }
            }
            for (int32_t h = 0; h < kQueries; ++h) {
                const __m256 weight = _mm256_set1_ps(weights[h * kAttentionChunk + cell]);
                for (int32_t i = 0; i < kWidth; ++i) {
                    sums[h][i] = _mm256_fmadd_ps(weight, v[i], sums[h][i]);
                }
            }
        }
        p += count;
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        float* out = chunk.out + int64_t{first_query + h} * dim + d;
        for (int32_t i = 0; i < kWidth; ++i) {
            store_lanes(out + i * kLanes, width - i * kLanes, sums[h][i]);
        }
    }
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

void attention_scores_f32_avx2(const AttentionChunk& chunk) {
    scores<F32>(chunk);
}
void attention_scores_f16_avx2(const AttentionChunk& chunk) {
    scores<F16>(chunk);
}
void attention_scores_bf16_avx2(const AttentionChunk& chunk) {
    scores<BF16>(chunk);
}
void attention_values_f32_avx2(const AttentionChunk& chunk) {
    values<F32>(chunk);
}
void attention_values_f16_avx2(const AttentionChunk& chunk) {
    values<F16>(chunk);
}
void attention_values_bf16_avx2(const AttentionChunk& chunk) {
    values<BF16>(chunk);
}

}  // namespace puna::core
