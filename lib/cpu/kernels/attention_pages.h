// The way of attention through the pages of a KV cache, for every kernel set.
//
// Scores and values are the same sums. Of a page a pass takes rows of a few vectors: cells of one
// dimension for scores, dimensions of one cell for values. A row is loaded once for some queries
// and added to the sums of each, times a factor of its own: the dimension of the query, or the
// weight of the cell.
//
// A set is a struct with
//   static constexpr int32_t kLanes;                    // floats of a vector
//   static constexpr int32_t kMostQueries;              // that share a pass; a power of two
//   static constexpr int32_t vectors(int32_t queries);  // of a row; registers hold the sums
//   using Vector;
//   static Vector zero();
//   static Vector fill(float value);
//   static Vector multiply_add(Vector sum, Vector a, Vector b);
//   static void store(float* at, int32_t left, Vector v);
//   template <class Element> static Vector load(const uint8_t* at, int32_t left);
// `vectors` are a whole part of the cells of a page. `store` and `load` touch no more than `left`
// elements; what is not loaded is zero.
//
// An element of the cache is a struct with
//   static constexpr int64_t kBytes;
//   static constexpr bool kHasScales;  // the cache is Q8_0, with the layout of cpu/kv_half.h
//   static Vector load(const uint8_t* at);
// If it has scales, there are besides
//   static Vector load_scales(const uint8_t* at);
// and, of the set,
//   static Vector load_floats(const float* at, int32_t left);
//   static Vector multiply(Vector a, Vector b);
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/unroll.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Set::load where loads of elements have no masks.
template <class Set, class Element>
typename Set::Vector load_by_copy(const uint8_t* at, int32_t left) {
    if (left >= Set::kLanes) return Element::load(at);
    uint8_t rest[Set::kLanes * Element::kBytes] = {};
    std::memcpy(rest, at, static_cast<size_t>(left * Element::kBytes));
    return Element::load(rest);
}

// ---- Scales -------------------------------------------------------------------------------------

constexpr int32_t kKvBlock = 32;  // dimensions with a scale
constexpr int64_t kScaleBytes = 2;

// Where a page has those of dimension d: behind its elements, of one byte each.
inline int64_t scales_at(int32_t dim, int32_t d) {
    return (dim + d / kKvBlock * kScaleBytes) * kKvPage;
}

// scores * scales of the cells of a page, for kQueries queries: weights take the scales along.
template <class Set, class Element, int32_t kQueries>
void scale_weights(const float* scores, const uint8_t* scales,
                   float (&weights)[kQueries][kKvPage]) {
    for (int32_t cell = 0; cell < kKvPage; cell += Set::kLanes) {
        const typename Set::Vector scale = Element::load_scales(scales + cell * kScaleBytes);
        for (int32_t h = 0; h < kQueries; ++h) {
            const auto score = Set::load_floats(scores + h * kAttentionChunk + cell, Set::kLanes);
            Set::store(&weights[h][cell], Set::kLanes, Set::multiply(score, scale));
        }
    }
}

// ---- Prefetching --------------------------------------------------------------------------------

// Asks L2 for what is read after a chunk, a line at a time: what waits for memory comes while what computes has
// all it needs.
class LinesAhead {
  public:
    explicit LinesAhead(const BlocksAhead& of) : of_(of) {}

    [[gnu::always_inline]] void ask() {
        if (at_ >= end_ && !open_page()) return;
        __builtin_prefetch(at_, 0, 2);
        at_ += kLineBytes;
    }

  private:
    static constexpr int64_t kLineBytes = 64;

    bool open_page() {
        if (page_ >= of_.n_pages) return false;
        at_ = of_.blocks + of_.pages[page_++] * of_.page_bytes;
        end_ = at_ + of_.block_bytes;
        return true;
    }

    const BlocksAhead of_;
    int32_t page_ = 0;
    const uint8_t* at_ = nullptr;
    const uint8_t* end_ = nullptr;
};

// ---- Sums ---------------------------------------------------------------------------------------

// kWidth vectors for each of kQueries queries. Loops over them are templates: GCC 12 would keep
// sums in memory.
template <class Set, int32_t kQueries, int32_t kWidth>
struct Sums {
    typename Set::Vector of[kQueries][kWidth];

    [[gnu::always_inline]] Sums() {
        unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
            unroll<kWidth>([&](auto i) __attribute__((always_inline)) { of[h][i] = Set::zero(); });
        });
    }

    // Adds `count` rows, row_bytes apart, row r times factors[h * stride + r] for query h. With
    // kWidth 1 a row ends after `left` elements. `next` is where rows lie in the page that follows,
    // or null: the addresses of pages are unknown to the processor's own prefetcher. With each row goes a
    // line of what is read after the chunk.
    template <class Element>
    [[gnu::always_inline]] void add(const uint8_t* row, const uint8_t* next, int64_t row_bytes,
                                    int32_t count, int32_t left, const float* factors,
                                    int64_t stride, LinesAhead& ahead) {
        for (int32_t r = 0; r < count; ++r, row += row_bytes, ++factors) {
            if (next) __builtin_prefetch(next + r * row_bytes);
            ahead.ask();
            typename Set::Vector v[kWidth];
            if constexpr (kWidth == 1) {
                v[0] = Set::template load<Element>(row, left);
            } else {
                for (int32_t i = 0; i < kWidth; ++i) {
                    v[i] = Element::load(row + i * Set::kLanes * Element::kBytes);
                }
            }
            unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
                const typename Set::Vector factor = Set::fill(factors[h * stride]);
                unroll<kWidth>([&](auto i) __attribute__((always_inline)) {
                    of[h][i] = Set::multiply_add(of[h][i], v[i], factor);
                });
            });
        }
    }

    // To out[h * stride ..); with kWidth 1 no more than `left` floats of each query.
    [[gnu::always_inline]] void store(float* out, int64_t stride, int32_t left) const {
        unroll<kQueries>([&](auto h) __attribute__((always_inline)) {
            unroll<kWidth>([&](auto i) __attribute__((always_inline)) {
                const int32_t lanes = kWidth == 1 ? left : Set::kLanes;
                Set::store(out + h * stride + i * Set::kLanes, lanes, of[h][i]);
            });
        });
    }
};

// ---- Passes -------------------------------------------------------------------------------------

// Calls pass(Index<n>(), i) for groups of n queries or vectors from i on, at most kMost, a power of
// two. Each result is computed alone, so the grouping does not show.
template <int32_t kMost, class Pass>
void for_each_group(int32_t count, Pass pass, int32_t i = 0) {
    for (; count - i >= kMost; i += kMost) pass(Index<kMost>(), i);
    if constexpr (kMost > 1) for_each_group<kMost / 2>(count, pass, i);
}

template <class Set, class Element, int32_t kQueries>
void score_pages(const AttentionChunk& chunk, int32_t first_query, LinesAhead& ahead) {
    constexpr int32_t kWidth = Set::vectors(kQueries);
    constexpr int32_t kCells = kWidth * Set::kLanes;
    const int32_t dim = chunk.head_dim_k;
    const float* q = chunk.q + int64_t{first_query} * dim;
    float* scores = chunk.scores + first_query * kAttentionChunk;
    const int32_t last = (chunk.end - 1) / kKvPage;
    for (int32_t page = chunk.begin / kKvPage; page <= last; ++page) {
        const uint8_t* keys = chunk.keys + chunk.pages[page] * chunk.key_page_bytes;
        const uint8_t* next =
            page < last ? chunk.keys + chunk.pages[page + 1] * chunk.key_page_bytes : nullptr;
        float* page_scores = scores + page * kKvPage % kAttentionChunk;
        for (int32_t cell = 0; cell < kKvPage; cell += kCells) {
            const int64_t at = cell * Element::kBytes;
            Sums<Set, kQueries, kWidth> sums;
            sums.template add<Element>(keys + at, next ? next + at : nullptr,
                                       kKvPage * Element::kBytes, dim, kCells, q, dim, ahead);
            sums.store(page_scores + cell, kAttentionChunk, kCells);
        }
    }
}

// out[h][d .. ), kWidth vectors for kQueries queries; with kWidth 1 no more than up to head_dim_v.
template <class Set, class Element, int32_t kQueries, int32_t kWidth>
void mix_values(const AttentionChunk& chunk, int32_t first_query, int32_t d, LinesAhead& ahead) {
    const int32_t dim = chunk.head_dim_v;
    const int64_t at = d * Element::kBytes;
    const int64_t cell_bytes = dim * Element::kBytes;
    const float* scores = chunk.scores + first_query * kAttentionChunk;
    Sums<Set, kQueries, kWidth> sums;
    for (int32_t p = chunk.begin; p < chunk.end;) {
        const int32_t in_page = p % kKvPage;
        const int32_t left = chunk.end - p;
        const int32_t count = left < kKvPage - in_page ? left : kKvPage - in_page;
        const int32_t* page = chunk.pages + p / kKvPage;
        const uint8_t* values = chunk.values + page[0] * chunk.value_page_bytes;
        const uint8_t* next =
            count < left ? chunk.values + page[1] * chunk.value_page_bytes + at : nullptr;
        const uint8_t* first = values + in_page * cell_bytes + at;
        if constexpr (Element::kHasScales) {
            alignas(64) float weights[kQueries][kKvPage];
            scale_weights<Set, Element>(scores + (p - in_page) % kAttentionChunk,
                                        values + scales_at(dim, d), weights);
            sums.template add<Element>(first, next, cell_bytes, count, dim - d,
                                       &weights[0][in_page], kKvPage, ahead);
        } else {
            sums.template add<Element>(first, next, cell_bytes, count, dim - d,
                                       scores + p % kAttentionChunk, kAttentionChunk, ahead);
        }
        p += count;
    }
    sums.store(chunk.out + int64_t{first_query} * dim + d, dim, dim - d);
}

template <class Set, class Element, int32_t kQueries>
void mix_all_values(const AttentionChunk& chunk, int32_t first_query, LinesAhead& ahead) {
    const int32_t whole = chunk.head_dim_v / Set::kLanes;
    for_each_group<Set::vectors(kQueries)>(whole, [&]<int kWidth>(Index<kWidth>, int32_t first) {
        mix_values<Set, Element, kQueries, kWidth>(chunk, first_query, first * Set::kLanes, ahead);
    });
    if (whole * Set::kLanes < chunk.head_dim_v) {
        mix_values<Set, Element, kQueries, 1>(chunk, first_query, whole * Set::kLanes, ahead);
    }
}

template <class Set, class Element>
void attention_scores(const AttentionChunk& chunk) {
    LinesAhead ahead(chunk.ahead);
    for_each_group<Set::kMostQueries>(
        chunk.n_queries, [&]<int kQueries>(Index<kQueries>, int32_t first_query) {
            score_pages<Set, Element, kQueries>(chunk, first_query, ahead);
        });
}

template <class Set, class Element>
void attention_values(const AttentionChunk& chunk) {
    LinesAhead ahead(chunk.ahead);
    for_each_group<Set::kMostQueries>(
        chunk.n_queries, [&]<int kQueries>(Index<kQueries>, int32_t first_query) {
            mix_all_values<Set, Element, kQueries>(chunk, first_query, ahead);
        });
}

}  // namespace
}  // namespace puna::core
