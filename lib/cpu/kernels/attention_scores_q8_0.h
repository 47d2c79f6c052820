// Scores over a cache of Q8_0, for kernel sets that multiply 16-bit integers: cpu/kv_half.h has the
// layout of a head's part of a page.
//
// Queries are rounded to 16 bits, with a scale for 32 dimensions, and pairs of dimensions are
// multiplied together: their sum is a lane of 32 bits, exact until it meets the scales.
//
// Besides what attention_pages.h needs, a set has
//   static float largest(const Vector (&x)[kKvBlock / kLanes]);  // magnitude; NaN is the largest
// and the element
//   using Integers;                                              // kLanes of 32 bits
//   static Integers zero();
//   static Vector to_floats(Integers v);
//   static void round(Vector x, Vector factor, int16_t* out);    // x * factor
//   static Integers pairs(const uint8_t* at);                    // a lane: two bytes, as words
//   static Integers singles(const uint8_t* at);                  // one byte, in the lower word
//   static Integers add_products(Integers sum, Integers words, int32_t factors);
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/attention_pages.h"

namespace puna::core {
namespace {

// 32 dimensions of each query.
template <int32_t kQueries>
struct QueryBlock {
    alignas(64) int16_t q[kQueries][kKvBlock];
    float scale[kQueries];

    // The n dimensions from `from` on, zeros behind them; queries are `stride` floats apart.
    template <class Set, class Element>
    void round(const float* from, int64_t stride, int32_t n) {
        constexpr int32_t kVectors = kKvBlock / Set::kLanes;
        for (int32_t h = 0; h < kQueries; ++h, from += stride) {
            typename Set::Vector x[kVectors];
            for (int32_t i = 0; i < kVectors; ++i) {
                const int32_t first = i * Set::kLanes;
                x[i] = first < n ? Set::load_floats(from + first, n - first) : Set::zero();
            }
            const float most = Set::largest(x);  // NaN stays in the scale
            scale[h] = most / 32767.0f;
            const typename Set::Vector factor = Set::fill(most > 0.0f ? 32767.0f / most : 0.0f);
            for (int32_t i = 0; i < kVectors; ++i) {
                Element::round(x[i], factor, q[h] + i * Set::kLanes);
            }
        }
    }
};

// Sums of products for kWidth vectors of cells of each query.
template <class Set, class Element, int32_t kQueries, int32_t kWidth>
struct IntegerSums {
    typename Element::Integers of[kQueries][kWidth];

    [[gnu::always_inline]] IntegerSums() {
        unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
            unroll<kWidth>([&](auto i)
                               __attribute__((always_inline)) { of[h][i] = Element::zero(); });
        });
    }
    [[gnu::always_inline]] void add(const typename Element::Integers (&keys)[kWidth],
                                    const QueryBlock<kQueries>& queries, int32_t pair) {
        unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
            int32_t both;
            std::memcpy(&both, &queries.q[h][2 * pair], sizeof both);
            unroll<kWidth>([&](auto i) __attribute__((always_inline)) {
                of[h][i] = Element::add_products(of[h][i], keys[i], both);
            });
        });
    }
    // Adds them to the scores of the cells, or begins these.
    [[gnu::always_inline]] void store(const uint8_t* scales, const QueryBlock<kQueries>& queries,
                                      bool is_first, float* scores) const {
        unroll<kWidth>([&](auto i) __attribute__((always_inline)) {
            const typename Set::Vector scale =
                Element::load_scales(scales + i * Set::kLanes * kScaleBytes);
            unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
                float* out = scores + h * kAttentionChunk + i * Set::kLanes;
                const auto both = Set::multiply(scale, Set::fill(queries.scale[h]));
                const auto before = is_first ? Set::zero() : Set::load_floats(out, Set::kLanes);
                Set::store(out, Set::kLanes,
                           Set::multiply_add(before, Element::to_floats(of[h][i]), both));
            });
        });
    }
};

// Adds n dimensions of some vectors of cells, from `cell` of a page on. `next` is what is read
// after this page, or null, as in attention_pages.h.
template <class Set, class Element, int32_t kQueries, bool kIsOdd>
void score_cells(const uint8_t* bytes, const uint8_t* scales, const uint8_t* next, int32_t cell,
                 int32_t n, const QueryBlock<kQueries>& queries, bool is_first, float* scores) {
    constexpr int32_t kWidth = Set::vectors(kQueries);
    IntegerSums<Set, Element, kQueries, kWidth> sums;
    typename Element::Integers keys[kWidth];
    // GCC would unroll it 16 times, and move sums between registers at each exit.
#pragma GCC unroll 1
    for (int32_t pair = 0; pair < n / 2; ++pair) {
        const int64_t at = pair * 2 * kKvPage;
        if (next) __builtin_prefetch(next + at);
        const uint8_t* from = bytes + at + cell * 2;
        for (int32_t i = 0; i < kWidth; ++i) keys[i] = Element::pairs(from + i * 2 * Set::kLanes);
        sums.add(keys, queries, pair);
    }
    if constexpr (kIsOdd) {
        // One dimension: the other half of a lane meets the zero behind the query.
        const uint8_t* from = bytes + (n - 1) * kKvPage + cell;
        for (int32_t i = 0; i < kWidth; ++i) keys[i] = Element::singles(from + i * Set::kLanes);
        sums.add(keys, queries, n / 2);
    }
    sums.store(scales + cell * kScaleBytes, queries, is_first, scores + cell);
}

// Adds the n dimensions of a block, from d on. An odd number is rare, and as a case in score_cells
// it would have GCC keep a sum in memory.
template <class Set, class Element, int32_t kQueries, bool kIsOdd>
void score_block(const AttentionChunk& chunk, int32_t first_query, int32_t d, int32_t n) {
    constexpr int32_t kCells = Set::vectors(kQueries) * Set::kLanes;
    const int32_t dim = chunk.head_dim_k;
    QueryBlock<kQueries> queries;
    queries.template round<Set, Element>(chunk.q + int64_t{first_query} * dim + d, dim, n);
    float* scores = chunk.scores + first_query * kAttentionChunk;
    const int64_t at = int64_t{d} * kKvPage;
    const int32_t last = (chunk.end - 1) / kKvPage;
    for (int32_t page = chunk.begin / kKvPage; page <= last; ++page) {
        const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
        const uint8_t* next =
            page < last ? chunk.keys + chunk.pages[page + 1] * chunk.key_page_bytes + at : nullptr;
        float* page_scores = scores + page * kKvPage % kAttentionChunk;
        for (int32_t cell = 0; cell < kKvPage; cell += kCells) {
            score_cells<Set, Element, kQueries, kIsOdd>(keys + at, keys + scales_at(dim, d), next,
                                                        cell, n, queries, d == 0, page_scores);
        }
    }
}

template <class Set, class Element, int32_t kQueries>
void score_blocks(const AttentionChunk& chunk, int32_t first_query) {
    for (int32_t d = 0; d < chunk.head_dim_k; d += kKvBlock) {
        const int32_t left = chunk.head_dim_k - d;
        const int32_t n = left < kKvBlock ? left : kKvBlock;
        if (n % 2 == 0) {
            score_block<Set, Element, kQueries, false>(chunk, first_query, d, n);
        } else {
            score_block<Set, Element, kQueries, true>(chunk, first_query, d, n);
        }
    }
}

// Asks for nothing of chunk.ahead: of a cache with half the bytes it changed nothing.
template <class Set, class Element>
void attention_scores_of_bytes(const AttentionChunk& chunk) {
    for_each_group<Set::kMostQueries>(chunk.n_queries,
                                      [&]<int kQueries>(Index<kQueries>, int32_t first_query) {
                                          score_blocks<Set, Element, kQueries>(chunk, first_query);
                                      });
}

}  // namespace
}  // namespace puna::core
