// Quantised weights of 16 rows in AVX-512, as kernels for many activation rows want them: rows are lanes. They are
// transposed as they lie, packed, which are half of the vectors, or a quarter, that their quants are.
#pragma once

#include <cstdint>

#include "cpu/kernels/quants_avx512.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

// ---- Bits ---------------------------------------------------------------------------------------

// Byte j of each dword, as all bytes of it.
inline __m512i spread_bytes(__m512i dwords, int j) {
    static constexpr Bytes kFirst = make_bytes([](int i) { return i % 16 / 4 * 4; });
    return _mm512_shuffle_epi8(dwords,
                               _mm512_add_epi8(kFirst, _mm512_set1_epi8(static_cast<int8_t>(j))));
}
// Byte j of each dword, as the dword.
inline __m512i bytes_of_dwords(__m512i dwords, int j) {
    return _mm512_and_si512(_mm512_srli_epi32(dwords, static_cast<unsigned>(8 * j)),
                            _mm512_set1_epi32(0xff));
}
inline __m512i signed_bytes_of_dwords(__m512i dwords, int j) {
    return _mm512_srai_epi32(_mm512_slli_epi32(dwords, static_cast<unsigned>(24 - 8 * j)), 24);
}
// The F16 numbers in the low words of dwords, or in the high ones.
inline __m512 low_halves(__m512i dwords) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords));
}
inline __m512 high_halves(__m512i dwords) {
    return low_halves(_mm512_srli_epi32(dwords, 16));
}

// `width` bits of each byte of v, from bit `from` on, as bits of `into` from `to` on.
inline __m512i add_bits(__m512i into, __m512i v, int from, int to, int width) {
    const __m512i moved = from >= to ? _mm512_srli_epi16(v, static_cast<unsigned>(from - to))
                                     : _mm512_slli_epi16(v, static_cast<unsigned>(to - from));
    const __m512i bits = _mm512_set1_epi8(static_cast<int8_t>(((1 << width) - 1) << to));
    return _mm512_ternarylogic_epi32(into, moved, bits, 0xf8);
}

// ---- Quants -------------------------------------------------------------------------------------

// Of 16 rows the nibbles of a chunk of such blocks, which are kNibbles bytes after the beginning of each.
template <int64_t kBlockBytes, int64_t kNibbles, class Put>
[[gnu::always_inline]] inline void fours_of_nibbles(const SixteenRows& rows, const Put& put) {
    for (int block = 0; block < kChunk / 32; ++block) {
        for_four_dwords(
            rows, block * kBlockBytes + kNibbles,
            [&](int i, __m512i bytes) __attribute__((always_inline)) {
                put(8 * block + i, low_nibbles(bytes));
                put(8 * block + 4 + i, high_nibbles(bytes));
            });
    }
}
// Those that have a fifth bit each, element j in bit j of the four bytes before the nibbles.
template <int64_t kBlockBytes, int64_t kBits, class Put>
[[gnu::always_inline]] inline void fours_of_five_bits(const SixteenRows& rows, const Put& put) {
    __m512i fifth[kChunk / 32];
    for (int block = 0; block < kChunk / 32; ++block) {
        for_four_dwords(
            rows,
            block * kBlockBytes + kBits, [&](int i, __m512i dword) __attribute__((always_inline)) {
                if (i == 0) fifth[block] = dword;
            });
    }
    fours_of_nibbles<kBlockBytes, kBits + 4>(
        rows, [&](int four, __m512i nibbles) __attribute__((always_inline)) {
            const int i = four % 8;  // bits 4 i .. 4 i + 3
            const __m512i bits = _mm512_set1_epi64(
                i % 2 == 0 ? 0x0804020108040201 : static_cast<int64_t>(0x8040201080402010));
            const __mmask64 is_set =
                _mm512_test_epi8_mask(spread_bytes(fifth[four / 8], i / 2), bits);
            put(four, _mm512_mask_add_epi8(nibbles, is_set, nibbles, _mm512_set1_epi8(0x10)));
        });
}
// Of 16 rows the nibbles of Q4_K and Q5_K.
template <int64_t kNibbles, class Put>
[[gnu::always_inline]] inline void fours_of_k_nibbles(const SixteenRows& rows, const Put& put) {
    for (int half = 0; half < 8; ++half) {  // of 32 bytes
        for_four_dwords(
            rows, kNibbles + 16 * half, [&](int i, __m512i bytes) __attribute__((always_inline)) {
                const int four = half / 2 * 16 + half % 2 * 4 + i;
                put(four, low_nibbles(bytes));
                put(four + 8, high_nibbles(bytes));
            });
    }
}
// Of 16 rows the pairs of bits that each of 64 bytes has of four elements, 32 apart.
template <int64_t kBits, class Put>
[[gnu::always_inline]] inline void fours_of_two_bits(const SixteenRows& rows, const Put& put) {
    for (int quarter = 0; quarter < 4; ++quarter) {
        for_four_dwords(
            rows, kBits + 16 * quarter, [&](int i, __m512i bytes) __attribute__((always_inline)) {
                const int four = quarter / 2 * 32 + quarter % 2 * 4 + i;
                put(four, lowest_bits<2>(bytes));
                put(four + 8, lowest_bits<2>(_mm512_srli_epi16(bytes, 2)));
                put(four + 16, lowest_bits<2>(_mm512_srli_epi16(bytes, 4)));
                put(four + 24, lowest_bits<2>(_mm512_srli_epi16(bytes, 6)));
            });
    }
}

// ---- Factors of Q4_K and Q5_K -------------------------------------------------------------------

// See load_k_factors(): put_scale(i, the scales of block i), and put_minimum.
template <class PutScale, class PutMinimum>
[[gnu::always_inline]] inline void for_each_k_factor(const SixteenRows& rows,
                                                     const PutScale& put_scale,
                                                     const PutMinimum& put_minimum) {
    __m512i dwords[4];  // the factors, a, b and c
    load_dwords(rows, 0, 4, dwords);
    const auto six = [&](__m512i top, __m512i nibbles, int half) {
        if (half == 0) return lowest_bits<6>(top);
        return add_bits(lowest_bits<4>(nibbles), top, 6, 4, 2);
    };
    const __m512 scale = low_halves(dwords[0]);
    const __m512 minimum = high_halves(_mm512_xor_si512(dwords[0], _mm512_set1_epi32(INT32_MIN)));
    for (int half = 0; half < 2; ++half) {
        const __m512i scales = six(dwords[1], dwords[3], half);
        const __m512i minimums = six(dwords[2], _mm512_srli_epi16(dwords[3], 4), half);
        for (int j = 0; j < 4; ++j) {
            const int i = 4 * half + j;
            put_scale(i, _mm512_mul_ps(_mm512_cvtepi32_ps(bytes_of_dwords(scales, j)), scale));
            put_minimum(i,
                        _mm512_mul_ps(_mm512_cvtepi32_ps(bytes_of_dwords(minimums, j)), minimum));
        }
    }
}

}  // namespace
}  // namespace puna::core
