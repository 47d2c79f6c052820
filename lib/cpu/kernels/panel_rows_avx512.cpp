#include "cpu/kernels/panel_rows_avx512.h"

#include <cfloat>
#include <cmath>

namespace puna::core {
namespace {

// Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
constexpr float kLeast = 0x1p-100f;

int32_t sum_of(__m128i bytes) {
    const __m128i sums = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), bytes);
    const __m128i pairs = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(pairs) + _mm_extract_epi32(pairs, 1);
}

// Row `row` of a block, from 32 elements. Infinity and NaN become NaN.
template <int32_t kRows>
void pack_block(const float* x, int32_t row, PackedBlock<kRows>& block) {
    const __m512 low = _mm512_loadu_ps(x);
    const __m512 high = _mm512_loadu_ps(x + 16);
    // As integers, magnitudes are ordered like floats, and NaN is the largest.
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    const __m512i largest = _mm512_max_epu32(_mm512_andnot_si512(sign, _mm512_castps_si512(low)),
                                             _mm512_andnot_si512(sign, _mm512_castps_si512(high)));
    const auto bits = static_cast<int32_t>(_mm512_reduce_max_epu32(largest));
    const float magnitude = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
    // Infinity has no sign that survives: it becomes NaN as well.
    const float scale = magnitude <= FLT_MAX ? magnitude * (1.0f / 127.0f) : NAN;
    const __m512 factor = _mm512_set1_ps(magnitude < kLeast ? 0.0f : 127.0f / magnitude);
    const __m128i low_bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(low, factor)));
    const __m128i high_bytes =
        _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(high, factor)));
    block.scales[row] = scale;
    block.sums[0][row] = sum_of(low_bytes);
    block.sums[1][row] = sum_of(high_bytes);
    alignas(16) int8_t bytes[kRowBlock];
    _mm_store_si128(reinterpret_cast<__m128i*>(bytes), low_bytes);
    _mm_store_si128(reinterpret_cast<__m128i*>(bytes + 16), high_bytes);
    for (int64_t k = 0; k < kRowBlock / 4; ++k) {
        std::memcpy(block.bytes[k][row], bytes + 4 * k, sizeof block.bytes[k][row]);
    }
}

template <int32_t kRows>
void pack_group(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<PackedBlock<kRows>*>(group);
    const float zeros[kRowBlock] = {};
    for (int32_t r = 0; r < kRows; ++r) {
        for (int64_t b = 0; b < n_in / kRowBlock; ++b) {
            pack_block(r < n_rows ? x + r * x_stride + b * kRowBlock : zeros, r, blocks[b]);
        }
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
