// Attention over a cache of Q8_0: cpu/kv_half.h has the layout of a head's part of a page.
//
// Scores: queries are rounded to 16 bits, with a scale for 32 dimensions, and VNNI multiplies pairs of
// dimensions. Values: bytes become floats, and the weight of a cell takes its scale along.
#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 16;
constexpr int32_t kBlock = 32;              // dimensions with a scale
constexpr int64_t kScaleRow = 2 * kKvPage;  // bytes: F16, a scale for each cell

// Of the block of dimension d, behind the bytes of a page.
int64_t scales_at(int32_t dim, int32_t d) {
    return int64_t{dim} * kKvPage + d / kBlock * kScaleRow;
}

__mmask16 first_lanes(int32_t n) {
    return static_cast<__mmask16>(n >= kLanes ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

__m512 load_scales(const uint8_t* at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

// ---- Scores -------------------------------------------------------------------------------------

// 32 dimensions of each query.
template <int32_t kQueries>
struct QueryBlock {
    alignas(64) int16_t q[kQueries][kBlock];
    float scale[kQueries];
};

// n dimensions; zeros behind them.
void round_query(const float* from, int32_t n, int16_t* q, float* scale) {
    const __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), from);
    const __m512 high = n > kLanes ? _mm512_maskz_loadu_ps(first_lanes(n - kLanes), from + kLanes)
                                   : _mm512_setzero_ps();
    // As bits, whose order is that of magnitudes, with NaN at the end: it stays in the scale.
    const __m512i bits = _mm512_max_epi32(_mm512_castps_si512(_mm512_abs_ps(low)),
                                          _mm512_castps_si512(_mm512_abs_ps(high)));
    const float largest =
        _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(bits))));
    *scale = largest / 32767.0f;
    const __m512 factor = _mm512_set1_ps(largest > 0.0f ? 32767.0f / largest : 0.0f);
    const auto round = [&](__m512 x) {
        return _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(x, factor)));
    };
    _mm256_store_si256(reinterpret_cast<__m256i*>(q), round(low));
    _mm256_store_si256(reinterpret_cast<__m256i*>(q + kLanes), round(high));
}

// Adds a pair of dimensions to the sums of queries kQuery and up. (A loop over the queries would have
// GCC copy every sum.)
template <int32_t kQuery, int32_t kQueries>
inline void add_pair(__m512i (&sums)[kQueries][2], __m512i low, __m512i high,
                     const QueryBlock<kQueries>& queries, int32_t pair) {
    if constexpr (kQuery < kQueries) {
        int32_t both;
        __builtin_memcpy(&both, &queries.q[kQuery][2 * pair], sizeof both);
        const __m512i factor = _mm512_set1_epi32(both);
        sums[kQuery][0] = _mm512_dpwssd_epi32(sums[kQuery][0], low, factor);
        sums[kQuery][1] = _mm512_dpwssd_epi32(sums[kQuery][1], high, factor);
        add_pair<kQuery + 1>(sums, low, high, queries, pair);
    }
}

// Adds n dimensions of a page to the scores of its cells, or begins them. `next` is what is read
// after this, or null: the addresses of pages are unknown to the processor's own prefetcher.
template <int32_t kQueries>
void score_block(const uint8_t* bytes, const uint8_t* scales, const uint8_t* next, int32_t n,
                 const QueryBlock<kQueries>& queries, bool is_first, float* scores) {
    __m512i sums[kQueries][2];
    for (int32_t h = 0; h < kQueries; ++h) sums[h][0] = sums[h][1] = _mm512_setzero_si512();
    for (int32_t pair = 0; pair < n / 2; ++pair) {
        const int64_t at = pair * 2 * kKvPage;
        if (next) _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
        const auto* keys = reinterpret_cast<const __m256i*>(bytes + at);
        add_pair<0>(sums, _mm512_cvtepi8_epi16(_mm256_loadu_si256(keys)),
                    _mm512_cvtepi8_epi16(_mm256_loadu_si256(keys + 1)), queries, pair);
    }
    if (n % 2 != 0) {
        // One dimension: the other half of a lane meets the zero behind the query.
        const auto* keys = reinterpret_cast<const __m128i*>(bytes + (n - 1) * kKvPage);
        add_pair<0>(sums, _mm512_cvtepi8_epi32(_mm_loadu_si128(keys)),
                    _mm512_cvtepi8_epi32(_mm_loadu_si128(keys + 1)), queries, n / 2);
    }
    for (int32_t half = 0; half < 2; ++half) {
        const __m512 scale = load_scales(scales + half * kScaleRow / 2);
        for (int32_t h = 0; h < kQueries; ++h) {
            float* out = scores + h * kAttentionChunk + half * kLanes;
            const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(queries.scale[h]));
            const __m512 before = is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(out);
            _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[h][half]), both, before));
        }
    }
}

template <int32_t kQueries>
void score_pages(const AttentionChunk& chunk, int32_t first_query) {
    const int32_t dim = chunk.head_dim_k;
    const float* q = chunk.q + int64_t{first_query} * dim;
    float* scores = chunk.scores + first_query * kAttentionChunk;
    const int32_t last = (chunk.end - 1) / kKvPage;
    for (int32_t d = 0; d < dim; d += kBlock) {
        const int32_t n = dim - d < kBlock ? dim - d : kBlock;
        QueryBlock<kQueries> queries;
        for (int32_t h = 0; h < kQueries; ++h) {
            round_query(q + int64_t{h} * dim + d, n, queries.q[h], &queries.scale[h]);
        }
        const int64_t at = int64_t{d} * kKvPage;
        for (int32_t page = chunk.begin / kKvPage; page <= last; ++page) {
            const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
            const uint8_t* next =
                page < last ? chunk.keys + chunk.pages[page + 1] * chunk.key_page_bytes + at
                            : nullptr;
            score_block<kQueries>(keys + at, keys + scales_at(dim, d), next, n, queries, d == 0,
                                  scores + page * kKvPage % kAttentionChunk);
        }
    }
}

// ---- Values -------------------------------------------------------------------------------------

__m512 load_values(const uint8_t* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

// scores * scales of the cells of a page, for kQueries queries: [kQueries][kKvPage].
template <int32_t kQueries>
void scale_weights(const float* scores, const uint8_t* scales, float* weights) {
    for (int32_t half = 0; half < 2; ++half) {
        const __m512 scale = load_scales(scales + half * kScaleRow / 2);
        for (int32_t h = 0; h < kQueries; ++h) {
            const __m512 score = _mm512_loadu_ps(scores + h * kAttentionChunk + half * kLanes);
            _mm512_storeu_ps(weights + h * kKvPage + half * kLanes, _mm512_mul_ps(score, scale));
        }
    }
}

// Adds a cell to the sums of queries kQuery and up, as add_pair does.
template <int32_t kQuery, int32_t kQueries>
inline void add_cell(__m512 (&sums)[kQueries][2], __m512 low, __m512 high, const float* weights) {
    if constexpr (kQuery < kQueries) {
        const __m512 weight = _mm512_set1_ps(weights[kQuery * kKvPage]);
        sums[kQuery][0] = _mm512_fmadd_ps(weight, low, sums[kQuery][0]);
        sums[kQuery][1] = _mm512_fmadd_ps(weight, high, sums[kQuery][1]);
        add_cell<kQuery + 1>(sums, low, high, weights);
    }
}

// out[h][d .. d + n) for kQueries queries and the n <= 32 dimensions of a block. What is
// read behind them is not stored.
template <int32_t kQueries>
void mix_block(const AttentionChunk& chunk, int32_t first_query, int32_t d, int32_t n) {
    const int32_t dim = chunk.head_dim_v;
    __m512 sums[kQueries][2];
    for (int32_t h = 0; h < kQueries; ++h) sums[h][0] = sums[h][1] = _mm512_setzero_ps();
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const uint8_t* page = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes;
        alignas(64) float weights[kQueries][kKvPage];
        scale_weights<kQueries>(
            chunk.scores + first_query * kAttentionChunk + (p - in_page) % kAttentionChunk,
            page + scales_at(dim, d), weights[0]);
        const uint8_t* value = page + int64_t{in_page} * dim + d;
        for (int32_t cell = in_page; cell < in_page + count; ++cell, value += dim) {
            add_cell<0>(sums, load_values(value), load_values(value + kLanes), &weights[0][cell]);
        }
        p += count;
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        float* out = chunk.out + int64_t{first_query + h} * dim + d;
        _mm512_mask_storeu_ps(out, first_lanes(n), sums[h][0]);
        _mm512_mask_storeu_ps(out + kLanes, first_lanes(n - kLanes), sums[h][1]);
    }
}

template <int32_t kQueries>
void mix_values(const AttentionChunk& chunk, int32_t first_query) {
    for (int32_t d = 0; d < chunk.head_dim_v; d += kBlock) {
        const int32_t left = chunk.head_dim_v - d;
        mix_block<kQueries>(chunk, first_query, d, left < kBlock ? left : kBlock);
    }
}

}  // namespace

// Queries in groups of 8, 4, 2, 1: each is computed alone, so the grouping does not show.
void attention_scores_q8_0_avx512(const AttentionChunk& chunk) {
    int32_t h = 0;
    if (chunk.n_queries - h >= 8) score_pages<8>(chunk, h), h += 8;
    if (chunk.n_queries - h >= 4) score_pages<4>(chunk, h), h += 4;
    if (chunk.n_queries - h >= 2) score_pages<2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) score_pages<1>(chunk, h);
}

void attention_values_q8_0_avx512(const AttentionChunk& chunk) {
    int32_t h = 0;
    if (chunk.n_queries - h >= 8) mix_values<8>(chunk, h), h += 8;
    if (chunk.n_queries - h >= 4) mix_values<4>(chunk, h), h += 4;
    if (chunk.n_queries - h >= 2) mix_values<2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) mix_values<1>(chunk, h);
}

}  // namespace puna::core
