// The AVX-512 linear kernel for quantised weights and many activation rows, written once for all
// formats.
//
// A few weight rows at a time are unpacked into unsigned bytes, in order, and stay in L1 and L2 while
// all activation rows pass. Activations were rounded to 8 bits in groups of 32 with a scale of their
// own (panel_rows_avx512.h): a vector holds four elements of 16 or 8 rows, as signed bytes, and VNNI
// multiplies it with four weights in all lanes. So a lane is a result, and no sum across lanes is
// needed.
//
// What limits it is how many multiplications there are, VNNI and float ones: a core does two a cycle at most.
// 32 columns of a weight row and 16 activation rows take eight of VNNI, one for the scale of the activations, and
// - one for the scale of the weights, if it is of 32 of them;
// - two if it is of 16 (Q6_K): they meet before the activations' scale does;
// - none if quants times scales are still bytes (Q2_K and Q3_K): what remains is a factor for 256.
// Each minimum is one more.
//
// Formats are those of quants_avx512.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/panel_rows_avx512.h"
#include "cpu/kernels/transpose_avx512.h"
#include "cpu/kernels/unpack_tile.h"

namespace puna::core {
namespace {

// Weight rows that are unpacked before activations pass, and of how many results there is room.
constexpr int32_t kPanelRowsOfW = 24;
constexpr int32_t kPanelOuts = 32;
constexpr int64_t kPanelColumns = 2048;
constexpr int64_t kPanelBlocks = kPanelColumns / kRowBlock;
constexpr int64_t kChunkBlocks = kChunk / kRowBlock;

// ---- Weights ------------------------------------------------------------------------------------

// How a format's weights are unpacked and multiplied.
template <class Format>
struct PanelOf {
    // As quants times scales, see multiplied(): there are few levels, and scales have 4 or 6 bits.
    static constexpr bool kMultiplied = !Format::kWideScales && Format::kLevels <= 8;
    // What bytes are too large by.
    static constexpr int kOffset = kMultiplied && Format::kOffset != 0 ? 128 : Format::kOffset;
    // Factors of a block of 32; quants that are multiplied have one for 256.
    static constexpr int kMinimums = Format::kWideScales ? 1 : 2;
    static constexpr int kScales = kMultiplied ? 1 : kMinimums;
    static constexpr int64_t kScalesOfPanel =
        kMultiplied ? kPanelColumns / kChunk : kPanelBlocks * kScales;
    // Weight rows that are multiplied together. Two scales need registers for sums that meet both.
    static constexpr int32_t kTileRows = kScales == 2 ? 4 : 6;
    static constexpr int32_t kTiles = kPanelRowsOfW / kTileRows;
};

// 64 bytes of quants, each times the scale of its 16, whose sign is the other one if quants have an offset:
// (4 - q) * scale is in -128 .. 124 for Q3_K, and goes up by 128.
template <class Format, int kQuad>
inline __m512i multiplied(__m512i quants, __m128i integer_scales) {
    static constexpr Bytes kScale = make_bytes([](int i) { return (64 * kQuad + i) / 16; });
    const __m512i scales = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(integer_scales), kScale);
    const __m512i low = _mm512_and_si512(quants, _mm512_set1_epi16(0xff));
    const __m512i even = _mm512_maddubs_epi16(low, scales);
    const __m512i odd = _mm512_maddubs_epi16(_mm512_xor_si512(quants, low), scales);
    const __m512i products =
        _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, even, _mm512_slli_epi16(odd, 8));
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

// Some weight rows in a panel of columns; those beyond the matrix are zeros.
template <class Format>
struct alignas(64) UnpackedTile {
    using Panel = PanelOf<Format>;
    static constexpr int32_t kRows = Panel::kTileRows;
    static constexpr int64_t kChunk = core::kChunk;

    uint8_t bytes[kPanelBlocks][kRows][kRowBlock];
    float scales[kRows][Panel::kScalesOfPanel];
    float minimums[kRows][Format::kHasMinimums ? kPanelBlocks * Panel::kMinimums : 1];

    template <int kQuad>
    void store_quad(const Format& w, const uint8_t* at, int32_t row, int64_t block) {
        __m512i quad = w.template quants<kQuad>();
        if constexpr (Panel::kMultiplied) {
            quad = multiplied<Format, kQuad>(quad, Format::integer_scales(at));
        }
        uint8_t(*to)[kRows][kRowBlock] = bytes + block + 2 * kQuad;
        _mm256_store_si256(reinterpret_cast<__m256i*>(to[0][row]), _mm512_castsi512_si256(quad));
        _mm256_store_si256(reinterpret_cast<__m256i*>(to[1][row]),
                           _mm512_extracti64x4_epi64(quad, 1));
    }

    // The 256 elements at `at` of a row, whose first block is `block`.
    void unpack(const uint8_t* at, int32_t row, int64_t block) {
        Format w;
        w.open(at);
        store_quad<0>(w, at, row, block);
        store_quad<1>(w, at, row, block);
        store_quad<2>(w, at, row, block);
        store_quad<3>(w, at, row, block);
        if constexpr (Panel::kMultiplied) {
            const float factor = _mm_cvtss_f32(load_half(at + Format::kFactorAt));
            scales[row][block / kChunkBlocks] = Format::kOffset != 0 ? -factor : factor;
        } else {
            store_factors(scales[row] + block * Panel::kScales, w.scales);
        }
        if constexpr (Format::kHasMinimums) {
            store_factors(minimums[row] + block * Panel::kMinimums, w.minimums);
        }
    }

    void clear(int32_t row) {
        for (auto& block : bytes) std::memset(block[row], 0, sizeof block[row]);
        std::memset(scales[row], 0, sizeof scales[row]);
        std::memset(minimums[row], 0, sizeof minimums[row]);
    }

    static void store_factors(float* at, __m512 factors) { _mm512_storeu_ps(at, factors); }
    static void store_factors(float* at, __m256 factors) { _mm256_storeu_ps(at, factors); }
};

// ---- Products -----------------------------------------------------------------------------------

// kOuts weight rows, in tiles that follow each other, and kGroups groups of activation rows.
template <class V, class F, int32_t kOutCount, int32_t kGroupCount>
struct Tile {
    using Vector = V;
    using Format = F;
    using Panel = PanelOf<Format>;
    using Ints = typename Vector::Ints;
    using Floats = typename Vector::Floats;
    using BlockOfX = PackedBlock<Vector::kRows>;
    static constexpr int32_t kOuts = kOutCount;
    static constexpr int32_t kGroups = kGroupCount;

    const UnpackedTile<Format>* w;
    const BlockOfX* x[kGroups];  // the block that is at work

    [[gnu::always_inline]] static int32_t tile_of(int32_t r) { return r / Panel::kTileRows; }
    [[gnu::always_inline]] Floats scale(int32_t r, int64_t i) const {
        return Vector::splat(w[tile_of(r)].scales[r % Panel::kTileRows][i]);
    }
    [[gnu::always_inline]] Floats minimum(int32_t r, int64_t i) const {
        return Vector::splat(w[tile_of(r)].minimums[r % Panel::kTileRows][i]);
    }
    [[gnu::always_inline]] Floats x_scales(int32_t g) const { return Vector::load(x[g]->scales); }
    // Of part `part` of kParts of the activations of a block, as bytes.
    template <int kParts>
    [[gnu::always_inline]] Ints x_sums(int32_t g, int part) const {
        if constexpr (kParts == 2) return Vector::load(x[g]->sums[part]);
        return Vector::add(Vector::load(x[g]->sums[0]), Vector::load(x[g]->sums[1]));
    }
    [[gnu::always_inline]] void next_block() {
        for (int32_t g = 0; g < kGroups; ++g) ++x[g];
    }
};

// Adds the products of the elements first + kElement .. of a block that share a scale. A loop would not be
// unrolled, and cost a copy of all sums each time.
template <int kElement = 0, class T>
[[gnu::always_inline]] inline void add_products(
    const T& tile, int64_t block, int first, typename T::Ints (&products)[T::kOuts][T::kGroups]) {
    using Vector = typename T::Vector;
    if constexpr (kElement < kRowBlock / T::Panel::kScales) {
        typename T::Ints four_of_x[T::kGroups];
        for (int32_t g = 0; g < T::kGroups; ++g) {
            four_of_x[g] = Vector::load(tile.x[g]->bytes[(first + kElement) / 4]);
        }
        for (int32_t r = 0; r < T::kOuts; ++r) {
            int32_t four;
            const auto& bytes = tile.w[T::tile_of(r)].bytes[block][r % T::Panel::kTileRows];
            std::memcpy(&four, bytes + first + kElement, sizeof four);
            const typename T::Ints four_of_w = Vector::splat(four);
            for (int32_t g = 0; g < T::kGroups; ++g) {
                products[r][g] = Vector::add_products(products[r][g], four_of_w, four_of_x[g]);
            }
        }
        add_products<kElement + 4>(tile, block, first, products);
    }
}

// Those of part `part` of a block, of which there are as many as it has scales.
template <class T>
[[gnu::always_inline]] inline void multiply_part(
    const T& tile, int64_t block, int part, typename T::Ints (&products)[T::kOuts][T::kGroups]) {
    using Vector = typename T::Vector;
    constexpr int kParts = T::Panel::kScales;
    for (int32_t g = 0; g < T::kGroups; ++g) {
        typename T::Ints start = Vector::splat(0);
        if constexpr (T::Panel::kOffset != 0) {
            start = Vector::template minus_times<T::Panel::kOffset>(
                tile.template x_sums<kParts>(g, part));
        }
        for (int32_t r = 0; r < T::kOuts; ++r) products[r][g] = start;
    }
    add_products(tile, block, kRowBlock / kParts * part, products);
}

// ---- Sums ---------------------------------------------------------------------------------------

template <class T>
[[gnu::always_inline]] inline void add_minimums(const T& tile, int64_t block,
                                                typename T::Floats (&sums)[T::kOuts][T::kGroups]) {
    using Vector = typename T::Vector;
    constexpr int kParts = T::Panel::kMinimums;
    for (int part = 0; part < kParts; ++part) {
        for (int32_t g = 0; g < T::kGroups; ++g) {
            const typename T::Floats x_sums = Vector::multiply(
                Vector::to_floats(tile.template x_sums<kParts>(g, part)), tile.x_scales(g));
            for (int32_t r = 0; r < T::kOuts; ++r) {
                sums[r][g] = Vector::multiply_add(tile.minimum(r, kParts * block + part), x_sums,
                                                  sums[r][g]);
            }
        }
    }
}

// A block whose weights have a scale, or one for each half.
template <class T>
[[gnu::always_inline]] inline void add_block(const T& tile, int64_t block,
                                             typename T::Floats (&sums)[T::kOuts][T::kGroups]) {
    using Vector = typename T::Vector;
    constexpr int kParts = T::Panel::kScales;
    typename T::Floats scaled[T::kOuts][T::kGroups];
    for (int part = 0; part < kParts; ++part) {
        typename T::Ints products[T::kOuts][T::kGroups];
        multiply_part(tile, block, part, products);
        for (int32_t g = 0; g < T::kGroups; ++g) {
            const typename T::Floats x_scales = tile.x_scales(g);
            for (int32_t r = 0; r < T::kOuts; ++r) {
                const typename T::Floats floats = Vector::to_floats(products[r][g]);
                const typename T::Floats scale = tile.scale(r, kParts * block + part);
                scaled[r][g] = part == 0 ? Vector::multiply(floats, scale)
                                         : Vector::multiply_add(floats, scale, scaled[r][g]);
                if (part < kParts - 1) continue;
                sums[r][g] = Vector::multiply_add(scaled[r][g], x_scales, sums[r][g]);
            }
        }
    }
    if constexpr (T::Format::kHasMinimums) add_minimums(tile, block, sums);
}

// Results of 16 or 8 activation rows each, by weight rows.
template <int32_t kRows>
struct Results {
    float (*groups)[kPanelOuts][kRows];
    int64_t first_out;

    [[gnu::always_inline]] float* at(int32_t r, int32_t g) const {
        return groups[g][first_out + r];
    }
};

template <class T>
[[gnu::always_inline]] inline void store_sums(
    const typename T::Floats (&sums)[T::kOuts][T::kGroups],
    const Results<T::Vector::kRows>& results) {
    for (int32_t r = 0; r < T::kOuts; ++r) {
        for (int32_t g = 0; g < T::kGroups; ++g) T::Vector::store(results.at(r, g), sums[r][g]);
    }
}

// A chunk of 256 elements of weights that are multiplied, from `block` on.
template <class T>
[[gnu::always_inline]] inline void add_chunk(T& tile, int64_t block,
                                             const Results<T::Vector::kRows>& results) {
    using Vector = typename T::Vector;
    T again = tile;
    typename T::Floats of_chunk[T::kOuts][T::kGroups];
    for (auto& of_row : of_chunk) {
        for (auto& sum : of_row) sum = Vector::zero();
    }
    for (int64_t b = block; b < block + kChunkBlocks; ++b) {
        typename T::Ints products[T::kOuts][T::kGroups];
        multiply_part(tile, b, 0, products);
        for (int32_t g = 0; g < T::kGroups; ++g) {
            const typename T::Floats x_scales = tile.x_scales(g);
            for (int32_t r = 0; r < T::kOuts; ++r) {
                of_chunk[r][g] = Vector::multiply_add(Vector::to_floats(products[r][g]), x_scales,
                                                      of_chunk[r][g]);
            }
        }
        tile.next_block();
    }
    // Or GCC would load results before that, and have no registers left for products.
    __asm__ volatile("" ::: "memory");
    typename T::Floats sums[T::kOuts][T::kGroups];
    for (int32_t r = 0; r < T::kOuts; ++r) {
        const typename T::Floats scale = tile.scale(r, block / kChunkBlocks);
        for (int32_t g = 0; g < T::kGroups; ++g) {
            sums[r][g] =
                Vector::multiply_add(of_chunk[r][g], scale, Vector::load(results.at(r, g)));
        }
    }
    if constexpr (T::Format::kHasMinimums) {
        for (int64_t b = block; b < block + kChunkBlocks; ++b) {
            add_minimums(again, b, sums);
            again.next_block();
        }
    }
    store_sums<T>(sums, results);
}

// Adds what a tile gives in a panel of columns.
template <class T>
[[gnu::always_inline]] inline void add_tile(T tile, int64_t n_blocks,
                                            const Results<T::Vector::kRows>& results) {
    if constexpr (T::Panel::kMultiplied) {
        for (int64_t b = 0; b < n_blocks; b += kChunkBlocks) add_chunk(tile, b, results);
    } else {
        typename T::Floats sums[T::kOuts][T::kGroups];
        for (auto& of_row : sums) {
            for (auto& sum : of_row) sum = T::Vector::zero();
        }
        for (int64_t b = 0; b < n_blocks; ++b) {
            add_block(tile, b, sums);
            tile.next_block();
        }
        store_sums<T>(sums, results);
    }
}

// ---- Results ------------------------------------------------------------------------------------

// y[row * y_stride + i] = of[i][row], or that is added to it.
inline void store_rows(const float (&of)[kPanelOuts][16], int64_t n_outs, int64_t n_rows, bool add,
                       float* y, int64_t y_stride) {
    for (int64_t i = 0; i < n_outs; i += 16) {
        const int64_t left = n_outs - i;
        const auto outs = static_cast<__mmask16>(left < 16 ? (1 << left) - 1 : 0xffff);
        for_each_column(of[i], [&](int64_t row, __m512 values) {
            if (row >= n_rows) return;
            float* to = y + row * y_stride + i;
            if (add) values = _mm512_add_ps(values, _mm512_maskz_loadu_ps(outs, to));
            _mm512_mask_storeu_ps(to, outs, values);
        });
    }
}
inline void store_rows(const float (&of)[kPanelOuts][8], int64_t n_outs, int64_t n_rows, bool add,
                       float* y, int64_t y_stride) {
    for (int64_t row = 0; row < n_rows; ++row, y += y_stride) {
        for (int64_t i = 0; i < n_outs; ++i) y[i] = add ? y[i] + of[i][row] : of[i][row];
    }
}

// The weight rows that are unpacked.
template <class Format>
struct Part {
    const PanelBlock& block;
    const UnpackedTile<Format>* tiles;
    int64_t first_out;
    int64_t n_outs;
    int64_t first_block;
    int64_t n_blocks;
};

// All of them, kTiles tiles at a time, with kGroups groups of activation rows from row `first`.
template <class Vector, int32_t kTiles, int32_t kGroups, class Format>
void multiply_groups(const Part<Format>& part, int32_t first) {
    using T = Tile<Vector, Format, kTiles * PanelOf<Format>::kTileRows, kGroups>;
    constexpr auto kBytes = static_cast<int64_t>(sizeof(typename T::BlockOfX));
    const PanelBlock& block = part.block;
    const uint8_t* x = static_cast<const uint8_t*>(block.x) + part.first_block * kBytes;
    T tile = {};
    for (int32_t g = 0; g < kGroups; ++g) {
        const int64_t before = packed_bytes(first + g * Vector::kRows);
        tile.x[g] =
            reinterpret_cast<const typename T::BlockOfX*>(x + block.n_in / kRowBlock * before);
    }
    alignas(64) float results[kGroups][kPanelOuts][Vector::kRows] = {};
    for (int64_t i = 0; i < part.n_outs; i += T::kOuts) {
        tile.w = part.tiles + i / T::Panel::kTileRows;
        add_tile(tile, part.n_blocks, Results<Vector::kRows>{results, i});
    }
    for (int32_t g = 0; g < kGroups; ++g) {
        const int32_t row = first + g * Vector::kRows;
        const int32_t left = block.n_rows - row;
        store_rows(results[g], part.n_outs, left < Vector::kRows ? left : Vector::kRows,
                   block.adds || part.first_block > 0,
                   block.y + row * block.y_stride + part.first_out, block.y_stride);
    }
}

template <class Format>
void multiply_part_of_rows(const Part<Format>& part) {
    const int32_t n_rows = part.block.n_rows;
    int32_t row = 0;
    for (; n_rows - row > 24; row += 32) multiply_groups<Rows16, 1, 2>(part, row);
    if (n_rows - row > 8) {
        multiply_groups<Rows16, 2, 1>(part, row);
        row += 16;
    }
    if (n_rows - row > 0) multiply_groups<Rows8, 2, 1>(part, row);
}

template <class Format>
void multiply_panels_of_rows(const PanelBlock& block) {
    using Panel = PanelOf<Format>;
    // Under few activation rows tiles had better stay in L1, or nearly so. An even number of them.
    const int64_t n_tiles = block.n_rows > 32 ? Panel::kTiles : (Panel::kTiles + 2) / 4 * 2;
    const int64_t rows_of_w = n_tiles * Panel::kTileRows;
    UnpackedTile<Format> tiles[Panel::kTiles];
    for (int64_t column = 0; column < block.n_in; column += kPanelColumns) {
        const int64_t left = block.n_in - column;
        const int64_t n_columns = left < kPanelColumns ? left : kPanelColumns;
        for (int64_t i = 0; i < block.n_out; i += rows_of_w) {
            const int64_t n_outs = block.n_out - i < rows_of_w ? block.n_out - i : rows_of_w;
            for (int64_t t = 0; t < n_tiles; ++t) {
                unpack_tile<Format>(block, column, n_columns, i + t * Panel::kTileRows, tiles[t]);
            }
            multiply_part_of_rows<Format>(
                {block, tiles, i, n_outs, column / kRowBlock, n_columns / kRowBlock});
        }
    }
}

}  // namespace
}  // namespace puna::core
