// The way of quantised weights past a few activation rows, for every kernel set: spans of columns, whose
// activations are prepared once, and in a span the weight rows one after the other.
//
// A set is a struct with
//   static constexpr int64_t kChunk;          // elements that are multiplied together
//   static constexpr int64_t kPrefetchBytes;  // how far ahead the cache is asked; 0: not at all
//   static constexpr int32_t outs(int32_t n_rows, int64_t chunk_bytes);  // bytes of a weight row's chunk
//   using Sum;                                // a vector of partial results
//   static Sum zero();
//   static float total(Sum sum);
//   template <class Format> using Chunk;      // of activations
//   template <class Format> static void load(Chunk<Format>& chunk, const float* x, int64_t n);
//   template <class Format, int32_t kOuts, int32_t kRows>
//   static void add(const uint8_t* at, int64_t out_bytes, const Chunk<Format>* const (&x)[kRows],
//                   Sum (&sums)[kOuts][kRows]);
// `outs` is how many weight rows pass together: they share the loads of activations. `load` takes the
// first n elements, a multiple of 32, and zeros beyond; `add` adds the products of a chunk of kOuts weight
// rows, out_bytes apart, with those of kRows activation rows. Of a format this needs kBlock and
// kBlockBytes, the elements and the bytes of a block; kBlock divides kChunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/linear_tile.h"
#include "cpu/kernels/prefetch.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Chunks of columns that pass together: their activations are on the stack, some 16 KB for each row. So
// the weights of most models stream row by row.
constexpr int64_t kSpan = 24;

// Unless rows are read together, a single one of so many chunks is prepared whole: 46 KB. Formats whose chunk
// of 256 is smaller wait for arithmetic, and so want weight rows that share activations.
constexpr int64_t kLongestStream = 3 * kSpan;
constexpr int64_t kLeastBytesOfOneStream = 96;

// Some chunks of columns of a matrix.
template <class Set, class Format>
struct Span {
    static constexpr int64_t kChunkBytes = Set::kChunk / Format::kBlock * Format::kBlockBytes;

    Span(int64_t begin, int64_t n_columns)
        : offset(begin / Format::kBlock * Format::kBlockBytes),
          n_bytes(n_columns / Set::kChunk * kChunkBytes),
          tail_bytes(n_columns % Set::kChunk / Format::kBlock * Format::kBlockBytes) {
        rows_ahead = n_bytes > 0 ? Set::kPrefetchBytes / n_bytes : 0;
        bytes_ahead = n_bytes > 0 ? Set::kPrefetchBytes % n_bytes : 0;
    }

    // Asks for the chunk that comes some way after the one at row + `at`, in each of the rows that pass
    // together.
    template <int32_t kOuts>
    [[gnu::always_inline]] inline void prefetch(const uint8_t* row, int64_t row_bytes,
                                                int64_t at) const {
        if constexpr (Set::kPrefetchBytes > 0) {
            int64_t rows = rows_ahead;
            int64_t ahead = at + bytes_ahead;
            if (ahead >= n_bytes) {
                ahead -= n_bytes;
                ++rows;
            }
            ahead += rows * kOuts * row_bytes;
            for (int32_t o = 0; o < kOuts; ++o, ahead += row_bytes) {
                prefetch_bytes<kChunkBytes>(row, ahead);
            }
        }
    }

    int64_t offset;      // in the rows, in bytes
    int64_t n_bytes;     // of whole chunks
    int64_t tail_bytes;  // of a last one that is not whole
    // How far ahead that is, as rows of the span and the rest.
    int64_t rows_ahead;
    int64_t bytes_ahead;
};

// y[r * y_stride + o] (+)= the products of kOuts weight rows and kRows activation rows in a span.
template <class Set, class Format, int32_t kOuts, bool kStream, int32_t kRows>
void multiply_span(const LinearBlock& block, const Span<Set, Format>& span, const uint8_t* row,
                   const typename Set::template Chunk<Format>* const (&x)[kRows], float* y) {
    constexpr int64_t kChunkBytes = Span<Set, Format>::kChunkBytes;
    typename Set::Sum sums[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) sums[o][r] = Set::zero();
    }
    const typename Set::template Chunk<Format>* at_x[kRows];
    row += span.offset;
    if constexpr (Format::kBlock < Set::kChunk) {
        if (span.tail_bytes > 0) {  // as a chunk that is zero beyond
            uint8_t tail[kOuts][kChunkBytes] = {};
            for (int32_t o = 0; o < kOuts; ++o) {
                std::memcpy(tail[o], row + o * block.row_bytes + span.n_bytes,
                            static_cast<size_t>(span.tail_bytes));
            }
            for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r] + span.n_bytes / kChunkBytes;
            Set::template add<Format>(tail[0], kChunkBytes, at_x, sums);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r];
    for (int64_t at = 0; at < span.n_bytes; at += kChunkBytes) {
        if constexpr (kStream) {
            prefetch_stream<kChunkBytes>(row + at, block.read_order);
        } else {
            span.template prefetch<kOuts>(row, block.row_bytes, at);
        }
        Set::template add<Format>(row + at, block.row_bytes, at_x, sums);
        for (int32_t r = 0; r < kRows; ++r) ++at_x[r];
    }
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) {
            float* out = y + r * block.y_stride + o;
            const float sum = Set::total(sums[o][r]);
            *out = span.offset == 0 ? sum : *out + sum;
        }
    }
}

// Prepares n elements of an activation row.
template <class Set, class Format>
void load_chunks(const float* x, int64_t n, typename Set::template Chunk<Format>* chunks) {
    for (int64_t j = 0; j < n; j += Set::kChunk) {
        Set::template load<Format>(chunks[j / Set::kChunk], x + j, n - j);
    }
}

// All weight rows with kRows activation rows.
template <class Set, class Format, int32_t kRows>
void multiply_spans(const LinearBlock& block, const float* x, float* y) {
    using Chunk = typename Set::template Chunk<Format>;
    Chunk chunks[kRows][kSpan];
    const Chunk* prepared[kRows];
    for (int32_t r = 0; r < kRows; ++r) prepared[r] = chunks[r];
    for (int64_t begin = 0; begin < block.n_in; begin += kSpan * Set::kChunk) {
        const int64_t left = block.n_in - begin;
        const int64_t n = left < kSpan * Set::kChunk ? left : kSpan * Set::kChunk;
        for (int32_t r = 0; r < kRows; ++r) {
            load_chunks<Set, Format>(x + r * block.x_stride + begin, n, chunks[r]);
        }
        constexpr int32_t kOuts = Set::outs(kRows, Span<Set, Format>::kChunkBytes);
        const Span<Set, Format> span(begin, n);
        const auto* row = static_cast<const uint8_t*>(block.weights);
        int64_t i = 0;
        for (; i + kOuts <= block.n_out; i += kOuts, row += kOuts * block.row_bytes) {
            multiply_span<Set, Format, kOuts, false>(block, span, row, prepared, y + i);
        }
        for (; i < block.n_out; ++i, row += block.row_bytes) {
            multiply_span<Set, Format, 1, false>(block, span, row, prepared, y + i);
        }
    }
}

// One activation row with weight rows as they follow each other in memory: the same sums in the same order.
//
// Where in a page the prepared row lies matters: on a Xeon 6 two of eight places take Q4_K and Q4_0 to 0.8 of
// their speed, whatever else is where, for no reason that was found. The middle of a page is a good one.
template <class Set, class Format>
void multiply_stream(const LinearBlock& block, const float* x, float* y) {
    constexpr size_t kPage = 4096;
    struct alignas(kPage) {
        uint8_t half[kPage / 2];
        typename Set::template Chunk<Format> chunks[kLongestStream];
    } prepared;
    auto& chunks = prepared.chunks;
    load_chunks<Set, Format>(x, block.n_in, chunks);
    const auto* row = static_cast<const uint8_t*>(block.weights);
    for (int64_t i = 0; i < block.n_out; ++i, row += block.row_bytes) {
        for (int64_t begin = 0; begin < block.n_in; begin += kSpan * Set::kChunk) {
            const int64_t left = block.n_in - begin;
            const int64_t n = left < kSpan * Set::kChunk ? left : kSpan * Set::kChunk;
            const Span<Set, Format> span(begin, n);
            multiply_span<Set, Format, 1, true>(block, span, row, {chunks + begin / Set::kChunk},
                                                y + i);
        }
    }
}

template <class Set, class Format>
void multiply_rows_in_spans(const LinearBlock& block) {
    for_each_tile(block, [&]<int32_t kRows>(RowCount<kRows>, const float* x, float* y) {
        if constexpr (kRows == 1 && Span<Set, Format>::kChunkBytes >= kLeastBytesOfOneStream) {
            if (block.read_order != ReadOrder::kRowsTogether &&
                block.n_in <= kLongestStream * Set::kChunk) {
                multiply_stream<Set, Format>(block, x, y);
                return;
            }
        }
        multiply_spans<Set, Format, kRows>(block, x, y);
    });
}

}  // namespace
}  // namespace puna::core
