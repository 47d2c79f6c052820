// Quantised weights with a scale for 32 elements and few activation rows, as bytes on AMX: to make bf16 of the weights
// takes longer than to read them. K-quants: panel_integers_amx.cpp.
//
// 16 weight rows, a strip, meet both bytes of eight activation rows as one tile each: a multiplication gives the
// sums of all of them over the 32 columns of a part, where each weight row has one scale. These are exact integers,
// and meet their scales in vectors, a vector of eight rows with each weight row. So activations keep 16 bits, and
// 256 weights take some 50 vector operations whether one or eight rows meet them.
//
// All weight rows of a strip advance together through the columns, in chunks that are taken apart one ahead; the next
// strip, which follows it in memory, comes into L2 meanwhile. What was measured: docs/kernels.md.
#include "cpu/kernels.h"
#include "cpu/kernels/byte_rows_amx.h"
#include "cpu/kernels/format_bytes.h"
#include "cpu/kernels/quants_iq4_nl_avx512.h"
#include "cpu/kernels/quants_iq4_xs_avx512.h"
#include "cpu/kernels/quants_mxfp4_avx512.h"
#include "cpu/kernels/quants_q4_0_avx512.h"
#include "cpu/kernels/quants_q4_1_avx512.h"
#include "cpu/kernels/quants_q5_0_avx512.h"
#include "cpu/kernels/quants_q5_1_avx512.h"
#include "cpu/kernels/quants_q8_0_avx512.h"
#include "cpu/kernels/strips_amx.h"

namespace puna::core {
namespace {

constexpr int32_t kParts = kChunk / kByteColumns;  // of a chunk, with a scale for each row
// The chunks of a strip that are at work: of the last one, sums are still taken, while the next is taken apart.
constexpr int64_t kChunks = 4;

// Weights of any format with scales for 32 elements, taken apart.
template <class Format>
class TakenApart {
  public:
    static_assert(Format::kWideScales);
    static constexpr bool kHasMinimums = Format::kHasMinimums;

    // Rows begin .. end - 1 of a chunk.
    [[gnu::always_inline]] void load(const Strip& strip, int64_t index, int32_t begin,
                                     int32_t end) {
        Chunk& chunk = chunks_[index % kChunks];
        const int64_t n = strip.columns_of(index);
        for (int32_t row = begin; row < end; ++row) {
            const uint8_t* at = strip.row(row) + index * kChunkBytes;
            if (n == kChunk) {
                chunk.load(row, at);
            } else {
                uint8_t tail[kChunkBytes] = {};
                const int64_t n_bytes = bytes_of<Format>(n);
                std::memcpy(tail, at, static_cast<size_t>(n_bytes));
                chunk.load(row, tail);
            }
        }
    }

    template <int kTile>
    [[gnu::always_inline]] void load_tile(const Strip&, int64_t chunk, int32_t part) const {
        const int8_t* quants = chunks_[chunk % kChunks].quants[0] + part * kByteColumns;
        Tiles::load_apart<kTile, kChunk, kTileRows, kByteColumns>(quants);
    }
    [[gnu::always_inline]] __m512 scale(int32_t row, int64_t chunk, int32_t part) const {
        return _mm512_set1_ps(chunks_[chunk % kChunks].factors[row][part]);
    }
    // Of an even part and the next one, in turn.
    [[gnu::always_inline]] __m512 minimums(int32_t row, int64_t chunk, int32_t part) const {
        double both;
        std::memcpy(&both, &chunks_[chunk % kChunks].factors[row][kParts + part], sizeof both);
        return _mm512_castpd_ps(_mm512_set1_pd(both));
    }

  private:
    static constexpr int64_t kChunkBytes = bytes_of<Format>(kChunk);

    struct alignas(64) Chunk {
        int8_t quants[kTileRows][kChunk];
        float factors[kTileRows][2 * kParts];  // scales, and minimums if the format has them

        [[gnu::always_inline]] void load(int32_t row, const uint8_t* at) {
            Format w;
            w.open(at);
            _mm512_store_si512(quants[row], without_offset(Format::template quants<0>(at)));
            _mm512_store_si512(quants[row] + 64, without_offset(Format::template quants<1>(at)));
            _mm512_store_si512(quants[row] + 128, without_offset(Format::template quants<2>(at)));
            _mm512_store_si512(quants[row] + 192, without_offset(Format::template quants<3>(at)));
            if constexpr (Format::kHasMinimums) {
                _mm512_store_ps(factors[row], w.factors);
            } else {
                _mm256_store_ps(factors[row], w.scales);
            }
        }
    };

    static __m512i without_offset(__m512i quants) {
        if constexpr (Format::kOffset == 0) return quants;
        if constexpr (Format::kOffset == 128) {
            return _mm512_xor_si512(quants, _mm512_set1_epi8(-128));
        }
        return _mm512_sub_epi8(quants, _mm512_set1_epi8(static_cast<char>(Format::kOffset)));
    }

    Chunk chunks_[kChunks];
};

// Q8_0 in 16 rows: the bytes of a block are rows of a tile where they lie.
class InPlace {
  public:
    static constexpr bool kHasMinimums = false;

    [[gnu::always_inline]] void load(const Strip& strip, int64_t index, int32_t begin,
                                     int32_t end) {
        const int64_t n_parts = strip.columns_of(index) / kByteColumns;
        for (int32_t row = begin; row < end; ++row) {
            const uint8_t* at = strip.row(row) + index * kParts * Q8_0::kBlockBytes;
            for (int64_t part = 0; part < n_parts; ++part, at += Q8_0::kBlockBytes) {
                halves_[part][row] = load_u16(at);
            }
        }
        if (end < kTileRows) return;
        for (int64_t part = 0; part < n_parts; ++part) {
            const auto* halves = reinterpret_cast<const __m256i*>(halves_[part]);
            _mm512_store_ps(scales_[index % kChunks][part],
                            _mm512_cvtph_ps(_mm256_load_si256(halves)));
        }
    }

    template <int kTile>
    [[gnu::always_inline]] void load_tile(const Strip& strip, int64_t chunk, int32_t part) const {
        const uint8_t* block = strip.first + (chunk * kParts + part) * Q8_0::kBlockBytes;
        Tiles::load_in_place<kTile>(block + sizeof(uint16_t), strip.row_bytes);
    }
    [[gnu::always_inline]] __m512 scale(int32_t row, int64_t chunk, int32_t part) const {
        return _mm512_set1_ps(scales_[chunk % kChunks][part][row]);
    }

  private:
    alignas(64) float scales_[kChunks][kParts][kTileRows];
    alignas(64) uint16_t halves_[kParts][kTileRows];
};

// Strips of weight rows with up to eight activation rows, from `row` on.
//
// A tile of products passes through memory to the vectors. It is stored two parts of the columns after its
// multiplication, and its sums are taken one part later: nothing waits for the other.
template <class Weights>
class StripProduct {
  public:
    // The outputs begin .. end - 1.
    StripProduct(const PanelBlock& block, int32_t row, int64_t begin, int64_t end)
        : block_(block),
          x_(static_cast<const ByteBlock*>(block.x) + row / kByteRows * n_parts()),
          row_(row),
          begin_(begin),
          end_(end),
          tiles_(shapes()),
          next_(block, begin, end, n_parts()) {}

    void run() {
        for (int64_t out = begin_; out < end_; out += kTileRows) {
            strip_ = Strip::of(block_, out, end_);
            multiply_strip();
            store_strip(block_, strip_, row_, out, sums_);
            next_.go_on();
        }
    }

  private:
    static constexpr int32_t kStoreLag = 2;  // parts
    static constexpr int32_t kLag = kStoreLag + 1;
    static constexpr int32_t kProducts = 4;  // tiles in memory
    static_assert(kParts % kProducts == 0 && kProducts > kLag && kLag < kParts);

    // Tiles 0 and 1 are products, 4 and 5 weights, 6 and 7 activations.
    static TileShapes shapes() {
        TileShapes shapes;
        for (int tile = 4; tile < 6; ++tile) shapes.row_bytes[tile] = kByteColumns;
        for (int tile = 6; tile < 8; ++tile) shapes.rows[tile] = kByteColumns / 4;
        return shapes;
    }
    int64_t n_parts() const { return block_.n_in / kByteColumns; }

    void multiply_strip() {
        const int64_t n = n_parts();
        std::memset(sums_, 0, sizeof sums_);
        __m512 of_chunk[kTileRows];
        for (__m512& sum : of_chunk) sum = _mm512_setzero_ps();
        weights_.load(strip_, 0, 0, kTileRows);
        for (int64_t chunk = 0; chunk * kParts < n; ++chunk) {
            pass_parts<0>(chunk, n - chunk * kParts, of_chunk);
        }
        Tiles::store<0>(products_[(n - 1) / 2 * 2 % kProducts]);
        Tiles::store<1>(products_[((n - 2) / 2 * 2 + 1) % kProducts]);
        for (int64_t part = n < kLag ? 0 : n - kLag; part < n; ++part) {
            add_part(part / kParts, static_cast<int32_t>(part % kParts), of_chunk);
        }
        if (n % kParts != 0) add_chunk(n / kParts, of_chunk);
    }

    // The parts of a chunk from kPart on, of those that there are.
    template <int32_t kPart>
    [[gnu::always_inline]] void pass_parts(int64_t chunk, int64_t n_parts,
                                           __m512 (&of_chunk)[kTileRows]) {
        if constexpr (kPart < kParts) {
            if (kPart >= n_parts) return;
            multiply_part<kPart>(chunk);
            next_.ask();
            load_share<kPart>(chunk + 1);
            if constexpr (kPart >= kLag) {
                add_part(chunk, kPart - kLag, of_chunk);
            } else if (chunk > 0) {
                add_part(chunk - 1, kParts + kPart - kLag, of_chunk);
            }
            pass_parts<kPart + 1>(chunk, n_parts, of_chunk);
        }
    }

    template <int32_t kPart>
    [[gnu::always_inline]] void multiply_part(int64_t chunk) {
        constexpr int kTile = kPart % 2;
        weights_.template load_tile<4 + kTile>(strip_, chunk, kPart);
        Tiles::load_apart<6 + kTile, kTileRowBytes, kByteColumns / 4, kTileRowBytes>(
            x_[chunk * kParts + kPart].bytes);
        Tiles::store<kTile>(products_[(kPart + kProducts - kStoreLag) % kProducts]);
        Tiles::clear<kTile>();
        Tiles::multiply_bytes<kTile, 4 + kTile, 6 + kTile>();
    }

    // Some rows of the next chunk: all before the last parts of this one.
    template <int32_t kPart>
    [[gnu::always_inline]] void load_share(int64_t chunk) {
        constexpr int32_t kShares = kParts - 2;
        if constexpr (kPart < kShares) {
            if (chunk * kChunk >= block_.n_in) return;
            weights_.load(strip_, chunk, kPart * kTileRows / kShares,
                          (kPart + 1) * kTileRows / kShares);
        }
    }

    [[gnu::always_inline]] void add_part(int64_t chunk, int32_t part,
                                         __m512 (&of_chunk)[kTileRows]) {
        const auto& products = products_[part % kProducts];
#pragma GCC unroll 16
        for (int32_t i = 0; i < kTileRows; ++i) {
            const __m512 floats = _mm512_cvtepi32_ps(_mm512_load_si512(products[i]));
            of_chunk[i] = _mm512_fmadd_ps(floats, weights_.scale(i, chunk, part), of_chunk[i]);
        }
        // Sums of two parts are lanes of a vector, which are added to each other in the end.
        if constexpr (Weights::kHasMinimums) {
            if (part % 2 == 0) {
                const __m512 x_sums = _mm512_load_ps(x_[chunk * kParts + part].sums);
#pragma GCC unroll 16
                for (int32_t i = 0; i < kTileRows; ++i) {
                    of_chunk[i] =
                        _mm512_fmadd_ps(x_sums, weights_.minimums(i, chunk, part), of_chunk[i]);
                }
            }
        }
        if (part == kParts - 1) add_chunk(chunk, of_chunk);
    }

    // Activations have a scale for a chunk.
    [[gnu::always_inline]] void add_chunk(int64_t chunk, __m512 (&of_chunk)[kTileRows]) {
        const __m512 x_scales = _mm512_load_ps(x_[chunk * kParts].scales);
#pragma GCC unroll 16
        for (int32_t i = 0; i < kTileRows; ++i) {
            const __m512 sum = _mm512_load_ps(sums_[i]);
            _mm512_store_ps(sums_[i], _mm512_fmadd_ps(of_chunk[i], x_scales, sum));
            of_chunk[i] = _mm512_setzero_ps();
        }
    }

    const PanelBlock& block_;
    const ByteBlock* x_;
    int32_t row_;  // the first of those that x_ has
    int64_t begin_;
    int64_t end_;
    Tiles tiles_;
    NextStrip next_;
    Weights weights_;
    Strip strip_ = {};
    alignas(64) int32_t products_[kProducts][kTileRows][kTileRows];
    // [i][2 r] of the high bytes and [i][2 r + 1] of the low ones.
    alignas(64) float sums_[kTileRows][kTileRows];
};

template <class Weights>
void multiply_strips(const PanelBlock& block, int64_t begin, int64_t end) {
    if (begin == end) return;
    for (int32_t row = 0; row < block.n_rows; row += kByteRows) {
        StripProduct<Weights>(block, row, begin, end).run();
    }
}

template <class Format>
void multiply_strips(const PanelBlock& block) {
    multiply_strips<TakenApart<Format>>(block, 0, block.n_out);
}

}  // namespace

void panel_bytes_q4_0_amx(const PanelBlock& block) {
    multiply_strips<Q4_0>(block);
}
void panel_bytes_q4_1_amx(const PanelBlock& block) {
    multiply_strips<Q4_1>(block);
}
void panel_bytes_q5_0_amx(const PanelBlock& block) {
    multiply_strips<Q5_0>(block);
}
void panel_bytes_q5_1_amx(const PanelBlock& block) {
    multiply_strips<Q5_1>(block);
}
void panel_bytes_q8_0_amx(const PanelBlock& block) {
    const int64_t whole = block.n_out / kTileRows * kTileRows;
    multiply_strips<InPlace>(block, 0, whole);
    multiply_strips<TakenApart<Q8_0>>(block, whole, block.n_out);
}
void panel_bytes_iq4_nl_amx(const PanelBlock& block) {
    multiply_strips<IQ4_NL>(block);
}
void panel_bytes_iq4_xs_amx(const PanelBlock& block) {
    multiply_strips<IQ4_XS>(block);
}
void panel_bytes_mxfp4_amx(const PanelBlock& block) {
    multiply_strips<MXFP4>(block);
}

}  // namespace puna::core
