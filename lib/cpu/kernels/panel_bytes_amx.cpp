// Quantised weights and few activation rows, as bytes on AMX: where to make bf16 of the weights takes longer
// than to read them.
//
// 16 weight rows, a strip, meet both bytes of eight activation rows as one tile each: a multiplication gives the
// sums of all of them over the 32 columns of a part, where each weight row has one scale. These are exact integers,
// and meet their scales in vectors, a vector of eight rows with each weight row. So activations keep 16 bits, and
// 256 weights take some 50 vector operations whether one or eight rows meet them.
//
// All weight rows of a strip advance together through the columns, in chunks that are taken apart one ahead; the next
// strip, which follows it in memory, comes into L2 meanwhile. What was measured: docs/kernels.md.
#include "cpu/kernels/panel_bytes_amx.h"

#include "cpu/kernels.h"
#include "cpu/kernels/bf16_amx.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/quants_iq4_nl_avx512.h"
#include "cpu/kernels/quants_iq4_xs_avx512.h"
#include "cpu/kernels/quants_mxfp4_avx512.h"
#include "cpu/kernels/quants_q4_0_avx512.h"
#include "cpu/kernels/quants_q4_1_avx512.h"
#include "cpu/kernels/quants_q4_k_avx512.h"
#include "cpu/kernels/quants_q5_0_avx512.h"
#include "cpu/kernels/quants_q5_1_avx512.h"
#include "cpu/kernels/quants_q5_k_avx512.h"
#include "cpu/kernels/quants_q8_0_avx512.h"
#include "cpu/kernels/tiles_amx.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

// Some weight rows, at most 16, of which a strip is made.
struct Strip {
    const uint8_t* first;
    int64_t row_bytes;
    int64_t n_rows;
    int64_t n_columns;

    int64_t columns_of(int64_t chunk) const {
        const int64_t left = n_columns - chunk * kChunk;
        return left < kChunk ? left : kChunk;
    }
    // Where a chunk of a row is; rows that are missing are like the last.
    const uint8_t* at(int32_t row, int64_t chunk_bytes, int64_t chunk) const {
        return first + (row < n_rows ? row : n_rows - 1) * row_bytes + chunk * chunk_bytes;
    }
};

constexpr int32_t kParts = kChunk / kByteColumns;  // of a chunk, with a scale for each row
static_assert(kScaledColumns == kChunk);
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
            const uint8_t* at = strip.at(row, kChunkBytes, index);
            if (n == kChunk) {
                chunk.load(row, at);
            } else {
                uint8_t tail[kChunkBytes] = {};
                const int64_t n_bytes = n / Format::kBlock * Format::kBlockBytes;
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
    static constexpr int64_t kChunkBytes = kChunk / Format::kBlock * Format::kBlockBytes;

    struct alignas(64) Chunk {
        int8_t quants[kTileRows][kChunk];
        float factors[kTileRows][2 * kParts];  // scales, and minimums if the format has them

        [[gnu::always_inline]] void load(int32_t row, const uint8_t* at) {
            Format w;
            w.open(at);
            _mm512_store_si512(quants[row], without_offset(w.template quants<0>()));
            _mm512_store_si512(quants[row] + 64, without_offset(w.template quants<1>()));
            _mm512_store_si512(quants[row] + 128, without_offset(w.template quants<2>()));
            _mm512_store_si512(quants[row] + 192, without_offset(w.template quants<3>()));
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
            const uint8_t* at = strip.at(row, kParts * Q8_0::kBlockBytes, index);
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
    StripProduct(const PanelBlock& block, int32_t row)
        : block_(block),
          x_(static_cast<const ByteBlock*>(block.x) + row / kByteRows * n_parts()),
          row_(row),
          tiles_(shapes()) {}

    // The outputs begin .. end - 1.
    void run(int64_t begin, int64_t end) {
        const int64_t strip_bytes = kTileRows * block_.row_bytes;
        next_ = weights_at(begin) + static_cast<uintptr_t>(strip_bytes);
        end_ = weights_at(end);
        next_bytes_ = strip_bytes * 5 / 4 / n_parts();
        for (int64_t out = begin; out < end; out += kTileRows) {
            const int64_t left = end - out;
            strip_ = {static_cast<const uint8_t*>(block_.weights) + out * block_.row_bytes,
                      block_.row_bytes, left < kTileRows ? left : kTileRows, block_.n_in};
            multiply_strip();
            store(out);
            next_bytes_ = strip_bytes / n_parts();
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
    uintptr_t weights_at(int64_t out) const {
        return reinterpret_cast<uintptr_t>(block_.weights) +
               static_cast<uintptr_t>(out * block_.row_bytes);
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
            prefetch();
            load_share<kPart>(chunk + 1);
            if constexpr (kPart >= kLag) {
                add_part(chunk, kPart - kLag, of_chunk);
            } else if (chunk > 0) {
                add_part(chunk - 1, kParts + kPart - kLag, of_chunk);
            }
            pass_parts<kPart + 1>(chunk, n_parts, of_chunk);
        }
    }

    // Rows advance together, so that the last of a strip is wanted as early as the first: more than a strip ahead.
    [[gnu::always_inline]] void prefetch() {
        const int64_t left = static_cast<int64_t>(end_ - next_);
        const int64_t n = left < next_bytes_ ? left : next_bytes_;
        if (n <= 0) return;
        prefetch_scattered(next_, n);
        next_ += static_cast<uintptr_t>(n);
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

    void store(int64_t out) const {
        const __mmask16 outs = lanes_before(strip_.n_rows, 0);
        __m512 of_rows[kTileRows];
        for_each_column(sums_[0], [&](int32_t r, __m512 values) { of_rows[r] = values; });
        const int32_t left = block_.n_rows - row_;
        for (int32_t r = 0; r < (left < kByteRows ? left : kByteRows); ++r) {
            _mm512_mask_storeu_ps(block_.y + (row_ + r) * block_.y_stride + out, outs,
                                  _mm512_add_ps(of_rows[2 * r], of_rows[2 * r + 1]));
        }
    }

    const PanelBlock& block_;
    const ByteBlock* x_;
    int32_t row_;  // the first of those that x_ has
    Tiles tiles_;
    Weights weights_;
    Strip strip_ = {};
    uintptr_t next_ = 0;  // what to ask for with the next part
    uintptr_t end_ = 0;
    int64_t next_bytes_ = 0;  // for each part
    alignas(64) int32_t products_[kProducts][kTileRows][kTileRows];
    // [i][2 r] of the high bytes and [i][2 r + 1] of the low ones.
    alignas(64) float sums_[kTileRows][kTileRows];
};

template <class Weights>
void multiply_strips(const PanelBlock& block, int64_t begin, int64_t end) {
    if (begin == end) return;
    for (int32_t row = 0; row < block.n_rows; row += kByteRows) {
        StripProduct<Weights>(block, row).run(begin, end);
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
void panel_bytes_q4_k_amx(const PanelBlock& block) {
    multiply_strips<Q4_K>(block);
}
void panel_bytes_q5_k_amx(const PanelBlock& block) {
    multiply_strips<Q5_K>(block);
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
