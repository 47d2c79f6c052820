#pragma once

#include <cstdint>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

// use(i, column i) for four columns of 16 rows, of which load(r) gives row r. Loads put the rows k, 4 + k, 8 + k and
// 12 + k together: half of the shuffles that a transposition in registers takes.
template <class Load, class Use>
[[gnu::always_inline]] inline void transpose_four(const Load& load, const Use& use) {
    const auto rows = [&](int32_t k) __attribute__((always_inline)) {
        const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(load(k)), load(k + 4), 1);
        const __m512 three = _mm512_insertf32x4(_mm512_castps256_ps512(low), load(k + 8), 2);
        return _mm512_insertf32x4(three, load(k + 12), 3);
    };
    const __m512 a = rows(0);
    const __m512 b = rows(1);
    const __m512 c = rows(2);
    const __m512 d = rows(3);
    const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
    const __m512d ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
    const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
    const __m512d cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
    use(0, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low)));
    use(1, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low)));
    use(2, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high)));
    use(3, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high)));
}

// use(i, column i) for kColumns columns, a multiple of 4, of 16 rows that are kStride apart.
template <int32_t kColumns = 16, int32_t kStride = kColumns, class Use>
[[gnu::always_inline]] inline void for_each_column(const float* rows, const Use& use) {
    for (int32_t first = 0; first < kColumns; first += 4) {
        transpose_four(
            [&](int32_t r)
                __attribute__((always_inline)) { return _mm_loadu_ps(rows + kStride * r + first); },
            [&](int32_t i, __m512 column)
                __attribute__((always_inline)) { use(first + i, column); });
    }
}

// Where each of 16 rows begins.
struct SixteenRows {
    const uint8_t* at[16];
};
// use(i, dword i of all rows) for the four dwords from `offset` on.
template <class Use>
[[gnu::always_inline]] inline void for_four_dwords(const SixteenRows& rows, int64_t offset,
                                                   const Use& use) {
    transpose_four(
        [&](int32_t r) __attribute__((always_inline)) {
            return _mm_loadu_ps(reinterpret_cast<const float*>(rows.at[r] + offset));
        },
        [&](int32_t i, __m512 column)
            __attribute__((always_inline)) { use(i, _mm512_castps_si512(column)); });
}
// The dwords from `offset` on, of which each row has n, a multiple of 4.
inline void load_dwords(const SixteenRows& rows, int64_t offset, int n, __m512i* dwords) {
    for (int first = 0; first < n; first += 4) {
        for_four_dwords(
            rows, offset + 4 * first, [&](int i, __m512i dword) __attribute__((always_inline)) {
                dwords[first + i] = dword;
            });
    }
}

}  // namespace
}  // namespace puna::core
