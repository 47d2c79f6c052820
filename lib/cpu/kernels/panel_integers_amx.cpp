// K-quants and few activation rows on AMX. A quant times its scale is an integer of one or two bytes, and 256 of them
// share a factor: their low bytes and their high ones are tiles of 16 weight rows, a strip, and meet both bytes of
// eight activation rows. So there are one or two products for 256 columns, exact ones, where a scale for each 16 or 32
// columns would mean 16 or 8 that all pass through memory to the vectors.
//
// All weight rows of a strip advance together through the columns, in chunks that are made one ahead; the next strip,
// which follows it in memory, comes into L2 meanwhile. What was measured: docs/kernels.md.
#include "cpu/kernels.h"
#include "cpu/kernels/byte_rows_amx.h"
#include "cpu/kernels/integer_scales_avx512.h"
#include "cpu/kernels/strips_amx.h"

namespace puna::core {
namespace {

// Low bytes of 64 integers, and high ones if they have them.
struct Integers {
    __m512i low;
    __m512i high;
};

// How 256 quants of a row become integers.
template <class Format>
class IntegerRow {
  public:
    static constexpr int kBytes = IntegerScales<Format>::kBytes;

    // `scales`: 16 bytes.
    [[gnu::always_inline]] IntegerRow(const uint8_t* block, const uint8_t* scales)
        : block_(block), scales_(in_each(load_16(scales))) {}
    [[gnu::always_inline]] void store(uint8_t* low, uint8_t* high) const {
        if constexpr (kLooksUp) {
            look_up<0>(low, high);
        } else {
            store_quad<0>(low, high, multiplied<0>());
            store_quad<1>(low, high, multiplied<1>());
            store_quad<2>(low, high, multiplied<2>());
            store_quad<3>(low, high, multiplied<3>());
        }
    }

  private:
    static constexpr int kLevels = Format::kLevels;
    static constexpr int kScaled = Format::kWideScales ? 32 : 16;  // elements that share a scale
    // Few levels are multiplied once by some scales, a vector of products that all elements look up.
    static constexpr bool kLooksUp = kLevels <= 16;
    static constexpr int kTableQuads = kScaled / kLevels;  // that a vector serves

    // Bytes times signed bytes.
    [[gnu::always_inline]] static Integers multiply(__m512i quants, __m512i scales) {
        ByteProducts products(quants, scales);
        if constexpr (Format::kOffset != 0 && !kLooksUp) {
            const __m512i offset = _mm512_maddubs_epi16(_mm512_set1_epi16(Format::kOffset), scales);
            products.even = _mm512_sub_epi16(products.even, offset);
            products.odd = _mm512_sub_epi16(products.odd, offset);
        }
        return {products.low(), products.high()};
    }
    template <int kQuad>
    [[gnu::always_inline]] Integers multiplied() const {
        static constexpr Bytes kScale =
            make_bytes([](int i) { return (64 * kQuad + i) / kScaled; });
        return multiply(Format::template quants<kQuad>(block_),
                        _mm512_shuffle_epi8(scales_, kScale));
    }

    template <int kTable>
    [[gnu::always_inline]] void look_up(uint8_t* low, uint8_t* high) const {
        // Negative levels come out right: of their products only the low byte is kept.
        static constexpr Bytes kLevel = make_bytes([](int i) {
            return IntegerScales<Format>::kNegates ? Format::kOffset - i % kLevels : i % kLevels;
        });
        static constexpr Bytes kScale =
            make_bytes([](int i) { return (64 * kTable + i) / kLevels; });
        const Integers table = multiply(kLevel, _mm512_shuffle_epi8(scales_, kScale));
        look_up_quads<kTable * kTableQuads>(low, high, table);
        constexpr int kNext = kTable + 1;
        if constexpr (kNext * kTableQuads < kQuads) look_up<kNext>(low, high);
    }
    template <int kQuad>
    [[gnu::always_inline]] void look_up_quads(uint8_t* low, uint8_t* high,
                                              const Integers& table) const {
        static constexpr Bytes kFirst =
            make_bytes([](int i) { return (64 * (kQuad % kTableQuads) + i) / kScaled * kLevels; });
        const __m512i index = _mm512_or_si512(Format::template quants<kQuad>(block_), kFirst);
        Integers found = {_mm512_permutexvar_epi8(index, table.low), table.high};
        if constexpr (kBytes == 2) found.high = _mm512_permutexvar_epi8(index, table.high);
        store_quad<kQuad>(low, high, found);
        constexpr int kNext = kQuad + 1;
        if constexpr (kNext % kTableQuads != 0) look_up_quads<kNext>(low, high, table);
    }

    template <int kQuad>
    [[gnu::always_inline]] static void store_quad(uint8_t* low, uint8_t* high,
                                                  const Integers& integers) {
        _mm512_store_si512(low + 64 * kQuad, integers.low);
        if constexpr (kBytes == 2) _mm512_store_si512(high + 64 * kQuad, integers.high);
    }

    const uint8_t* block_;
    __m512i scales_;
};

// The chunks of a strip that are at work: while one is made the one before meets the activations, and the one before
// that its factors.
template <class Format>
class IntegerChunks {
  public:
    using Scales = IntegerScales<Format>;
    static constexpr int kBytes = Scales::kBytes;

    // Four rows of a chunk.
    [[gnu::always_inline]] void load(const Strip& strip, int64_t chunk, int32_t four) {
        FourRows rows;
        for (int32_t i = 0; i < 4; ++i) {
            rows.at[i] = strip.row(4 * four + i) + chunk * Format::kBlockBytes;
        }
        Factors& factors = factors_[chunk % kFactors];
        alignas(64) uint8_t scales[4][16];
        Scales::open(rows, {scales[0], factors.minimums[4 * four], halves_ + 4 * four,
                            halves_ + kTileRows + 4 * four});
        // Or the compiler would take them out of registers again, by shuffles.
        __asm__("" : "+m"(scales));
        auto& bytes = bytes_[chunk % 2];
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; ++i) {
            IntegerRow<Format>(rows.at[i], scales[i])
                .store(bytes[0][4 * four + i], bytes[kBytes - 1][4 * four + i]);
        }
        if (four < 3) return;
        _mm512_store_ps(factors.scales, to_floats(halves_));
        if constexpr (Scales::kMinimums > 0) {
            _mm512_store_ps(factors.minimum_scales, to_floats(halves_ + kTileRows));
        }
    }

    // 64 columns of the low bytes, or of the high ones.
    template <int kTile>
    [[gnu::always_inline]] void load_tile(int64_t chunk, int32_t byte, int32_t quad) const {
        Tiles::load_apart<kTile, kChunk, kTileRows, kTileRowBytes>(bytes_[chunk % 2][byte][0] +
                                                                   quad * kTileRowBytes);
    }

    // Of a row and the eight activation rows: product * factor - minimums * their factor.
    [[gnu::always_inline]] __m512 scaled(int64_t chunk, int32_t row, __m512i product,
                                         const ByteChunk& x) const {
        const Factors& factors = factors_[chunk % kFactors];
        const __m512 sum =
            _mm512_mul_ps(_mm512_cvtepi32_ps(product), _mm512_set1_ps(factors.scales[row]));
        if constexpr (Scales::kMinimums == 0) {
            return sum;
        } else {
            const auto* x_sums = Scales::kMinimums == 16 ? x.sums_of_16 : x.sums_of_32;
            __m512i least = _mm512_setzero_si512();
#pragma GCC unroll 8
            for (int32_t i = 0; i < Scales::kMinimums / 2; ++i) {
                int32_t both;
                std::memcpy(&both, &factors.minimums[row][2 * i], sizeof both);
                least = _mm512_dpwssd_epi32(least, _mm512_load_si512(x_sums[i]),
                                            _mm512_set1_epi32(both));
            }
            return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(least),
                                    _mm512_set1_ps(factors.minimum_scales[row]), sum);
        }
    }

  private:
    static constexpr int64_t kFactors = 4;  // three are at work

    struct alignas(64) Factors {
        float scales[kTileRows];
        float minimum_scales[kTileRows];
        int16_t minimums[kTileRows][Scales::kMinimums > 0 ? Scales::kMinimums : 1];
    };

    static __m512 to_floats(const uint16_t* halves) {
        return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(halves)));
    }

    alignas(64) uint8_t bytes_[2][kBytes][kTileRows][kChunk];
    Factors factors_[kFactors];
    alignas(64) uint16_t halves_[2 * kTileRows];  // of the chunk that is being made
};

// Strips of weight rows with up to eight activation rows, from `row` on.
template <class Format>
class IntegerProduct {
  public:
    IntegerProduct(const PanelBlock& block, int32_t row)
        : block_(block),
          n_chunks_(block.n_in / kChunk),
          x_(static_cast<const ByteChunk*>(block.x) + row / kByteRows * n_chunks_),
          row_(row),
          next_(block, 0, block.n_out, n_chunks_ * kQuads) {}

    void run() {
        for (int64_t out = 0; out < block_.n_out; out += kTileRows) {
            strip_ = Strip::of(block_, out, block_.n_out);
            multiply_strip();
            store_strip(block_, strip_, row_, out, sums_);
            next_.go_on();
        }
    }

  private:
    static constexpr int kBytes = IntegerChunks<Format>::kBytes;

    // Products of chunks are the tiles 0 and 1, 2 and 3 by turns.
    void multiply_strip() {
        const int64_t n = n_chunks_;
        std::memset(sums_, 0, sizeof sums_);
        for (int32_t four = 0; four < 4; ++four) weights_.load(strip_, 0, four);
        for (int64_t chunk = 0; chunk < n; chunk += 2) {
            pass_chunk<0>(chunk);
            if (chunk + 1 < n) pass_chunk<1>(chunk + 1);
        }
        if (n % 2 == 1) {
            keep_products<0>();
        } else {
            keep_products<1>();
        }
        add_products<0>(n - 1);
        add_products<kTileRows / 2>(n - 1);
    }

    // Between multiplications a quarter of the next chunk's rows is made, and the sums of the last chunk are taken.
    template <int kTurn>
    [[gnu::always_inline]] void pass_chunk(int64_t chunk) {
        Tiles::clear<2 * kTurn>();
        if constexpr (kBytes == 2) Tiles::clear<2 * kTurn + 1>();
        pass_quad<kTurn, 0>(chunk);
        pass_quad<kTurn, 1>(chunk);
        if (chunk > 0) keep_products<1 - kTurn>();
        pass_quad<kTurn, 2>(chunk);
        if (chunk > 0) add_products<0>(chunk - 1);
        pass_quad<kTurn, 3>(chunk);
        if (chunk > 0) add_products<kTileRows / 2>(chunk - 1);
    }
    // 64 columns: tiles 4 and 5 are weights, 6 or 7 activations.
    template <int kTurn, int kQuad>
    [[gnu::always_inline]] void pass_quad(int64_t chunk) {
        constexpr int kX = 6 + kQuad % 2;
        Tiles::load<kX>(x_[chunk].bytes[kTileRows * kQuad]);
        weights_.template load_tile<4>(chunk, 0, kQuad);
        if constexpr (kBytes == 2) {
            weights_.template load_tile<5>(chunk, 1, kQuad);
            Tiles::multiply_unsigned_bytes<2 * kTurn, 4, kX>();
            Tiles::multiply_bytes<2 * kTurn + 1, 5, kX>();
        } else {
            Tiles::multiply_bytes<2 * kTurn, 4, kX>();
        }
        next_.ask();
        if (chunk + 1 < n_chunks_) weights_.load(strip_, chunk + 1, kQuad);
    }

    template <int kTurn>
    [[gnu::always_inline]] void keep_products() {
        Tiles::store<2 * kTurn>(products_[0]);
        if constexpr (kBytes == 2) Tiles::store<2 * kTurn + 1>(products_[1]);
    }
    // Of half of the weight rows.
    template <int32_t kFirst>
    [[gnu::always_inline]] void add_products(int64_t chunk) {
        const ByteChunk& x = x_[chunk];
        const __m512 x_scales = _mm512_load_ps(x.scales);
#pragma GCC unroll 8
        for (int32_t i = kFirst; i < kFirst + kTileRows / 2; ++i) {
            __m512i product = _mm512_load_si512(products_[0][i]);
            if constexpr (kBytes == 2) {
                const __m512i high = _mm512_load_si512(products_[1][i]);
                product = _mm512_add_epi32(product, _mm512_slli_epi32(high, 8));
            }
            _mm512_store_ps(sums_[i], _mm512_fmadd_ps(weights_.scaled(chunk, i, product, x),
                                                      x_scales, _mm512_load_ps(sums_[i])));
        }
    }

    const PanelBlock& block_;
    const int64_t n_chunks_;
    const ByteChunk* x_;
    int32_t row_;  // the first of those that x_ has
    Tiles tiles_;
    NextStrip next_;
    IntegerChunks<Format> weights_;
    Strip strip_ = {};
    // [i][2 r] of the high bytes of row r and [i][2 r + 1] of the low ones, by the weights' low bytes and high ones.
    alignas(64) int32_t products_[kBytes][kTileRows][kTileRows];
    alignas(64) float sums_[kTileRows][kTileRows];
};

template <class Format>
void multiply_strips(const PanelBlock& block) {
    for (int32_t row = 0; row < block.n_rows; row += kByteRows) {
        IntegerProduct<Format>(block, row).run();
    }
}

}  // namespace

void panel_integers_q2_k_amx(const PanelBlock& block) {
    multiply_strips<Q2_K>(block);
}
void panel_integers_q3_k_amx(const PanelBlock& block) {
    multiply_strips<Q3_K>(block);
}
void panel_integers_q4_k_amx(const PanelBlock& block) {
    multiply_strips<Q4_K>(block);
}
void panel_integers_q5_k_amx(const PanelBlock& block) {
    multiply_strips<Q5_K>(block);
}
void panel_integers_q6_k_amx(const PanelBlock& block) {
    multiply_strips<Q6_K>(block);
}

}  // namespace puna::core
