// The way of quantised weights past a few activation rows, for every kernel set: spans of columns, whose
// activations are prepared once, and in a span the weight rows one after the other.
//
// A set is a struct with
//   static constexpr int64_t kLeastColumns;   // that are multiplied together, a divisor of those of a step
//   static constexpr int64_t kPrefetchBytes;  // how far ahead the cache is asked; 0: not at all
//   static constexpr int32_t outs(int32_t n_rows, int64_t least_bytes);  // bytes of so many columns of a weight row
//   using Sum;                                // a vector of partial results
//   static Sum zero();
//   static float total(Sum sum);
//   template <class Format> using Step;       // of activations, Step<Format>::kColumns
//   template <class Format> static void load(Step<Format>& step, const float* x, int64_t n);
//   template <int64_t kColumns, class Format, int32_t kOuts, int32_t kRows, class Ask>
//   static void add(const uint8_t* at, int64_t out_bytes, const Step<Format>* const (&x)[kRows],
//                   Sum (&sums)[kOuts][kRows], const Ask& ask);
// `outs` is how many weight rows pass together: they share the loads of activations. `load` takes the
// first n elements, a multiple of 32, and zeros beyond; `add` adds the products of a step of kOuts weight
// rows, out_bytes apart, with those of kRows activation rows, or of the first kLeastColumns of a step. ask(i) asks for
// what comes some way after the i-th kLeastColumns of a step, and is called before they are multiplied: for all of a
// step of 512 at once, a single row of Q4_0 had 0.98 of the speed on Zen 5. Of a format this
// needs kBlock and kBlockBytes, the elements and the bytes of a block; kBlock divides kLeastColumns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/linear_tile.h"
#include "cpu/kernels/prefetch.h"

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Columns that pass together: their activations are on the stack, some 16 KB for each row. So the weights of
// most models stream row by row. All steps divide it.
constexpr int64_t kSpan = 6144;

// Unless rows are read together, a single one of so many columns is prepared whole: 41 to 46 KB. Formats whose least
// columns are smaller wait for arithmetic, and so want weight rows that share activations.
constexpr int64_t kLongestStream = 3 * kSpan;
constexpr int64_t kLeastBytesOfOneStream = 96;

// Some steps of columns of a matrix.
template <class Set, class Format>
struct Span {
    static constexpr int64_t kColumns = Set::template Step<Format>::kColumns;  // of a step
    static constexpr int64_t kStepBytes = bytes_of<Format>(kColumns);
    static constexpr int64_t kLeastBytes = bytes_of<Format>(Set::kLeastColumns);
    static_assert(kSpan % kColumns == 0 && kColumns % Set::kLeastColumns == 0);

    Span(int64_t begin, int64_t n_columns)
        : offset(bytes_of<Format>(begin)),
          n_bytes(n_columns / kColumns * kStepBytes),
          rest_bytes(bytes_of<Format>(n_columns % kColumns)),
          rows_ahead(Set::kPrefetchBytes / (n_bytes + rest_bytes)),
          bytes_ahead(Set::kPrefetchBytes % (n_bytes + rest_bytes)) {}

    // Asks for the least columns that come some way after those at row + `at`, in each of the rows that pass
    // together.
    template <int32_t kOuts>
    [[gnu::always_inline]] inline void prefetch(const uint8_t* row, int64_t row_bytes,
                                                int64_t at) const {
        if constexpr (Set::kPrefetchBytes > 0) {
            int64_t rows = rows_ahead;
            int64_t ahead = at + bytes_ahead;
            if (ahead >= n_bytes + rest_bytes) {
                ahead -= n_bytes + rest_bytes;
                ++rows;
            }
            ahead += rows * kOuts * row_bytes;
            for (int32_t o = 0; o < kOuts; ++o, ahead += row_bytes) {
                prefetch_bytes<kLeastBytes>(row, ahead);
            }
        }
    }

    int64_t offset;      // in the rows, in bytes
    int64_t n_bytes;     // of whole steps
    int64_t rest_bytes;  // of a last one that is not whole
    // How far ahead that is, as rows of the span and the rest.
    int64_t rows_ahead;
    int64_t bytes_ahead;
};

// Adds the last n_bytes of the columns of rows at `at`, less than a step: kColumns of them, which are zeros beyond.
template <class Set, class Format, int64_t kColumns, int32_t kOuts, int32_t kRows, class Ask>
[[gnu::always_inline]] inline void add_rest(
    const uint8_t* at, int64_t out_bytes, int64_t n_bytes,
    const typename Set::template Step<Format>* const (&x)[kRows],
    typename Set::Sum (&sums)[kOuts][kRows], const Ask& ask) {
    constexpr int64_t kBytes = bytes_of<Format>(kColumns);
    if constexpr (kColumns < Span<Set, Format>::kColumns) {
        if (n_bytes == kBytes) {
            Set::template add<kColumns, Format>(at, out_bytes, x, sums, ask);
            return;
        }
    }
    if constexpr (Format::kBlock < Set::kLeastColumns) {
        uint8_t padded[kOuts][kBytes] = {};
        for (int32_t o = 0; o < kOuts; ++o) {
            std::memcpy(padded[o], at + o * out_bytes, static_cast<size_t>(n_bytes));
        }
        Set::template add<kColumns, Format>(padded[0], kBytes, x, sums, ask);
    }
}

// y[r * y_stride + o] (+)= the products of kOuts weight rows and kRows activation rows in a span. What is not a whole
// step comes first: the calls that copy it would make the compiler keep the sums in memory.
template <class Set, class Format, int32_t kOuts, bool kStream, int32_t kRows>
void multiply_span(const LinearBlock& block, const Span<Set, Format>& span, const uint8_t* row,
                   const typename Set::template Step<Format>* const (&x)[kRows], float* y) {
    using S = Span<Set, Format>;
    typename Set::Sum sums[kOuts][kRows];
    for (int32_t o = 0; o < kOuts; ++o) {
        for (int32_t r = 0; r < kRows; ++r) sums[o][r] = Set::zero();
    }
    const typename Set::template Step<Format>* at_x[kRows];
    row += span.offset;
    int64_t at = span.n_bytes;
    const auto ask = [&](int64_t i) __attribute__((always_inline)) {
        const int64_t least = at + i * S::kLeastBytes;
        if constexpr (kStream) {
            prefetch_stream<S::kLeastBytes>(row + least, block.read_order);
        } else {
            span.template prefetch<kOuts>(row, block.row_bytes, least);
        }
    };
    if constexpr (Format::kBlock < S::kColumns) {
        if (span.rest_bytes > 0) {
            for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r] + at / S::kStepBytes;
            if (S::kColumns == Set::kLeastColumns || span.rest_bytes <= S::kLeastBytes) {
                add_rest<Set, Format, Set::kLeastColumns>(row + at, block.row_bytes,
                                                          span.rest_bytes, at_x, sums, ask);
            } else if constexpr (S::kColumns > Set::kLeastColumns &&
                                 Format::kBlock < Set::kLeastColumns) {
                add_rest<Set, Format, S::kColumns>(row + at, block.row_bytes, span.rest_bytes, at_x,
                                                   sums, ask);
            }
        }
    }
    for (int32_t r = 0; r < kRows; ++r) at_x[r] = x[r];
    for (at = 0; at < span.n_bytes; at += S::kStepBytes) {
        Set::template add<S::kColumns, Format>(row + at, block.row_bytes, at_x, sums, ask);
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
void load_steps(const float* x, int64_t n, typename Set::template Step<Format>* steps) {
    constexpr int64_t kColumns = Span<Set, Format>::kColumns;
    for (int64_t j = 0; j < n; j += kColumns) {
        Set::template load<Format>(steps[j / kColumns], x + j, n - j);
    }
}

// All weight rows with kRows activation rows.
template <class Set, class Format, int32_t kRows>
void multiply_spans(const LinearBlock& block, const float* x, float* y) {
    using Step = typename Set::template Step<Format>;
    Step steps[kRows][kSpan / Step::kColumns];
    const Step* prepared[kRows];
    for (int32_t r = 0; r < kRows; ++r) prepared[r] = steps[r];
    for (int64_t begin = 0; begin < block.n_in; begin += kSpan) {
        const int64_t left = block.n_in - begin;
        const int64_t n = left < kSpan ? left : kSpan;
        for (int32_t r = 0; r < kRows; ++r) {
            load_steps<Set, Format>(x + r * block.x_stride + begin, n, steps[r]);
        }
        constexpr int32_t kOuts = Set::outs(kRows, Span<Set, Format>::kLeastBytes);
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
    using Step = typename Set::template Step<Format>;
    constexpr size_t kPage = 4096;
    struct alignas(kPage) {
        uint8_t half[kPage / 2];
        Step steps[kLongestStream / Step::kColumns];
    } prepared;
    auto& steps = prepared.steps;
    load_steps<Set, Format>(x, block.n_in, steps);
    const auto* row = static_cast<const uint8_t*>(block.weights);
    for (int64_t i = 0; i < block.n_out; ++i, row += block.row_bytes) {
        for (int64_t begin = 0; begin < block.n_in; begin += kSpan) {
            const int64_t left = block.n_in - begin;
            const Span<Set, Format> span(begin, left < kSpan ? left : kSpan);
            multiply_span<Set, Format, 1, true>(block, span, row, {steps + begin / Step::kColumns},
                                                y + i);
        }
    }
}

template <class Set, class Format>
void multiply_rows_in_spans(const LinearBlock& block) {
    for_each_tile(block, [&]<int32_t kRows>(RowCount<kRows>, const float* x, float* y) {
        if constexpr (kRows == 1 && Span<Set, Format>::kLeastBytes >= kLeastBytesOfOneStream) {
            if (block.read_order != ReadOrder::kRowsTogether && block.n_in <= kLongestStream) {
                multiply_stream<Set, Format>(block, x, y);
                return;
            }
        }
        multiply_spans<Set, Format, kRows>(block, x, y);
    });
}

}  // namespace
}  // namespace puna::core
