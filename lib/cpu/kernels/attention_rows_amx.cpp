// Attention of many rows by AMX, with a softmax that goes along the positions, so that memory does not
// grow with them (Dao et al., "FlashAttention", 2022).
//
// Queries of all rows and heads stand below each other, up to 128, in tiles of 16. Keys and values of a
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
constexpr int64_t kMostQueries = int64_t{kAttentionRows} * kAttentionQueries;
constexpr int64_t kQueryTiles = kMostQueries / kTileRows;
constexpr int64_t kQueriesOfPass = 2 * kTileRows;
constexpr int64_t kCellTiles = kAttentionChunk / kTileRows;
constexpr int64_t kCellSteps = kAttentionChunk / kStep;
// Scores of a query, in floats: no multiple of 1024 bytes, so that rows fall into different sets of L1.
constexpr int64_t kScoreStride = kAttentionChunk + 16;

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
        const __m512 even = Element::load(at, d < dim ? 0xffff : 0);
        const __m512 odd = Element::load(at + kKvPage * Element::kBytes, d + 1 < dim ? 0xffff : 0);
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
                if (!sees(query, chunk)) continue;
                score(query);
                for (int64_t i = 0; i < kQueriesOfPass && query + i < n_queries_; ++i) {
                    weigh(query, i, chunk);
                }
                mix(query);
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

    // Whether any of the queries of a pass sees a position of the chunk.
    bool sees(int64_t query, int32_t chunk) const {
        for (int32_t r = row_of(query); r <= row_of(query + kQueriesOfPass - 1); ++r) {
            if (rows_.begin[r] < chunk + kAttentionChunk && rows_.end[r] > chunk) return true;
        }
        return false;
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
        for (int32_t p = chunk; p < chunk + kAttentionChunk; p += 2) {
            const uint8_t* page = rows_.values;
            if (p + 1 >= begin && p < end)
                page += rows_.pages[p / kKvPage] * rows_.value_page_bytes;
            const int64_t n_even = p >= begin && p < end ? dim : 0;
            const int64_t n_odd = p + 1 >= begin && p + 1 < end ? dim : 0;
            uint8_t* to = memory_.values + (p - chunk) / kStep * kTileBytes +
                          (p - chunk) % kStep / 2 * kTileRowBytes;
            for (int64_t t = 0; t < sizes_.value_tiles; ++t, to += kCellSteps * kTileBytes) {
                const int64_t d = t * kLanes;
                const __m512 even =
                    Cached::value(page, dim, p % kKvPage, d, lanes_before(n_even, d));
                const __m512 odd =
                    Cached::value(page, dim, p % kKvPage + 1, d, lanes_before(n_odd, d));
                _mm512_store_si512(to, interleave(to_bf16(even, odd)));
            }
        }
    }

    // scores = queries keys, for the queries of a pass and the cells of the chunk.
    void score(int64_t query) {
        const uint8_t* first = memory_.queries + query / kTileRows * sizes_.key_steps * kTileBytes;
        const uint8_t* second = first + sizes_.key_steps * kTileBytes;
        float* second_scores = memory_.scores + kTileRows * kScoreStride;
        for (int64_t tile = 0; tile < kCellTiles; tile += 2) {
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

    // Softmax weights of query `query + i` from its scores, and what they change in its sums.
    void weigh(int64_t query, int64_t i, int32_t chunk) {
        const int32_t row = row_of(query + i);
        const float* scores = memory_.scores + i * kScoreStride;
        uint8_t* weights = memory_.weights + i / kTileRows * kCellSteps * kTileBytes +
                           i % kTileRows * kTileRowBytes;
        const int64_t begin = rows_.begin[row] - chunk;
        const int64_t end = rows_.end[row] - chunk;
        __m512 visible[kCellTiles];
        __m512 top = _mm512_set1_ps(-INFINITY);
        for (int64_t tile = 0; tile < kCellTiles; ++tile) {
            const auto lanes = static_cast<__mmask16>(lanes_before(end, tile * kLanes) &
                                                      ~lanes_before(begin, tile * kLanes));
            const __m512 score = capped(_mm512_load_ps(scores + tile * kLanes));
            visible[tile] = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), lanes, score);
            top = _mm512_max_ps(visible[tile], top);
        }
        const float before = largest_[query + i];
        const float largest = larger(before, _mm512_reduce_max_ps(top));
        // A row that has seen nothing: any finite number serves.
        const float reference = largest == -INFINITY ? 0.0f : largest;
        constexpr float kLog2E = 1.44269504f;
        const __m512 minus = _mm512_set1_ps(-reference * kLog2E);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t step = 0; step < kCellSteps; ++step, weights += kTileBytes) {
            const __m512 low =
                exp2_of(_mm512_fmadd_ps(visible[2 * step], _mm512_set1_ps(kLog2E), minus));
            const __m512 high =
                exp2_of(_mm512_fmadd_ps(visible[2 * step + 1], _mm512_set1_ps(kLog2E), minus));
            sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
            _mm512_store_si512(weights, to_bf16(low, high));
        }
        const float chunk_total = _mm512_reduce_add_ps(sum);
        float& total = total_[query + i];
        if (largest == before) {
            total += chunk_total;
            return;
        }
        largest_[query + i] = largest;
        const __m512 keep = exp2_of(_mm512_set1_ps((before - reference) * kLog2E));
        total = total * _mm512_cvtss_f32(keep) + chunk_total;
        float* at = sums_of(query + i);
        for (int64_t t = 0; t < sizes_.value_tiles; ++t, at += kTileRows * kLanes) {
            _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), keep));
        }
    }

    // Its first 16; a tile of them further are the next.
    float* sums_of(int64_t query) const {
        return memory_.sums + query / kTileRows * sizes_.value_tiles * kTileRows * kLanes +
               query % kTileRows * kLanes;
    }

    // NaN of either passes.
    static float larger(float a, float b) { return a > b || a != a ? a : b; }

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

    // sums += weights values, for the queries of a pass.
    void mix(int64_t query) {
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
            for (int64_t step = 0; step < kCellSteps; ++step) {
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
    float largest_[kMostQueries];
    float total_[kMostQueries];
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
