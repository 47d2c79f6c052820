#include "cpu/kernels/panel_rows_avx512.h"

#include <cfloat>
#include <cmath>

#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

// Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
constexpr float kLeast = 0x1p-100f;

// 32 columns of 16 rows on their way. Rows that there are not stay zeros.
struct alignas(64) Columns {
    float magnitudes[16][16];  // the larger ones of both halves
    float bytes[16][kRowBlock / 4];
};

// The lanes of the rows of a block.
template <int32_t kRows>
void store_lanes(void* to, __m512i v) {
    if constexpr (kRows == 16) {
        _mm512_storeu_si512(to, v);
    } else {
        static_assert(kRows == 8);
        _mm256_storeu_si256(static_cast<__m256i*>(to), _mm512_castsi512_si256(v));
    }
}

// The largest magnitudes of the rows of x, as lanes.
__m512 largest_of(const float* x, int64_t x_stride, int32_t n_rows, Columns& columns) {
    // As integers, magnitudes are ordered like floats, and NaN is the largest.
    const auto magnitude = [](const float* at) {
        return _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(at)));
    };
    for (int32_t r = 0; r < n_rows; ++r, x += x_stride) {
        _mm512_store_si512(columns.magnitudes[r],
                           _mm512_max_epu32(magnitude(x), magnitude(x + 16)));
    }
    __m512i largest = _mm512_setzero_si512();
    for_each_column(columns.magnitudes[0], [&](int32_t, __m512 column) {
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(column));
    });
    return _mm512_castsi512_ps(largest);
}

// A block, from 32 columns of up to kRows rows. Infinity and NaN become NaN.
template <int32_t kRows>
void pack_block(const float* x, int64_t x_stride, int32_t n_rows, Columns& columns,
                PackedBlock<kRows>& block) {
    const __m512 largest = largest_of(x, x_stride, n_rows, columns);
    // Infinity has no sign that survives: it becomes NaN as well.
    const __mmask16 is_finite = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ);
    const __m512 scales =
        _mm512_mask_mul_ps(_mm512_set1_ps(NAN), is_finite, largest, _mm512_set1_ps(1.0f / 127.0f));
    store_lanes<kRows>(block.scales, _mm512_castps_si512(scales));
    const __mmask16 counts = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kLeast), _CMP_NLT_UQ);
    alignas(64) float factors[16];
    _mm512_store_ps(factors, _mm512_maskz_div_ps(counts, _mm512_set1_ps(127.0f), largest));
    for (int32_t r = 0; r < n_rows; ++r, x += x_stride) {
        const __m512 factor = _mm512_set1_ps(factors[r]);
        for (int32_t half = 0; half < 2; ++half) {
            const __m512 values = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * half), factor);
            _mm_store_si128(reinterpret_cast<__m128i*>(columns.bytes[r] + 4 * half),
                            _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(values)));
        }
    }
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for_each_column<kRowBlock / 4>(columns.bytes[0], [&](int32_t k, __m512 column) {
        const __m512i bytes = _mm512_castps_si512(column);
        store_lanes<kRows>(block.bytes[k], bytes);
        sums[k / 4] = _mm512_dpbusd_epi32(sums[k / 4], _mm512_set1_epi8(1), bytes);
    });
    for (int32_t half = 0; half < 2; ++half) store_lanes<kRows>(block.sums[half], sums[half]);
}

template <int32_t kRows>
void pack_group(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<PackedBlock<kRows>*>(group);
    Columns columns = {};
    for (int64_t b = 0; b < n_in / kRowBlock; ++b) {
        pack_block(x + b * kRowBlock, x_stride, n_rows, columns, blocks[b]);
    }
}

}  // namespace

void pack_rows_avx512(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    if (n_rows <= 8) {
        pack_group<8>(x, x_stride, n_in, n_rows, group);
    } else {
        pack_group<16>(x, x_stride, n_in, n_rows, group);
    }
}

int64_t packed_bytes_avx512(int64_t n_rows) {
    return packed_bytes((n_rows + 7) / 8 * 8);
}

}  // namespace puna::core
