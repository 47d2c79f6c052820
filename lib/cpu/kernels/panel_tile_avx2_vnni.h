// Weight rows as the panel kernel of AVX2 with VNNI multiplies them: linear_panel_avx2.h.
//
// Quants are unsigned bytes, signed ones 128 larger than they are, and activations were rounded to signed ones
// (panel_rows_avx2.h): an instruction adds the products of four columns to sums of 32 bits. Those begin
// with what the quants being too large makes, so that they are exact until they meet their scales.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/linear_panel_avx2.h"

namespace puna::core {
namespace {

template <class QuantFormat>
struct alignas(64) BytesTile {
    using Format = QuantFormat;
    using BlockOfX = PackedBytes;
    static constexpr int kHalves = Format::kWideScales ? 1 : 2;  // of a block, that have scales
    static constexpr int kOffset = Format::kSigned ? 128 : Format::kOffset;

    uint8_t quants[kPanelBlocks][kTileRowsOfW][kRowBlock];
    float scales[kTileRowsOfW][kHalves * kPanelBlocks];
    float minimums[kTileRowsOfW][Format::kHasMinimums ? kHalves * kPanelBlocks : 1];

    static void store(uint8_t* at, __m256i bytes) {
        if constexpr (Format::kSigned) {
            bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8(INT8_MIN));
        }
        _mm256_store_si256(reinterpret_cast<__m256i*>(at), bytes);
    }

    void unpack(const uint8_t* at, int32_t row, int64_t block) {
        Format w;
        w.open(at);
        store_quants(w, row, block, *this);
        float* to = scales[row] + kHalves * block;
        if constexpr (Format::kWideScales) {
            _mm256_storeu_ps(to, w.scales);
            if constexpr (Format::kHasMinimums) _mm256_storeu_ps(minimums[row] + block, w.minimums);
        } else {
            const __m256 low = signed_floats(w.sub_scales);
            const __m256 high = signed_floats(upper_half(w.sub_scales));
            _mm256_storeu_ps(to, _mm256_mul_ps(w.scale, low));
            _mm256_storeu_ps(to + kRowBlocks, _mm256_mul_ps(w.scale, high));
            if constexpr (Format::kHasMinimums) {
                _mm256_storeu_ps(minimums[row] + 2 * block, w.minimums[0]);
                _mm256_storeu_ps(minimums[row] + 2 * block + kRowBlocks, w.minimums[1]);
            }
        }
    }

    void clear(int32_t row) {
        for (auto& block : quants) std::memset(block[row], 0, sizeof block[row]);
        std::memset(scales[row], 0, sizeof scales[row]);
        std::memset(minimums[row], 0, sizeof minimums[row]);
    }
};

// Adds the products of the columns 4 kFour .. 4 kEnd - 1 of a block. A loop would not be unrolled.
template <int kFour, int kEnd, class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void add_fours(const BytesTile<Format>* w, int64_t block,
                                             const PackedBytes* const (&x)[kGroupsOfX],
                                             __m256i (&products)[kOuts][kGroupsOfX]) {
    if constexpr (kFour < kEnd) {
        __m256i four_of_x[kGroupsOfX];
        for (int32_t g = 0; g < kGroupsOfX; ++g) four_of_x[g] = load_vector(x[g]->elements[kFour]);
        for (int32_t r = 0; r < kOuts; ++r) {
            const BytesTile<Format>& tile = w[r / kTileRowsOfW];
            const __m256i four = splat_four(tile.quants[block][r % kTileRowsOfW] + 4 * kFour);
            for (int32_t g = 0; g < kGroupsOfX; ++g) {
                products[r][g] = _mm256_dpbusd_avx_epi32(products[r][g], four, four_of_x[g]);
            }
        }
        add_fours<kFour + 1, kEnd>(w, block, x, products);
    }
}

// What sums of products begin with: of half kHalf of a block, or of all of it where its scale is wide.
template <class Tile, int kHalf>
[[gnu::always_inline]] inline __m256i first_sum(const PackedBytes& x) {
    if constexpr (Tile::kOffset == 0) return _mm256_setzero_si256();
    __m256i pairs = load_vector(x.minus_pairs[kHalf]);
    if constexpr (Tile::kHalves == 1) {
        pairs = _mm256_add_epi16(pairs, load_vector(x.minus_pairs[1]));
    }
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(Tile::kOffset));
}

// scaled[r][g]: of part kPart of block `block`, a half or the whole; the second is added to the first.
template <int kPart, class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void multiply_part(const BytesTile<Format>* w, int64_t block,
                                                 const PackedBytes* const (&x)[kGroupsOfX],
                                                 __m256 (&scaled)[kOuts][kGroupsOfX]) {
    constexpr int kParts = BytesTile<Format>::kHalves;
    constexpr int kFours = 8 / kParts;
    __m256i products[kOuts][kGroupsOfX];
    for (int32_t g = 0; g < kGroupsOfX; ++g) {
        const __m256i start = first_sum<BytesTile<Format>, kPart>(*x[g]);
        for (int32_t r = 0; r < kOuts; ++r) products[r][g] = start;
    }
    add_fours<kPart * kFours, (kPart + 1) * kFours>(w, block, x, products);
    for (int32_t r = 0; r < kOuts; ++r) {
        const BytesTile<Format>& tile = w[r / kTileRowsOfW];
        const float* scales = tile.scales[r % kTileRowsOfW] + kParts * block;
        for (int32_t g = 0; g < kGroupsOfX; ++g) {
            const __m256 floats = _mm256_cvtepi32_ps(products[r][g]);
            const __m256 scale = _mm256_broadcast_ss(scales + kPart);
            scaled[r][g] = kPart == 0 ? _mm256_mul_ps(floats, scale)
                                      : _mm256_fmadd_ps(floats, scale, scaled[r][g]);
        }
    }
}

template <class Format, int32_t kOuts, int32_t kGroupsOfX>
[[gnu::always_inline]] inline void scaled_products(const BytesTile<Format>* w, int64_t block,
                                                   const PackedBytes* const (&x)[kGroupsOfX],
                                                   __m256 (&scaled)[kOuts][kGroupsOfX]) {
    multiply_part<0>(w, block, x, scaled);
    if constexpr (BytesTile<Format>::kHalves == 2) multiply_part<1>(w, block, x, scaled);
}

template <class Format>
void multiply_panels(const PanelBlock& block) {
    multiply_panels_of_rows<BytesTile<Format>>(block);
}

}  // namespace
}  // namespace puna::core
