#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 16;

struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m512 load(const uint8_t* at) { return _mm512_loadu_ps(at); }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_maskz_loadu_ps(lanes, at);
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m512 load(const uint8_t* at) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static __m512 widen(__m256i halves) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
    static __m512 load(const uint8_t* at) {
        return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return widen(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

// The scores of one page: a vector holds 16 cells, so every query takes two accumulators.
// `next` is the page that follows, or null: the addresses of pages are unknown to the processor's
// own prefetcher.
template <class Element, int32_t kQueries>
void score_page(const uint8_t* keys, const uint8_t* next, const float* q, int32_t dim,
                float* scores) {
    __m512 sums[kQueries][2];
    for (int32_t h = 0; h < kQueries; ++h) sums[h][0] = sums[h][1] = _mm512_setzero_ps();
    for (int32_t d = 0; d < dim; ++d) {
        const int64_t at = d * kKvPage * Element::kBytes;
        if (next) _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
        const __m512 low = Element::load(keys + at);
        const __m512 high = Element::load(keys + at + kLanes * Element::kBytes);
        for (int32_t h = 0; h < kQueries; ++h) {
            const __m512 factor = _mm512_set1_ps(q[int64_t{h} * dim + d]);
            sums[h][0] = _mm512_fmadd_ps(low, factor, sums[h][0]);
            sums[h][1] = _mm512_fmadd_ps(high, factor, sums[h][1]);
        }
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        _mm512_storeu_ps(scores + h * kAttentionChunk, sums[h][0]);
        _mm512_storeu_ps(scores + h * kAttentionChunk + kLanes, sums[h][1]);
    }
}

template <class Element, int32_t kQueries>
void score_pages(const AttentionChunk& chunk, int32_t first_query) {
    const float* q = chunk.q + int64_t{first_query} * chunk.head_dim_k;
    float* scores = chunk.scores + first_query * kAttentionChunk;
    const int32_t last = (chunk.end - 1) / kKvPage;
    for (int32_t page = chunk.begin / kKvPage; page <= last; ++page) {
        const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
        const uint8_t* next =
            page < last ? chunk.keys + chunk.pages[page + 1] * chunk.key_page_bytes : nullptr;
        score_page<Element, kQueries>(keys, next, q, chunk.head_dim_k,
                                      scores + page * kKvPage % kAttentionChunk);
    }
}

// out[h][d .. d + 16 * kWidth) for kQueries queries; with kWidth 1 only the lanes that are set.
template <class Element, int32_t kQueries, int32_t kWidth>
void mix_values(const AttentionChunk& chunk, int32_t first_query, int32_t d, __mmask16 lanes) {
    const int32_t dim = chunk.head_dim_v;
    const int64_t cell_bytes = dim * Element::kBytes;
    __m512 sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = _mm512_setzero_ps();
    }
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const uint8_t* value = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes +
                               in_page * cell_bytes + d * Element::kBytes;
        // Where the cell lies in the page that follows: as with keys, the processor cannot know.
        const bool has_next = p + count < chunk.end;
        const uint8_t* next = has_next
                                  ? value +
                                        (chunk.pages[p / kKvPage + 1] - chunk.pages[p / kKvPage]) *
                                            chunk.value_page_bytes -
                                        in_page * cell_bytes
                                  : value;
        const float* weights = chunk.scores + first_query * kAttentionChunk + p % kAttentionChunk;
        for (int32_t cell = 0; cell < count; ++cell, value += cell_bytes, next += cell_bytes) {
            if (has_next) _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
            __m512 v[kWidth];
            if constexpr (kWidth == 1) {
                v[0] = Element::load(value, lanes);
            } else {
                for (int32_t i = 0; i < kWidth; ++i) {
                    v[i] = Element::load(value + i * kLanes * Element::kBytes);
                }
            }
            for (int32_t h = 0; h < kQueries; ++h) {
                const __m512 weight = _mm512_set1_ps(weights[h * kAttentionChunk + cell]);
                for (int32_t i = 0; i < kWidth; ++i) {
                    sums[h][i] = _mm512_fmadd_ps(weight, v[i], sums[h][i]);
                }
            }
        }
        p += count;
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        float* out = chunk.out + int64_t{first_query + h} * dim + d;
        if constexpr (kWidth == 1) {
            _mm512_mask_storeu_ps(out, lanes, sums[h][0]);
        } else {
            for (int32_t i = 0; i < kWidth; ++i) _mm512_storeu_ps(out + i * kLanes, sums[h][i]);
        }
    }
}

template <class Element, int32_t kQueries>
void mix_all_values(const AttentionChunk& chunk, int32_t first_query) {
    const int32_t dim = chunk.head_dim_v;
    int32_t d = 0;
    for (; d + 2 * kLanes <= dim; d += 2 * kLanes) {
        mix_values<Element, kQueries, 2>(chunk, first_query, d, 0xffff);
    }
    for (; d < dim; d += kLanes) {
        const int32_t left = dim - d;
        const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
        mix_values<Element, kQueries, 1>(chunk, first_query, d, lanes);
    }
}

// Queries in groups of 8, 4, 2, 1: each is computed alone, so the grouping does not show.
template <class Element>
void scores(const AttentionChunk& chunk) {
    int32_t h = 0;
    if (chunk.n_queries - h >= 8) score_pages<Element, 8>(chunk, h), h += 8;
    if (chunk.n_queries - h >= 4) score_pages<Element, 4>(chunk, h), h += 4;
    if (chunk.n_queries - h >= 2) score_pages<Element, 2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) score_pages<Element, 1>(chunk, h);
}

template <class Element>
void values(const AttentionChunk& chunk) {
    int32_t h = 0;
    if (chunk.n_queries - h >= 8) mix_all_values<Element, 8>(chunk, h), h += 8;
    if (chunk.n_queries - h >= 4) mix_all_values<Element, 4>(chunk, h), h += 4;
    if (chunk.n_queries - h >= 2) mix_all_values<Element, 2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) mix_all_values<Element, 1>(chunk, h);
}

}  // namespace

void attention_scores_f32_avx512(const AttentionChunk& chunk) {
    scores<F32>(chunk);
}
void attention_scores_f16_avx512(const AttentionChunk& chunk) {
    scores<F16>(chunk);
}
void attention_scores_bf16_avx512(const AttentionChunk& chunk) {
    scores<BF16>(chunk);
}
void attention_values_f32_avx512(const AttentionChunk& chunk) {
    values<F32>(chunk);
}
void attention_values_f16_avx512(const AttentionChunk& chunk) {
    values<F16>(chunk);
}
void attention_values_bf16_avx512(const AttentionChunk& chunk) {
    values<BF16>(chunk);
}

}  // namespace puna::core
