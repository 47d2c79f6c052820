// The scales of K-quants as the integers that they are, for kernels that multiply quants by them.
//
// An element of 256 is factor * scale * (quant - kOffset) - minimum_factor * minimum, with integers for scale and
// minimum; source: ggml's K-quants, docs/formats.md. Four rows are opened at once: of one row it would fill a quarter
// of a vector.
//
// IntegerScales of a format has
//   static constexpr int kBytes;      // that a product takes: low bytes, and high ones
//   static constexpr bool kNegates;   // integers have the other sign: those of Q3_K fit a byte only so
//   static constexpr int kMinimums;   // for 256 elements, or 0
//   static void open(const FourRows& rows, const FourScales& to);
#pragma once

#include <cstdint>

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/quants_q2_k_avx512.h"
#include "cpu/kernels/quants_q3_k_avx512.h"
#include "cpu/kernels/quants_q4_k_avx512.h"
#include "cpu/kernels/quants_q5_k_avx512.h"
#include "cpu/kernels/quants_q6_k_avx512.h"

namespace puna::core {
namespace {

// Where a block of each row is.
struct FourRows {
    const uint8_t* at[4];

    __m512i load_16(int64_t offset) const {
        const auto pair = [&](int i) {
            return _mm256_inserti128_si256(_mm256_castsi128_si256(core::load_16(at[i] + offset)),
                                           core::load_16(at[i + 1] + offset), 1);
        };
        return _mm512_inserti64x4(_mm512_castsi256_si512(pair(0)), pair(2), 1);
    }
};

// Where what they have goes, by rows.
struct FourScales {
    uint8_t* scales;            // 16 bytes a row, signed
    int16_t* minimums;          // kMinimums a row
    uint16_t* factors;          // F16
    uint16_t* minimum_factors;  // F16
};

template <class Format>
struct IntegerScales;

inline __m512i in_each(__m128i lane) {
    return _mm512_broadcast_i32x4(lane);
}

// Eight pairs of 6 bits: see load_k_factors().
struct SixBitScales {
    static constexpr int kBytes = 2;
    static constexpr bool kNegates = false;
    static constexpr int kMinimums = 8;

    static void open(const FourRows& rows, const FourScales& to) {
        const __m512i bytes = rows.load_16(0);
        const __m512i low = _mm512_and_si512(
            _mm512_srlv_epi32(_mm512_shuffle_epi32(bytes, _MM_PERM_DCDB),
                              in_each(_mm_setr_epi32(0, 0, 0, 4))),
            in_each(_mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f)));
        const __m512i high =
            _mm512_and_si512(_mm512_srli_epi32(_mm512_shuffle_epi32(bytes, _MM_PERM_CCBB), 2),
                             in_each(_mm_setr_epi32(0, 0x30303030, 0, 0x30303030)));
        const __m512i six = _mm512_or_si512(low, high);
        _mm512_store_si512(to.scales, six);
        const __m512i minimums =
            _mm512_permutexvar_epi64(_mm512_setr_epi64(1, 3, 5, 7, 1, 3, 5, 7), six);
        _mm512_storeu_si512(to.minimums, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(minimums)));
        for (int i = 0; i < 4; ++i) {
            to.factors[i] = load_u16(rows.at[i]);
            to.minimum_factors[i] = load_u16(rows.at[i] + 2);
        }
    }
};
template <>
struct IntegerScales<Q4_K> : SixBitScales {};
template <>
struct IntegerScales<Q5_K> : SixBitScales {};

template <>
struct IntegerScales<Q6_K> {
    static constexpr int kBytes = 2;
    static constexpr bool kNegates = false;
    static constexpr int kMinimums = 0;

    static void open(const FourRows& rows, const FourScales& to) {
        _mm512_store_si512(to.scales, rows.load_16(192));
        for (int i = 0; i < 4; ++i) to.factors[i] = load_u16(rows.at[i] + 208);
    }
};

template <>
struct IntegerScales<Q3_K> {
    static constexpr int kBytes = 1;
    static constexpr bool kNegates = true;
    static constexpr int kMinimums = 0;

    static void open(const FourRows& rows, const FourScales& to) {
        // The last 16 bytes of a block: two of quants, eight and four of scales, the factor. See Q3_K::integer_scales().
        const __m512i bytes = rows.load_16(94);
        const __m512i eight = _mm512_shuffle_epi8(
            bytes, in_each(_mm_setr_epi8(2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9)));
        const __m512i four = _mm512_shuffle_epi8(
            bytes,
            in_each(_mm_setr_epi8(10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13)));
        const __m512i low = _mm512_srlv_epi64(eight, in_each(_mm_set_epi64x(4, 0)));
        const __m512i high = _mm512_rorv_epi32(four, in_each(_mm_setr_epi32(28, 30, 0, 2)));
        const __m512i six =
            lowest_bits<6>(_mm512_ternarylogic_epi32(_mm512_set1_epi8(0x0f), low, high, 0xca));
        _mm512_store_si512(to.scales, _mm512_sub_epi8(six, _mm512_set1_epi8(32)));
        for (int i = 0; i < 4; ++i) to.factors[i] = load_u16(rows.at[i] + Q3_K::kFactorAt) ^ 0x8000;
    }
};

template <>
struct IntegerScales<Q2_K> {
    static constexpr int kBytes = 1;
    static constexpr bool kNegates = false;
    static constexpr int kMinimums = 16;

    static void open(const FourRows& rows, const FourScales& to) {
        const __m512i bytes = rows.load_16(0);
        _mm512_store_si512(to.scales, low_nibbles(bytes));
        const __m512i minimums = high_nibbles(bytes);
        _mm512_storeu_si512(to.minimums, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(minimums)));
        _mm512_storeu_si512(to.minimums + 32,
                            _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(minimums, 1)));
        for (int i = 0; i < 4; ++i) {
            to.factors[i] = load_u16(rows.at[i] + Q2_K::kFactorAt);
            to.minimum_factors[i] = load_u16(rows.at[i] + 82);
        }
    }
};

}  // namespace
}  // namespace puna::core
