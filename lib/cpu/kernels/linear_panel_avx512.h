// The AVX-512 linear kernel for quantised weights and many activation rows, written once for all
// formats.
//
// Some strips of 16 weight rows at a time are transposed, unpacked into unsigned bytes and stay in L1 and L2 while all
// activation rows pass. A vector holds four elements of each row of a strip, and VNNI multiplies it with four of
// an activation row in all lanes: these were rounded to 8 bits in groups of 32 with a scale of their own
// (panel_rows_avx512.h). So a lane is a result, no sum across lanes is needed, and any number of
// activation rows fills the vectors.
//
// What limits it is how many multiplications there are, VNNI and float ones: a core does two a cycle at most.
// 32 columns of a strip and an activation row take eight of VNNI, one for the scale of the activations, and
// - one for the scales of the weights, if they are of 32 columns;
// - two if they are of 16 (Q6_K): they meet before the activations' scale does;
// - none if quants times scales are still bytes (Q2_K and Q3_K): what remains is a factor for 256.
// Each minimum is one more.
//
// Formats are those of quants_avx512.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/panel_rows_avx512.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/sixteen_rows_avx512.h"

namespace puna::core {
namespace {

constexpr int32_t kStripRows = 16;
constexpr int64_t kPanelColumns = 512;  // that are unpacked at a time
constexpr int64_t kPanelBlocks = kPanelColumns / kRowBlock;
constexpr int64_t kChunkBlocks = kChunk / kRowBlock;

// Of a matrix; blocks of all formats begin and end with them.
struct Columns {
    int64_t begin;
    int64_t end;
};

// How a format's weights are unpacked and multiplied.
template <class Format>
struct PanelOf {
    // As quants times scales, see multiplied(): there are few levels, and scales have 4 or 6 bits.
    static constexpr bool kMultiplied = !Format::kWideScales && Format::kLevels <= 8;
    // What bytes are too large by.
    static constexpr int kOffset = kMultiplied && Format::kOffset != 0 ? 128 : Format::kOffset;
    // Factors of a block of 32 columns; quants that are multiplied have one for 256.
    static constexpr int kMinimums = Format::kWideScales ? 1 : 2;
    static constexpr int kScales = kMultiplied ? 1 : kMinimums;
    static constexpr int64_t kScalesOfPanel =
        kMultiplied ? kPanelColumns / kChunk : kPanelBlocks * kScales;
    // Strips that are multiplied together. Two scales need registers for sums that meet both.
    static constexpr int32_t kStrips = kScales == 2 ? 2 : 3;
    static_assert(kStrips * kStripRows <= kMostOuts);
};

// ---- Weights ------------------------------------------------------------------------------------

// Quants times the scales that lie at the same bytes, whose sign is the other one if quants have an offset:
// (4 - q) * scale is in -128 .. 124 for Q3_K, and goes up by 128.
template <class Format>
inline __m512i multiplied(__m512i quants, __m512i scales) {
    const __m512i products = ByteProducts(quants, scales).low();
    if constexpr (Format::kOffset == 0) {
        return products;
    } else {
        static_assert(Format::kOffset == 4);
        const __m512i twice = _mm512_add_epi8(scales, scales);
        const __m512i offset =
            _mm512_xor_si512(_mm512_add_epi8(twice, twice), _mm512_set1_epi8(-128));
        return _mm512_sub_epi8(offset, products);
    }
}

// 16 weight rows in a panel of columns.
template <class Format>
struct alignas(64) Strip {
    using Panel = PanelOf<Format>;

    uint8_t bytes[kPanelBlocks][kRowBlock / 4][kStripRows][4];
    float scales[Panel::kScalesOfPanel][kStripRows];
    float minimums[Format::kHasMinimums ? kPanelBlocks * Panel::kMinimums : 1][kStripRows];
};

// What the rows of a strip have of factors in 256 columns, row by row.
template <class Format>
class alignas(64) RowFactors {
  public:
    explicit RowFactors(const SixteenRows& rows) {
        for (int32_t r = 0; r < kStripRows; ++r) open(rows.at[r], r);
    }
    // All of them, transposed, from block `block` of the panel on.
    void put(Strip<Format>& strip, int64_t block) const {
        if constexpr (Panel::kMultiplied) {
            std::memcpy(strip.scales[block / kChunkBlocks], factors_, sizeof factors_);
        } else {
            put_factors<Panel::kScales>(scales_, strip.scales + block * Panel::kScales);
        }
        if constexpr (Format::kHasMinimums) {
            put_factors<Panel::kMinimums>(minimums_, strip.minimums + block * Panel::kMinimums);
        }
    }

  private:
    using Panel = PanelOf<Format>;

    void open(const uint8_t* at, int32_t r) {
        Format w;
        w.open(at);
        if constexpr (Panel::kMultiplied) {
            const float factor = _mm_cvtss_f32(load_half(at + Format::kFactorAt));
            factors_[r] = Format::kOffset != 0 ? -factor : factor;
        } else {
            store_factors(scales_[r], w.scales);
        }
        if constexpr (Format::kHasMinimums) store_factors(minimums_[r], w.minimums);
    }
    static void store_factors(float* at, __m512 factors) { _mm512_store_ps(at, factors); }
    static void store_factors(float* at, __m256 factors) { _mm256_store_ps(at, factors); }

    // kFactors for each block.
    template <int kFactors>
    static void put_factors(const float (&rows)[kStripRows][16], float (*to)[kStripRows]) {
        for_each_column<kFactors * kChunkBlocks, 16>(
            rows[0], [&](int32_t i, __m512 v)
                         __attribute__((always_inline)) { _mm512_store_ps(to[i], v); });
    }

    float scales_[kStripRows][16];
    float factors_[kStripRows];  // instead of scales, of quants that are multiplied
    float minimums_[kStripRows][16];
};

template <class Format>
concept HasFactorsOfRows = requires(const SixteenRows& rows) {
    Format::factors_of_rows(
        rows, [](int, __m512) {}, [](int, __m512) {});
};

template <class Format>
void unpack_factors(const SixteenRows& rows, Strip<Format>& strip, int64_t block) {
    using Panel = PanelOf<Format>;
    if constexpr (HasFactorsOfRows<Format>) {
        float(*const scales)[kStripRows] = strip.scales + block * Panel::kScales;
        Format::factors_of_rows(
            rows,
            [&](int i, __m512 of_rows)
                __attribute__((always_inline)) { _mm512_store_ps(scales[i], of_rows); },
            [&](int i, __m512 of_rows) __attribute__((always_inline)) {
                _mm512_store_ps(strip.minimums[block * Panel::kMinimums + i], of_rows);
            });
    } else {
        RowFactors<Format>(rows).put(strip, block);
    }
}

// What the fours 4 g .. 4 g + 3 are multiplied by: groups[g].
template <class Format>
void spread_integers(const SixteenRows& rows, __m512i (&groups)[kGroups]) {
    alignas(64) int8_t integers[kStripRows][kGroups];
    for (int32_t r = 0; r < kStripRows; ++r) {
        _mm_store_si128(reinterpret_cast<__m128i*>(integers[r]),
                        Format::integer_scales(rows.at[r]));
    }
    for_each_column<kGroups / 4>(
        reinterpret_cast<const float*>(integers), [&](int32_t i, __m512 dwords)
                                                      __attribute__((always_inline)) {
                                                          for (int j = 0; j < 4; ++j) {
                                                              groups[4 * i + j] = spread_bytes(
                                                                  _mm512_castps_si512(dwords), j);
                                                          }
                                                      });
}

// 256 columns of 16 rows, from block `block` of a panel on. ask(r) is called for one row after the other.
template <class Format, class Ask>
void unpack_chunk(const SixteenRows& rows, Strip<Format>& strip, int64_t block, const Ask& ask) {
    unpack_factors(rows, strip, block);
    uint8_t* const to = strip.bytes[block][0][0];
    const auto put = [&](int four, __m512i bytes) __attribute__((always_inline)) {
        constexpr int kFours = kChunk / 4 / kStripRows;
        if (four % kFours == 0) ask(four / kFours);
        _mm512_store_si512(to + 64 * four, bytes);
    };
    if constexpr (PanelOf<Format>::kMultiplied) {
        __m512i integers[kGroups];
        spread_integers<Format>(rows, integers);
        Format::fours(
            rows, [&](int four, __m512i quants) __attribute__((always_inline)) {
                put(four, multiplied<Format>(quants, integers[four / 4]));
            });
    } else {
        Format::fours(rows, put);
    }
}

// A panel of columns of the weight rows from `first` on. Beyond the last it is that one again. L2 is asked for
// what lies `ahead` bytes behind a row while a part of the chunk is unpacked: for all rows before it, 8 rows of
// activations were half (Q6_K) to 0.8 (Q4_0) as fast, for single lines between the parts 0.9 to 1.
template <class Format>
void unpack_strip(const PanelBlock& block, const Columns& columns, int64_t first, int64_t ahead,
                  Strip<Format>& strip) {
    constexpr int64_t kChunkBytes = bytes_of<Format>(kChunk);
    uint8_t padded[kStripRows][kChunkBytes];
    for (int64_t column = columns.begin; column < columns.end; column += kChunk) {
        const int64_t n_bytes = bytes_of<Format>(columns.end - column);
        SixteenRows rows;
        for (int32_t r = 0; r < kStripRows; ++r) {
            const int64_t row = first + r < block.n_out ? first + r : block.n_out - 1;
            rows.at[r] = static_cast<const uint8_t*>(block.weights) + row * block.row_bytes +
                         bytes_of<Format>(column);
        }
        const SixteenRows stored = rows;
        if (n_bytes < kChunkBytes) {
            for (int32_t r = 0; r < kStripRows; ++r) {
                std::memset(padded[r], 0, kChunkBytes);
                std::memcpy(padded[r], stored.at[r], static_cast<size_t>(n_bytes));
                rows.at[r] = padded[r];
            }
        }
        const bool is_last = column + kChunk >= columns.end;
        const auto ask = [&](int32_t r) __attribute__((always_inline)) {
            prefetch_bytes<kChunkBytes>(stored.at[r], ahead);
            if (is_last) prefetch_bytes<1>(stored.at[r], ahead + kChunkBytes - 1);
        };
        unpack_chunk(rows, strip, (column - columns.begin) / kRowBlock, ask);
    }
}

// ---- Products -----------------------------------------------------------------------------------

// kStrips strips of weight rows with kRows activation rows of a quartet.
template <class F, int32_t kStripCount, int32_t kRowCount>
struct Tile {
    using Format = F;
    using Panel = PanelOf<Format>;
    static constexpr int32_t kStrips = kStripCount;
    static constexpr int32_t kRows = kRowCount;
    using Ints = __m512i[kStrips][kRows];
    using Floats = __m512[kStrips][kRows];

    const Strip<Format>* strips;
    const PackedBlock* x;  // the block that is at work
    float* results;
    __mmask16 adds;  // to the results; else to zero

    // The sum of the bytes of part `part` of kParts of a block.
    template <int kParts>
    [[gnu::always_inline]] int32_t x_sum(int32_t r, int part) const {
        return kParts == 2 ? x->sums[part][r] : x->sums[0][r] + x->sums[1][r];
    }
    [[gnu::always_inline]] __m512 load_result(int32_t s, int32_t r) const {
        return _mm512_maskz_load_ps(adds, results + r * kMostOuts + s * kStripRows);
    }
    [[gnu::always_inline]] void store_results(const Floats& sums) const {
        for (int32_t s = 0; s < kStrips; ++s) {
            for (int32_t r = 0; r < kRows; ++r) {
                _mm512_store_ps(results + r * kMostOuts + s * kStripRows, sums[s][r]);
            }
        }
    }
};

// Adds the products of the fours of columns from `four` on that share a scale. A loop would not be unrolled,
// and cost a copy of all sums each time.
template <int kCount, class T>
[[gnu::always_inline]] inline void add_products(const T& tile, int64_t block, int four,
                                                typename T::Ints& products) {
    __m512i w[T::kStrips];
    for (int32_t s = 0; s < T::kStrips; ++s) {
        w[s] = _mm512_load_si512(tile.strips[s].bytes[block][four]);
    }
    for (int32_t r = 0; r < T::kRows; ++r) {
        int32_t bytes;
        std::memcpy(&bytes, tile.x->bytes[four][r], sizeof bytes);
        const __m512i x = _mm512_set1_epi32(bytes);
        for (int32_t s = 0; s < T::kStrips; ++s) {
            products[s][r] = _mm512_dpbusd_epi32(products[s][r], w[s], x);
        }
    }
    if constexpr (kCount > 1) add_products<kCount - 1>(tile, block, four + 1, products);
}

// Those of part `part` of a block, of which there are as many as it has scales.
template <class T>
[[gnu::always_inline]] inline void multiply_part(const T& tile, int64_t block, int part,
                                                 typename T::Ints& products) {
    constexpr int kParts = T::Panel::kScales;
    constexpr int kFours = kRowBlock / 4 / kParts;
    for (int32_t r = 0; r < T::kRows; ++r) {
        __m512i start = _mm512_setzero_si512();
        if constexpr (T::Panel::kOffset != 0) {
            start = _mm512_set1_epi32(-T::Panel::kOffset * tile.template x_sum<kParts>(r, part));
        }
        for (int32_t s = 0; s < T::kStrips; ++s) products[s][r] = start;
    }
    add_products<kFours>(tile, block, kFours * part, products);
}

// ---- Sums ---------------------------------------------------------------------------------------

template <class T>
[[gnu::always_inline]] inline void add_minimums(const T& tile, int64_t block,
                                                typename T::Floats& sums) {
    constexpr int kParts = T::Panel::kMinimums;
    for (int part = 0; part < kParts; ++part) {
        for (int32_t r = 0; r < T::kRows; ++r) {
            const auto x_sum = static_cast<float>(tile.template x_sum<kParts>(r, part));
            const __m512 x = _mm512_set1_ps(x_sum * tile.x->scales[r]);
            for (int32_t s = 0; s < T::kStrips; ++s) {
                const __m512 minimums =
                    _mm512_load_ps(tile.strips[s].minimums[kParts * block + part]);
                sums[s][r] = _mm512_fmadd_ps(minimums, x, sums[s][r]);
            }
        }
    }
}

// A block whose weights have a scale, or one for each half.
template <class T>
[[gnu::always_inline]] inline void add_block(const T& tile, int64_t block,
                                             typename T::Floats& sums) {
    constexpr int kParts = T::Panel::kScales;
    typename T::Floats scaled;
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
        typename T::Ints products;
        multiply_part(tile, block, part, products);
        for (int32_t r = 0; r < T::kRows; ++r) {
            const __m512 x_scale = _mm512_set1_ps(tile.x->scales[r]);
            for (int32_t s = 0; s < T::kStrips; ++s) {
                const __m512 product = _mm512_cvtepi32_ps(products[s][r]);
                const __m512 scales = _mm512_load_ps(tile.strips[s].scales[kParts * block + part]);
                scaled[s][r] = part == 0 ? _mm512_mul_ps(product, scales)
                                         : _mm512_fmadd_ps(product, scales, scaled[s][r]);
                if (part < kParts - 1) continue;
                sums[s][r] = _mm512_fmadd_ps(scaled[s][r], x_scale, sums[s][r]);
            }
        }
    }
    if constexpr (T::Format::kHasMinimums) add_minimums(tile, block, sums);
}

// 256 columns of weights that are multiplied, from `block` on, to the results.
template <class T>
[[gnu::always_inline]] inline void add_chunk(T& tile, int64_t block) {
    const T begin = tile;
    typename T::Floats of_chunk;
    for (auto& of_strip : of_chunk) {
        for (auto& sum : of_strip) sum = _mm512_setzero_ps();
    }
    for (int64_t b = block; b < block + kChunkBlocks; ++b, ++tile.x) {
        typename T::Ints products;
        multiply_part(tile, b, 0, products);
        for (int32_t r = 0; r < T::kRows; ++r) {
            const __m512 x_scale = _mm512_set1_ps(tile.x->scales[r]);
            for (int32_t s = 0; s < T::kStrips; ++s) {
                of_chunk[s][r] =
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[s][r]), x_scale, of_chunk[s][r]);
            }
        }
    }
    // Or GCC would load results before that, and have no registers left for products.
    __asm__ volatile("" ::: "memory");
    typename T::Floats sums;
    for (int32_t s = 0; s < T::kStrips; ++s) {
        const __m512 scales = _mm512_load_ps(tile.strips[s].scales[block / kChunkBlocks]);
        for (int32_t r = 0; r < T::kRows; ++r) {
            sums[s][r] = _mm512_fmadd_ps(of_chunk[s][r], scales, tile.load_result(s, r));
        }
    }
    if constexpr (T::Format::kHasMinimums) {
        for (T again = begin; again.x < tile.x; ++again.x) {
            add_minimums(again, block + (again.x - begin.x), sums);
        }
    }
    tile.store_results(sums);
    tile.adds = 0xffff;
}

// All blocks of a panel of columns, to the results.
template <class T>
[[gnu::always_inline]] inline void add_panel(T tile, int64_t n_blocks) {
    if constexpr (T::Panel::kMultiplied) {
        for (int64_t b = 0; b < n_blocks; b += kChunkBlocks) add_chunk(tile, b);
    } else {
        typename T::Floats sums;
        for (int32_t s = 0; s < T::kStrips; ++s) {
            for (int32_t r = 0; r < T::kRows; ++r) sums[s][r] = tile.load_result(s, r);
        }
        for (int64_t b = 0; b < n_blocks; ++b, ++tile.x) add_block(tile, b, sums);
        tile.store_results(sums);
    }
}

// ---- Panels -------------------------------------------------------------------------------------

// kStrips strips of weight rows, from `first` on, with all activation rows. Results wait in the memory of the
// block, [n_rows][kMostOuts], until all columns are added up.
template <int32_t kStrips, class Format>
void multiply_strips(const PanelBlock& block, int64_t first, Strip<Format>* strips) {
    const int64_t n_blocks = block.n_in / kRowBlock;
    auto* const results = static_cast<float*>(block.memory);
    for (Columns columns = {0, 0}; columns.begin < block.n_in; columns.begin = columns.end) {
        // What is unpacked next: the columns behind these, or the first ones of the next rows.
        int64_t ahead = bytes_of<Format>(kPanelColumns);
        columns.end = columns.begin + kPanelColumns;
        if (columns.end >= block.n_in) {
            columns.end = block.n_in;
            ahead = kStrips * kStripRows * block.row_bytes - bytes_of<Format>(columns.begin);
        }
        for (int32_t s = 0; s < kStrips; ++s) {
            unpack_strip<Format>(block, columns, first + s * kStripRows, ahead, strips[s]);
        }
        const __mmask16 adds = columns.begin > 0 ? 0xffff : 0;
        const int64_t n = (columns.end - columns.begin) / kRowBlock;
        for (int32_t row = 0; row < block.n_rows; row += kQuartetRows) {
            const PackedBlock* x = static_cast<const PackedBlock*>(block.x) +
                                   row / kQuartetRows * n_blocks + columns.begin / kRowBlock;
            float* of_quartet = results + row * kMostOuts;
            if (block.n_rows - row > 2) {
                add_panel(Tile<Format, kStrips, 4>{strips, x, of_quartet, adds}, n);
            } else {
                add_panel(Tile<Format, kStrips, 2>{strips, x, of_quartet, adds}, n);
            }
        }
    }
}

// The results of n_outs weight rows, from `first` on, to y.
inline void store_outs(const PanelBlock& block, int64_t first, int64_t n_outs) {
    const auto* from = static_cast<const float*>(block.memory);
    for (int32_t row = 0; row < block.n_rows; ++row, from += kMostOuts) {
        float* to = block.y + row * block.y_stride + first;
        for (int64_t i = 0; i < n_outs; i += kStripRows) {
            const int64_t left = n_outs - i;
            const auto outs = static_cast<__mmask16>(left < kStripRows ? (1 << left) - 1 : 0xffff);
            __m512 values = _mm512_load_ps(from + i);
            if (block.adds) values = _mm512_add_ps(_mm512_maskz_loadu_ps(outs, to + i), values);
            _mm512_mask_storeu_ps(to + i, outs, values);
        }
    }
}

template <class Format>
void multiply_rows_at_once(const PanelBlock& block) {
    constexpr int32_t kStrips = PanelOf<Format>::kStrips;
    Strip<Format> strips[kStrips];
    for (int64_t first = 0; first < block.n_out;) {
        const int64_t left = block.n_out - first;
        int64_t n_outs = kStrips * kStripRows;
        // One strip alone would wait for its own sums: the last four are two times two.
        if (left <= 2 * kStripRows || (left > n_outs && left <= 4 * kStripRows)) {
            n_outs = 2 * kStripRows;
            multiply_strips<2>(block, first, strips);
        } else {
            multiply_strips<kStrips>(block, first, strips);
        }
        if (n_outs > left) n_outs = left;
        store_outs(block, first, n_outs);
        first += n_outs;
    }
}

template <class Format>
void multiply_panels_of_rows(const PanelBlock& block) {
    const int64_t n_blocks = block.n_in / kRowBlock;
    for (int32_t row = 0; row < block.n_rows; row += kRowsAtOnce) {
        PanelBlock rows = block;
        rows.n_rows = block.n_rows - row < kRowsAtOnce ? block.n_rows - row : kRowsAtOnce;
        rows.x = static_cast<const PackedBlock*>(block.x) + row / kQuartetRows * n_blocks;
        rows.y = block.y + row * block.y_stride;
        multiply_rows_at_once<Format>(rows);
    }
}

}  // namespace
}  // namespace puna::core
