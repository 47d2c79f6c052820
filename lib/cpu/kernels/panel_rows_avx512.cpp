#include "cpu/kernels/panel_rows_avx512.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/transpose_avx512.h"

namespace puna::core {
namespace {

// Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
constexpr float kLeast = 0x1p-100f;

// Rows that are packed together: lanes of a vector, a quarter of it for each quartet.
constexpr int32_t kMostRows = 16;

// 32 columns of them. Rows that there are not stay zeros.
struct alignas(64) OnTheWay {
    float magnitudes[kMostRows][16];  // the larger ones of both halves
    float bytes[kMostRows][kRowBlock / 4];
};

// The blocks of the quartets of up to 16 rows.
struct Blocks {
    PackedBlock* first;
    int64_t stride;  // from a quartet to the next
    int32_t n_quartets;

    // To member(block) of each.
    template <class Member>
    void store(__m512i v, const Member& member) const {
        alignas(64) int32_t lanes[kMostRows];
        _mm512_store_si512(lanes, v);
        for (int32_t q = 0; q < n_quartets; ++q) {
            std::memcpy(member(first[q * stride]), lanes + q * kQuartetRows, 16);
        }
    }
};

// The largest magnitudes of the rows of x, as lanes.
__m512 largest_of(const float* x, int64_t x_stride, int32_t n_rows, OnTheWay& rows) {
    // As integers, magnitudes are ordered like floats, and NaN is the largest.
    const auto magnitude = [](const float* at) {
        return _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(at)));
    };
    for (int32_t r = 0; r < n_rows; ++r, x += x_stride) {
        _mm512_store_si512(rows.magnitudes[r], _mm512_max_epu32(magnitude(x), magnitude(x + 16)));
    }
    __m512i largest = _mm512_setzero_si512();
    for_each_column(rows.magnitudes[0], [&](int32_t, __m512 column) {
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(column));
    });
    return _mm512_castsi512_ps(largest);
}

// A block of each quartet, from 32 columns of n_rows rows. Infinity and NaN become NaN.
void pack_columns(const float* x, int64_t x_stride, int32_t n_rows, OnTheWay& rows,
                  const Blocks& blocks) {
    const __m512 largest = largest_of(x, x_stride, n_rows, rows);
    // Infinity has no sign that survives: it becomes NaN as well.
    const __mmask16 is_finite = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ);
    const __m512 scales =
        _mm512_mask_mul_ps(_mm512_set1_ps(NAN), is_finite, largest, _mm512_set1_ps(1.0f / 127.0f));
    blocks.store(_mm512_castps_si512(scales), [](PackedBlock& b) { return b.scales; });
    const __mmask16 counts = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kLeast), _CMP_NLT_UQ);
    alignas(64) float factors[kMostRows];
    _mm512_store_ps(factors, _mm512_maskz_div_ps(counts, _mm512_set1_ps(127.0f), largest));
    for (int32_t r = 0; r < n_rows; ++r, x += x_stride) {
        const __m512 factor = _mm512_set1_ps(factors[r]);
        for (int32_t half = 0; half < 2; ++half) {
            const __m512 values = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * half), factor);
            _mm_store_si128(reinterpret_cast<__m128i*>(rows.bytes[r] + 4 * half),
                            _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(values)));
        }
    }
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for_each_column<kRowBlock / 4>(rows.bytes[0], [&](int32_t k, __m512 column) {
        const __m512i bytes = _mm512_castps_si512(column);
        blocks.store(bytes, [k](PackedBlock& b) { return b.bytes[k]; });
        sums[k / 4] = _mm512_dpbusd_epi32(sums[k / 4], _mm512_set1_epi8(1), bytes);
    });
    for (int32_t half = 0; half < 2; ++half) {
        blocks.store(sums[half], [half](PackedBlock& b) { return b.sums[half]; });
    }
}

int32_t n_quartets_of(int64_t n_rows) {
    return static_cast<int32_t>((n_rows + kQuartetRows - 1) / kQuartetRows);
}

}  // namespace

void pack_rows_avx512(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    const int64_t n_blocks = n_in / kRowBlock;
    OnTheWay rows = {};
    Blocks blocks = {static_cast<PackedBlock*>(group), n_blocks, n_quartets_of(n_rows)};
    for (int64_t b = 0; b < n_blocks; ++b, ++blocks.first, x += kRowBlock) {
        pack_columns(x, x_stride, n_rows, rows, blocks);
    }
}

int64_t packed_bytes_avx512(int64_t n_rows) {
    return n_quartets_of(n_rows) * static_cast<int64_t>(sizeof(PackedBlock));
}

int64_t panel_memory_avx512(int64_t n_rows) {
    const int64_t at_once = n_rows < kRowsAtOnce ? n_rows : kRowsAtOnce;
    return n_quartets_of(at_once) * int64_t{kQuartetRows * kMostOuts * sizeof(float)};
}

}  // namespace puna::core
