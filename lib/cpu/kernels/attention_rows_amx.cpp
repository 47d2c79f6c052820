// Attention of many rows by AMX, with a softmax that goes along the positions, so that memory does not
// grow with them (Dao et al., "FlashAttention", 2022).
//
// Queries of all rows and heads stand below each other, up to 256, in tiles of 16. Keys and values of a
// chunk of 256 positions become bf16 tiles once for all of them. Then, for 32 queries at a time: scores by
// AMX, softmax weights as bf16, and values weighted by AMX onto what the positions before gave.
#include <cmath>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/exp_avx512.h"
#include "cpu/kernels/tiles_amx.h"

namespace puna::core {
namespace {

constexpr int32_t kLanes = 16;
constexpr __mmask16 kAll = 0xffff;
constexpr int64_t kMostQueries = int64_t{kAttentionRows} * kAttentionQueries;
constexpr int64_t kQueryTiles = kMostQueries / kTileRows;
constexpr int64_t kQueriesOfPass = 2 * kTileRows;
constexpr int64_t kCellTiles = kAttentionChunk / kTileRows;
constexpr int64_t kCellSteps = kAttentionChunk / kStep;
// Scores of a query, in floats: no multiple of 1024 bytes, so that rows fall into different sets of L1.
constexpr int64_t kScoreStride = kAttentionChunk + 16;
constexpr float kLog2E = 1.44269504f;

constexpr int64_t tiles_of(int64_t n) {
    return (n + kTileRows - 1) / kTileRows;
}
constexpr int64_t steps_of(int64_t n) {
    return (n + kStep - 1) / kStep;
}

// What lies in the memory of a call, one behind the other, in bytes.
struct Sizes {
    Sizes(int64_t head_dim_k, int64_t head_dim_v)
        : key_steps(steps_of(head_dim_k)),
          value_tiles((tiles_of(head_dim_v) + 1) / 2 * 2),
          queries(kQueryTiles * key_steps * kTileBytes),
          keys(kCellTiles * key_steps * kTileBytes),
          values(kCellSteps * value_tiles * kTileBytes),
          sums(kQueryTiles * value_tiles * kTileBytes) {}

    int64_t total() const { return queries + keys + values + kWeights + kScores + sums; }

    int64_t key_steps;    // of head_dim_k
    int64_t value_tiles;  // of head_dim_v; an even number, as they are multiplied in pairs
    int64_t queries;      // [tile of queries][step of head_dim_k] of tiles [16][32]
    int64_t keys;         // [tile of cells][step of head_dim_k] of tiles [16][16][2]
    int64_t values;       // [tile of head_dim_v][step of cells] of tiles [16][16][2]
    static constexpr int64_t kWeights = 2 * kCellSteps * kTileBytes;  // of a pass, tiles [16][32]
    static constexpr int64_t kScores = kQueriesOfPass * kScoreStride * 4;  // of a pass, in rows
    int64_t sums;  // [tile of queries][tile of head_dim_v] of tiles [16][16]
};

struct Memory {
    Memory(const Sizes& sizes, void* memory)
        : queries(static_cast<uint8_t*>(memory)),
          keys(queries + sizes.queries),
          values(keys + sizes.keys),
          weights(values + sizes.values),
          scores(reinterpret_cast<float*>(weights + Sizes::kWeights)),
          sums(scores + Sizes::kScores / 4) {}

    uint8_t* queries;
    uint8_t* keys;
    uint8_t* values;
    uint8_t* weights;
    float* scores;
    float* sums;
};

// What is cached: cpu/kv_half.h has the layout of a page. `key_pair` gives dimensions d and d + 1 of 16
// cells, [cell][2]; `value` the dimensions from d on of one cell, as far as there are lanes.
struct F32 {
    static constexpr int64_t kBytes = 4;
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_maskz_loadu_ps(lanes, at);
    }
};

struct F16 {
    static constexpr int64_t kBytes = 2;
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
    }
};

struct BF16 {
    static constexpr int64_t kBytes = 2;
    static __m512 load(const uint8_t* at, __mmask16 lanes) {
        const __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, at));
        return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
    }
};

template <class Element>
struct Plain {
    static __m512i key_pair(const uint8_t* page, int64_t dim, int64_t d, int32_t cell) {
        const uint8_t* at = page + (d * kKvPage + cell) * Element::kBytes;
        if (d >= dim) return _mm512_setzero_si512();
        const __m512 even = Element::load(at, kAll);
        const __m512 odd =
            d + 1 < dim ? Element::load(at + kKvPage * Element::kBytes, kAll) : _mm512_setzero_ps();
        return interleave(to_bf16(even, odd));
    }
    static __m512 value(const uint8_t* page, int64_t dim, int32_t cell, int64_t d,
                        __mmask16 lanes) {
        return Element::load(page + (cell * dim + d) * Element::kBytes, lanes);
    }
};

struct Q8_0 {
    static constexpr int64_t kScaleRow = 2 * kKvPage;  // bytes

    static const uint8_t* scales(const uint8_t* page, int64_t dim, int64_t d) {
        return page + dim * kKvPage + d / kStep * kScaleRow;
    }
    static __m512 to_floats(__m128i bytes) {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    }
    // Lanes 2 i and 2 i + 1 of two vectors: those of v in order.
    static __m512 twice(__m512 v, int first) {
        const __m512i lanes = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        return _mm512_permutexvar_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(first)), v);
    }
    static __m512i key_pair(const uint8_t* page, int64_t dim, int64_t d, int32_t cell) {
        if (d >= dim) return _mm512_setzero_si512();
        __m256i bytes;
        if (d + 1 < dim) {
            bytes =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(page + d * kKvPage + 2 * cell));
        } else {  // alone in its row
            bytes = _mm256_cvtepu8_epi16(
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(page + d * kKvPage + cell)));
        }
        const __m512 scale = F16::load(scales(page, dim, d) + 2 * cell, 0xffff);
        const __m512 low = _mm512_mul_ps(to_floats(_mm256_castsi256_si128(bytes)), twice(scale, 0));
        const __m512 high =
            _mm512_mul_ps(to_floats(_mm256_extracti128_si256(bytes, 1)), twice(scale, 8));
        return to_bf16(low, high);
    }
    static __m512 value(const uint8_t* page, int64_t dim, int32_t cell, int64_t d,
                        __mmask16 lanes) {
        if (lanes == 0) return _mm512_setzero_ps();
        uint16_t half;
        std::memcpy(&half, scales(page, dim, d) + 2 * cell, sizeof half);
        const __m512 scale = _mm512_set1_ps(_cvtsh_ss(half));
        return _mm512_mul_ps(to_floats(_mm_maskz_loadu_epi8(lanes, page + cell * dim + d)), scale);
    }
};

struct Max {
    __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
};
struct Sum {
    __m512 operator()(__m512 a, __m512 b) const { return _mm512_add_ps(a, b); }
};

// Lane r: what all lanes of rows[r] come to.
template <class Op>
[[gnu::always_inline]] inline __m512 reduce_each(const __m512 (&rows)[kLanes], Op op) {
    const auto halves = [&](int32_t r) {
        return _mm512_castps_pd(
            op(_mm512_unpacklo_ps(rows[r], rows[r + 1]), _mm512_unpackhi_ps(rows[r], rows[r + 1])));
    };
    // A lane for each of four rows, in every quarter.
    const auto quarters = [&](int32_t r) {
        const __m512d a = halves(r);
        const __m512d b = halves(r + 2);
        return op(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                  _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    };
    const auto fold = [&](__m512 a, __m512 b) {
        return op(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    };
    return fold(fold(quarters(0), quarters(4)), fold(quarters(8), quarters(12)));
}

template <class Cached>
class RowsAttention {
  public:
    explicit RowsAttention(const AttentionRows& rows)
        : rows_(rows),
          sizes_(rows.head_dim_k, rows.head_dim_v),
          memory_(sizes_, rows.memory),
          n_queries_(int64_t{rows.n_rows} * rows.n_queries) {}

    void run() {
        int32_t begin = rows_.begin[0];
        int32_t end = rows_.end[0];
        for (int32_t r = 1; r < rows_.n_rows; ++r) {
            begin = rows_.begin[r] < begin ? rows_.begin[r] : begin;
            end = rows_.end[r] > end ? rows_.end[r] : end;
        }
        load_queries();
        for (int64_t i = 0; i < kMostQueries; ++i) largest_[i] = -INFINITY, total_[i] = 0.0f;
        std::memset(memory_.sums, 0, static_cast<size_t>(sizes_.sums));
        for (int32_t chunk = begin / kAttentionChunk * kAttentionChunk; chunk < end;
             chunk += kAttentionChunk) {
            load_keys(chunk, begin, end);
            load_values(chunk, begin, end);
            for (int64_t query = 0; query < n_queries_; query += kQueriesOfPass) {
                const Steps seen = seen_by(query, chunk);
                if (seen.begin >= seen.end) continue;
                score(query, seen);
                for (int64_t i = 0; i < kQueriesOfPass && query + i < n_queries_; i += kLanes) {
                    weigh(query, i, chunk, seen);
                }
                mix(query, seen);
            }
        }
        store_results();
    }

  private:
    // Queries beyond the last are those of the last row.
    int32_t row_of(int64_t query) const {
        const auto row = static_cast<int32_t>(query / rows_.n_queries);
        return row < rows_.n_rows ? row : rows_.n_rows - 1;
    }

    // From the first to the last position of a chunk that a query of the pass sees, in steps of kStep.
    struct Steps {
        int32_t begin;
        int32_t end;
    };
    Steps seen_by(int64_t query, int32_t chunk) const {
        int32_t begin = chunk + kAttentionChunk;
        int32_t end = chunk;
        for (int32_t r = row_of(query); r <= row_of(query + kQueriesOfPass - 1); ++r) {
            if (rows_.begin[r] >= chunk + kAttentionChunk || rows_.end[r] <= chunk) continue;
            begin = rows_.begin[r] < begin ? rows_.begin[r] : begin;
            end = rows_.end[r] > end ? rows_.end[r] : end;
        }
        begin = begin < chunk ? 0 : begin - chunk;
        end = end < chunk + kAttentionChunk ? end - chunk : kAttentionChunk;
        return {static_cast<int32_t>(begin / kStep), static_cast<int32_t>(steps_of(end))};
    }

    // Zeros up to a whole pass.
    void load_queries() {
        for (int64_t i = 0; i < n_queries_ || i % kQueriesOfPass != 0; ++i) {
            const float* q =
                rows_.q + row_of(i) * rows_.q_stride + i % rows_.n_queries * rows_.head_dim_k;
            const int64_t n = i < n_queries_ ? rows_.head_dim_k : 0;
            uint8_t* to = memory_.queries + i / kTileRows * sizes_.key_steps * kTileBytes +
                          i % kTileRows * kTileRowBytes;
            for (int64_t d = 0; d < rows_.head_dim_k; d += kStep, to += kTileBytes) {
                const __m512 low = _mm512_maskz_loadu_ps(lanes_before(n, d), q + d);
                const __m512 high =
                    _mm512_maskz_loadu_ps(lanes_before(n, d + kLanes), q + d + kLanes);
                _mm512_store_si512(to, to_bf16(low, high));
            }
        }
    }

    // Tiles with cells from `begin` to `end`. Other cells may hold anything: their scores are not used.
    void load_keys(int32_t chunk, int32_t begin, int32_t end) {
        const int32_t first = chunk > begin ? chunk : begin / kTileRows * kTileRows;
        for (int32_t p = first; p < end && p < chunk + kAttentionChunk; p += kTileRows) {
            const uint8_t* page = rows_.keys + rows_.pages[p / kKvPage] * rows_.key_page_bytes;
            uint8_t* to = memory_.keys + (p - chunk) / kTileRows * sizes_.key_steps * kTileBytes;
            for (int64_t d = 0; d < sizes_.key_steps * kStep; d += 2, to += kTileRowBytes) {
                _mm512_store_si512(to, Cached::key_pair(page, rows_.head_dim_k, d, p % kKvPage));
            }
        }
    }

    // Positions before `begin` and from `end` on count as zeros.
    void load_values(int32_t chunk, int32_t begin, int32_t end) {
        const int64_t dim = rows_.head_dim_v;
        const int32_t first = chunk > begin ? chunk : begin / kKvPage * kKvPage;
        const int32_t last = (end + kKvPage - 1) / kKvPage * kKvPage;
        for (int32_t p = first; p < last && p < chunk + kAttentionChunk; p += 2) {
            const uint8_t* page = rows_.values + rows_.pages[p / kKvPage] * rows_.value_page_bytes;
            const int64_t n_even = p >= begin && p < end ? dim : 0;
            const int64_t n_odd = p + 1 >= begin && p + 1 < end ? dim : 0;
            const int64_t n_both = n_odd < n_even ? n_odd : n_even;
            uint8_t* to = memory_.values + (p - chunk) / kStep * kTileBytes +
                          (p - chunk) % kStep / 2 * kTileRowBytes;
            for (int64_t t = 0; t < sizes_.value_tiles; ++t, to += kCellSteps * kTileBytes) {
                const int64_t d = t * kLanes;
                const bool whole = d + kLanes <= n_both;
                const __mmask16 evens = whole ? kAll : lanes_before(n_even, d);
                const __mmask16 odds = whole ? kAll : lanes_before(n_odd, d);
                const __m512 even = Cached::value(page, dim, p % kKvPage, d, evens);
                const __m512 odd = Cached::value(page, dim, p % kKvPage + 1, d, odds);
                _mm512_store_si512(to, interleave(to_bf16(even, odd)));
            }
        }
    }

    // scores = queries keys, for the queries of a pass and the positions that they see.
    void score(int64_t query, Steps seen) {
        const uint8_t* first = memory_.queries + query / kTileRows * sizes_.key_steps * kTileBytes;
        const uint8_t* second = first + sizes_.key_steps * kTileBytes;
        float* second_scores = memory_.scores + kTileRows * kScoreStride;
        for (int64_t tile = 2 * seen.begin; tile < 2 * seen.end; tile += 2) {
            const uint8_t* keys = memory_.keys + tile * sizes_.key_steps * kTileBytes;
            Tiles::clear<0>();
            Tiles::clear<1>();
            Tiles::clear<2>();
            Tiles::clear<3>();
            for (int64_t step = 0; step < sizes_.key_steps; ++step) {
                Tiles::load<4>(first + step * kTileBytes);
                Tiles::load<6>(keys + step * kTileBytes);
                Tiles::multiply<0, 4, 6>();
                Tiles::load<7>(keys + (sizes_.key_steps + step) * kTileBytes);
                Tiles::multiply<1, 4, 7>();
                Tiles::load<5>(second + step * kTileBytes);
                Tiles::multiply<2, 5, 6>();
                Tiles::multiply<3, 5, 7>();
            }
            constexpr int64_t kStride = kScoreStride * sizeof(float);
            Tiles::store_apart<0, kStride>(memory_.scores + tile * kLanes);
            Tiles::store_apart<1, kStride>(memory_.scores + (tile + 1) * kLanes);
            Tiles::store_apart<2, kStride>(second_scores + tile * kLanes);
            Tiles::store_apart<3, kStride>(second_scores + (tile + 1) * kLanes);
        }
    }

    // Softmax weights of 16 queries, from `query + i` on, and what they change in their sums.
    void weigh(int64_t query, int64_t i, int32_t chunk, Steps seen) {
        float* scores = memory_.scores + i * kScoreStride;
        __m512 each[kLanes];
        for (int64_t q = 0; q < kLanes; ++q) {
            hide(query + i + q, chunk, seen, scores + q * kScoreStride);
            each[q] = largest_of(scores + q * kScoreStride, seen);
        }
        const __m512 before = _mm512_load_ps(largest_ + query + i);
        const __m512 largest = _mm512_max_ps(reduce_each(each, Max{}), before);
        // Of a row that has seen nothing: any finite number serves.
        const __mmask16 saw = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ);
        const __m512 reference = _mm512_maskz_mul_ps(saw, largest, _mm512_set1_ps(kLog2E));
        alignas(64) float references[kLanes];
        _mm512_store_ps(references, reference);
        uint8_t* weights = memory_.weights + i / kTileRows * kCellSteps * kTileBytes;
        for (int64_t q = 0; q < kLanes; ++q) {
            each[q] = exponentiate(scores + q * kScoreStride, references[q], seen,
                                   weights + q * kTileRowBytes);
        }
        const __m512 power = _mm512_fmsub_ps(before, _mm512_set1_ps(kLog2E), reference);
        const __mmask16 grew = _mm512_cmp_ps_mask(largest, before, _CMP_NEQ_UQ);
        const __m512 keep = _mm512_mask_mov_ps(_mm512_set1_ps(1.0f), grew, exp2_of(power));
        const __m512 total = _mm512_load_ps(total_ + query + i);
        _mm512_store_ps(largest_ + query + i, largest);
        _mm512_store_ps(total_ + query + i, _mm512_fmadd_ps(total, keep, reduce_each(each, Sum{})));
        scale_sums(query + i, grew, keep);
    }

    // sums *= keep, for those of 16 queries that `which` names.
    void scale_sums(int64_t query, uint32_t which, __m512 keep) {
        alignas(64) float keeps[kLanes];
        _mm512_store_ps(keeps, keep);
        for (; which != 0; which &= which - 1) {
            const int32_t q = __builtin_ctz(which);
            const __m512 factor = _mm512_set1_ps(keeps[q]);
            float* at = sums_of(query + q);
            for (int64_t t = 0; t < sizes_.value_tiles; ++t, at += kTileRows * kLanes) {
                _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), factor));
            }
        }
    }

    // Caps the scores, and makes those minus infinity that the query's row does not see.
    void hide(int64_t query, int32_t chunk, Steps seen, float* scores) const {
        const int32_t row = row_of(query);
        const int32_t first = seen.begin * kStep;
        const int32_t last = seen.end * kStep;
        const int32_t begin = rows_.begin[row] - chunk;
        const int32_t end = rows_.end[row] - chunk;
        if (begin <= first && end >= last && rows_.softcap == 0.0f) return;
        const __m512i lane =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        for (int32_t p = first; p < last; p += kLanes) {
            const __m512i place = _mm512_add_epi32(lane, _mm512_set1_epi32(p));
            const __mmask16 lanes = _mm512_mask_cmplt_epi32_mask(
                _mm512_cmpge_epi32_mask(place, _mm512_set1_epi32(begin)), place,
                _mm512_set1_epi32(end));
            const __m512 score = capped(_mm512_load_ps(scores + p));
            _mm512_store_ps(scores + p,
                            _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), lanes, score));
        }
    }

    // In each lane that of every 16th score.
    static __m512 largest_of(const float* scores, Steps seen) {
        __m512 low = _mm512_set1_ps(-INFINITY);
        __m512 high = low;
        for (int64_t p = seen.begin * kStep; p < seen.end * kStep; p += kStep) {
            low = _mm512_max_ps(_mm512_load_ps(scores + p), low);
            high = _mm512_max_ps(_mm512_load_ps(scores + p + kLanes), high);
        }
        return _mm512_max_ps(low, high);
    }

    // weights = 2^(scores log2 e - reference); returns in each lane the sum of every 16th.
    static __m512 exponentiate(const float* scores, float reference, Steps seen, uint8_t* weights) {
        const __m512 log2_e = _mm512_set1_ps(kLog2E);
        const __m512 minus = _mm512_set1_ps(reference);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t step = seen.begin; step < seen.end; ++step) {
            const float* at = scores + step * kStep;
            const __m512 low = exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at), log2_e, minus));
            const __m512 high =
                exp2_of(_mm512_fmsub_ps(_mm512_load_ps(at + kLanes), log2_e, minus));
            sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
            _mm512_store_si512(weights + step * kTileBytes, to_bf16(low, high));
        }
        return sum;
    }

    // Its first 16; a tile of them further are the next.
    float* sums_of(int64_t query) const {
        return memory_.sums + query / kTileRows * sizes_.value_tiles * kTileRows * kLanes +
               query % kTileRows * kLanes;
    }

    // softcap * tanh(score / softcap), as 1 - 2 / (1 + e^(2 x)).
    __m512 capped(__m512 score) const {
        if (rows_.softcap == 0.0f) return score;
        constexpr float kTwoLog2E = 2.88539008f;
        const __m512 power =
            exp2_of(_mm512_mul_ps(score, _mm512_set1_ps(kTwoLog2E / rows_.softcap)));
        const __m512 one = _mm512_set1_ps(1.0f);
        const __m512 part = _mm512_div_ps(_mm512_set1_ps(-2.0f), _mm512_add_ps(power, one));
        return _mm512_mul_ps(_mm512_add_ps(one, part), _mm512_set1_ps(rows_.softcap));
    }

    // sums += weights values, for the queries of a pass and the positions that they see.
    void mix(int64_t query, Steps seen) {
        constexpr int64_t kFloats = kTileRows * kLanes;
        const uint8_t* first = memory_.weights;
        const uint8_t* second = first + kCellSteps * kTileBytes;
        float* first_sums = memory_.sums + query / kTileRows * sizes_.value_tiles * kFloats;
        float* second_sums = first_sums + sizes_.value_tiles * kFloats;
        for (int64_t t = 0; t < sizes_.value_tiles; t += 2) {
            const uint8_t* values = memory_.values + t * kCellSteps * kTileBytes;
            Tiles::load<0>(first_sums + t * kFloats);
            Tiles::load<1>(first_sums + (t + 1) * kFloats);
            Tiles::load<2>(second_sums + t * kFloats);
            Tiles::load<3>(second_sums + (t + 1) * kFloats);
            for (int64_t step = seen.begin; step < seen.end; ++step) {
                Tiles::load<4>(first + step * kTileBytes);
                Tiles::load<6>(values + step * kTileBytes);
                Tiles::multiply<0, 4, 6>();
                Tiles::load<7>(values + (kCellSteps + step) * kTileBytes);
                Tiles::multiply<1, 4, 7>();
                Tiles::load<5>(second + step * kTileBytes);
                Tiles::multiply<2, 5, 6>();
                Tiles::multiply<3, 5, 7>();
            }
            Tiles::store<0>(first_sums + t * kFloats);
            Tiles::store<1>(first_sums + (t + 1) * kFloats);
            Tiles::store<2>(second_sums + t * kFloats);
            Tiles::store<3>(second_sums + (t + 1) * kFloats);
        }
    }

    void store_results() {
        for (int64_t i = 0; i < n_queries_; ++i) {
            const __m512 scale = _mm512_set1_ps(1.0f / total_[i]);
            const float* from = sums_of(i);
            float* to =
                rows_.out + row_of(i) * rows_.out_stride + i % rows_.n_queries * rows_.head_dim_v;
            for (int64_t d = 0; d < rows_.head_dim_v; d += kLanes, from += kTileRows * kLanes) {
                _mm512_mask_storeu_ps(to + d, lanes_before(rows_.head_dim_v, d),
                                      _mm512_mul_ps(_mm512_load_ps(from), scale));
            }
        }
    }

    const AttentionRows& rows_;
    const Sizes sizes_;
    const Memory memory_;
    const int64_t n_queries_;
    Tiles tiles_;
    alignas(64) float largest_[kMostQueries];
    alignas(64) float total_[kMostQueries];
};

}  // namespace

void attention_rows_f32_amx(const AttentionRows& rows) {
    RowsAttention<Plain<F32>>(rows).run();
}
void attention_rows_f16_amx(const AttentionRows& rows) {
    RowsAttention<Plain<F16>>(rows).run();
}

void attention_rows_bf16_amx(const AttentionRows& rows) {
    RowsAttention<Plain<BF16>>(rows).run();
}
void attention_rows_q8_0_amx(const AttentionRows& rows) {
    RowsAttention<Q8_0>(rows).run();
}

int64_t attention_memory_amx(int64_t head_dim_k, int64_t head_dim_v) {
    return Sizes(head_dim_k, head_dim_v).total();
}

}  // namespace puna::core
