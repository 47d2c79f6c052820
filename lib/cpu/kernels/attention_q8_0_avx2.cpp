// Attention over a cache of Q8_0: cpu/kv_half.h has the layout of a head's part of a page.
//
// Scores: queries are rounded to 16 bits, with a scale for 32 dimensions, and pairs of dimensions are
// multiplied together. Values: bytes become floats, and the weight of a cell takes its scale along.
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_avx2.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 8;
constexpr int32_t kBlock = 32;              // dimensions with a scale
constexpr int64_t kScaleRow = 2 * kKvPage;  // bytes: F16, a scale for each cell

// Vectors per query in one pass: with the keys or values of the pass, 16 registers hold 8 sums.
template <int32_t kQueries>
constexpr int32_t kVectors = kQueries == 4 ? 2 : 4;

// Of the block of dimension d, behind the bytes of a page.
int64_t scales_at(int32_t dim, int32_t d) {
    return int64_t{dim} * kKvPage + d / kBlock * kScaleRow;
}

__m256 load_scales(const uint8_t* at) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

__m128i load_bytes(const uint8_t* at) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
}

// ---- Scores -------------------------------------------------------------------------------------

// 32 dimensions of each query.
template <int32_t kQueries>
struct QueryBlock {
    alignas(32) int16_t q[kQueries][kBlock];
    float scale[kQueries];
};

// As bits, whose order is that of magnitudes, with NaN at the end.
float largest_lane(__m256i v) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

// n dimensions; zeros behind them.
void round_query(const float* from, int32_t n, int16_t* q, float* scale) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256 x[kBlock / kLanes];
    __m256i largest = _mm256_setzero_si256();
    for (int32_t i = 0; i < kBlock / kLanes; ++i) {
        const int32_t left = n - i * kLanes;
        x[i] = left > 0 ? load_lanes(from + i * kLanes, left) : _mm256_setzero_ps();
        largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    }
    const float most = largest_lane(largest);  // NaN stays in the scale
    *scale = most / 32767.0f;
    const __m256 factor = _mm256_set1_ps(most > 0.0f ? 32767.0f / most : 0.0f);
    for (int32_t i = 0; i < kBlock / kLanes; i += 2) {
        const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], factor));
        const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(x[i + 1], factor));
        // Packing works within halves of a register.
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
        _mm256_store_si256(reinterpret_cast<__m256i*>(q + i * kLanes), packed);
    }
}

template <int32_t kQueries>
void add_pair(__m256i (&sums)[kQueries][kVectors<kQueries>],
              const __m256i (&keys)[kVectors<kQueries>], const QueryBlock<kQueries>& queries,
              int32_t pair) {
    for (int32_t h = 0; h < kQueries; ++h) {
        int32_t both;
        std::memcpy(&both, &queries.q[h][2 * pair], sizeof both);
        const __m256i factor = _mm256_set1_epi32(both);
        for (int32_t i = 0; i < kVectors<kQueries>; ++i) {
            sums[h][i] = _mm256_add_epi32(sums[h][i], _mm256_madd_epi16(keys[i], factor));
        }
    }
}

// Adds n dimensions of kVectors vectors of cells, from `cell` of a page on, to their scores, or begins
// them. `next` is what is read after this, or null: the addresses of pages are unknown to the
// processor's own prefetcher.
template <int32_t kQueries>
void score_cells(const uint8_t* bytes, const uint8_t* scales, const uint8_t* next, int32_t cell,
                 int32_t n, const QueryBlock<kQueries>& queries, bool is_first, float* scores) {
    constexpr int32_t kWidth = kVectors<kQueries>;
    __m256i sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = _mm256_setzero_si256();
    }
    __m256i keys[kWidth];
    for (int32_t pair = 0; pair < n / 2; ++pair) {
        const int64_t at = pair * 2 * kKvPage;
        if (next) _mm_prefetch(reinterpret_cast<const char*>(next + at), _MM_HINT_T0);
        const auto* from = reinterpret_cast<const __m128i*>(bytes + at + cell * 2);
        for (int32_t i = 0; i < kWidth; ++i) {
            keys[i] = _mm256_cvtepi8_epi16(_mm_loadu_si128(from + i));
        }
        add_pair<kQueries>(sums, keys, queries, pair);
    }
    if (n % 2 != 0) {
        // One dimension: the other half of a lane meets the zero behind the query.
        const uint8_t* from = bytes + (n - 1) * kKvPage + cell;
        for (int32_t i = 0; i < kWidth; ++i) {
            keys[i] = _mm256_cvtepi8_epi32(load_bytes(from + i * kLanes));
        }
        add_pair<kQueries>(sums, keys, queries, n / 2);
    }
    for (int32_t i = 0; i < kWidth; ++i) {
        const __m256 scale = load_scales(scales + (cell + i * kLanes) * 2);
        for (int32_t h = 0; h < kQueries; ++h) {
            float* out = scores + h * kAttentionChunk + cell + i * kLanes;
            const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(queries.scale[h]));
            const __m256 before = is_first ? _mm256_setzero_ps() : _mm256_loadu_ps(out);
            _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[h][i]), both, before));
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
            for (int32_t cell = 0; cell < kKvPage; cell += kVectors<kQueries> * kLanes) {
                score_cells<kQueries>(keys + at, keys + scales_at(dim, d), next, cell, n, queries,
                                      d == 0, scores + page * kKvPage % kAttentionChunk);
            }
        }
    }
}

// ---- Values -------------------------------------------------------------------------------------

// scores * scales of the cells of a page, for kQueries queries: [kQueries][kKvPage].
template <int32_t kQueries>
void scale_weights(const float* scores, const uint8_t* scales, float* weights) {
    for (int32_t cell = 0; cell < kKvPage; cell += kLanes) {
        const __m256 scale = load_scales(scales + cell * 2);
        for (int32_t h = 0; h < kQueries; ++h) {
            const __m256 score = _mm256_loadu_ps(scores + h * kAttentionChunk + cell);
            _mm256_storeu_ps(weights + h * kKvPage + cell, _mm256_mul_ps(score, scale));
        }
    }
}

// Adds a cell to the sums of queries kQuery and up. (A loop over the queries would have GCC store every
// sum for every cell.)
template <int32_t kQuery, int32_t kQueries, int32_t kWidth>
inline void add_cell(__m256 (&sums)[kQueries][kWidth], const __m256 (&value)[kWidth],
                     const float* weights) {
    if constexpr (kQuery < kQueries) {
        const __m256 weight = _mm256_set1_ps(weights[kQuery * kKvPage]);
        for (int32_t i = 0; i < kWidth; ++i) {
            sums[kQuery][i] = _mm256_fmadd_ps(weight, value[i], sums[kQuery][i]);
        }
        add_cell<kQuery + 1>(sums, value, weights);
    }
}

// out[h][d .. d + n) for kQueries queries and n dimensions of one block, at most kVectors vectors.
// What is read behind them is not stored.
template <int32_t kQueries>
void mix_vectors(const AttentionChunk& chunk, int32_t first_query, int32_t d, int32_t n) {
    constexpr int32_t kWidth = kVectors<kQueries>;
    const int32_t dim = chunk.head_dim_v;
    __m256 sums[kQueries][kWidth];
    for (int32_t h = 0; h < kQueries; ++h) {
        for (int32_t i = 0; i < kWidth; ++i) sums[h][i] = _mm256_setzero_ps();
    }
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const uint8_t* page = chunk.values + chunk.pages[p / kKvPage] * chunk.value_page_bytes;
        alignas(32) float weights[kQueries][kKvPage];
        scale_weights<kQueries>(
            chunk.scores + first_query * kAttentionChunk + (p - in_page) % kAttentionChunk,
            page + scales_at(dim, d), weights[0]);
        const uint8_t* value = page + int64_t{in_page} * dim + d;
        for (int32_t cell = in_page; cell < in_page + count; ++cell, value += dim) {
            __m256 v[kWidth];
            for (int32_t i = 0; i < kWidth; ++i) {
                const __m128i bytes = load_bytes(value + i * kLanes);
                v[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
            }
            add_cell<0>(sums, v, &weights[0][cell]);
        }
        p += count;
    }
    for (int32_t h = 0; h < kQueries; ++h) {
        float* out = chunk.out + int64_t{first_query + h} * dim + d;
        for (int32_t i = 0; i < kWidth && i * kLanes < n; ++i) {
            store_lanes(out + i * kLanes, n - i * kLanes, sums[h][i]);
        }
    }
}

template <int32_t kQueries>
void mix_values(const AttentionChunk& chunk, int32_t first_query) {
    constexpr int32_t kStep = kVectors<kQueries> * kLanes;  // divides a block
    for (int32_t d = 0; d < chunk.head_dim_v; d += kStep) {
        const int32_t left = chunk.head_dim_v - d;
        mix_vectors<kQueries>(chunk, first_query, d, left < kStep ? left : kStep);
    }
}

}  // namespace

// Queries in groups of 4, 2, 1: each is computed alone, so the grouping does not show.
void attention_scores_q8_0_avx2(const AttentionChunk& chunk) {
    int32_t h = 0;
    for (; chunk.n_queries - h >= 4; h += 4) score_pages<4>(chunk, h);
    if (chunk.n_queries - h >= 2) score_pages<2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) score_pages<1>(chunk, h);
}

void attention_values_q8_0_avx2(const AttentionChunk& chunk) {
    int32_t h = 0;
    for (; chunk.n_queries - h >= 4; h += 4) mix_values<4>(chunk, h);
    if (chunk.n_queries - h >= 2) mix_values<2>(chunk, h), h += 2;
    if (chunk.n_queries - h >= 1) mix_values<1>(chunk, h);
}

}  // namespace puna::core
