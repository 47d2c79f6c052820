#pragma once

#include <cstdint>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

// Four columns of the rows k, 4 + k, 8 + k and 12 + k of 16, from the one at `column` on. The loads put them
// together: half of the shuffles that a transposition in registers takes.
template <int32_t kStride>
[[gnu::always_inline]] inline __m512 load_four_columns(const float* column, int32_t k) {
    const float* at = column + kStride * k;
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)),
                                            _mm_loadu_ps(at + 4 * kStride), 1);
    const __m512 three =
        _mm512_insertf32x4(_mm512_castps256_ps512(low), _mm_loadu_ps(at + 8 * kStride), 2);
    return _mm512_insertf32x4(three, _mm_loadu_ps(at + 12 * kStride), 3);
}

// use(i, column i) for kColumns columns, a multiple of 4, of 16 rows that are kStride apart.
template <int32_t kColumns = 16, int32_t kStride = kColumns, class Use>
[[gnu::always_inline]] inline void for_each_column(const float* rows, const Use& use) {
    for (int32_t quarter = 0; quarter < kColumns / 4; ++quarter) {
        const float* column = rows + 4 * quarter;
        const __m512 a = load_four_columns<kStride>(column, 0);
        const __m512 b = load_four_columns<kStride>(column, 1);
        const __m512 c = load_four_columns<kStride>(column, 2);
        const __m512 d = load_four_columns<kStride>(column, 3);
        const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
        const __m512d ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
        const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
        const __m512d cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
        use(4 * quarter, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low)));
        use(4 * quarter + 1, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low)));
        use(4 * quarter + 2, _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high)));
        use(4 * quarter + 3, _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high)));
    }
}

}  // namespace
}  // namespace puna::core
