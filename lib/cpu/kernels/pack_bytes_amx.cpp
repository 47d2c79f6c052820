#include <cfloat>
#include <cmath>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"
#include "cpu/kernels/panel_bytes_amx.h"

namespace puna::core {
namespace {

// The largest magnitude whose high byte is still one after rounding.
constexpr float kLargest = 127 * 256 + 127;
// Columns that hold nothing above it count as zeros: the inverse of their scale would overflow.
constexpr float kLeast = 0x1p-100f;

// Largest magnitude of n elements, a multiple of 32; infinity and NaN become NaN.
float largest_of(const float* x, int64_t n) {
    // As integers, magnitudes are ordered like floats, and NaN is the largest.
    const __m512i sign = _mm512_set1_epi32(INT32_MIN);
    __m512i largest = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += 16) {
        const __m512i bits = _mm512_castps_si512(_mm512_loadu_ps(x + i));
        largest = _mm512_max_epu32(largest, _mm512_andnot_si512(sign, bits));
    }
    const auto bits = static_cast<int32_t>(_mm512_reduce_max_epu32(largest));
    const float magnitude = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
    return magnitude <= FLT_MAX ? magnitude : NAN;
}

void store_bytes(__m512i rounded, int64_t half, int32_t row, ByteBlock& block) {
    const __m512i top = _mm512_srai_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)), 8);
    alignas(16) int8_t high[16];
    alignas(16) int8_t low[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(high), _mm512_cvtepi32_epi8(top));
    _mm_store_si128(reinterpret_cast<__m128i*>(low), _mm512_cvtepi32_epi8(rounded));
    for (int64_t k = 0; k < 4; ++k) {
        auto& quads = block.bytes[half * 4 + k];
        std::memcpy(quads[2 * row], high + 4 * k, sizeof quads[0]);
        std::memcpy(quads[2 * row + 1], low + 4 * k, sizeof quads[0]);
    }
}

// Returns the sum of what was rounded.
float pack_block(const float* x, __m512 factor, float scale, int32_t row, ByteBlock& block) {
    block.scales[2 * row] = scale;
    block.scales[2 * row + 1] = scale / 256;
    __m512i sum = _mm512_setzero_si512();
    for (int64_t half = 0; half < 2; ++half) {
        const __m512i rounded =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16 * half), factor));
        store_bytes(rounded, half, row, block);
        sum = _mm512_add_epi32(sum, rounded);
    }
    return static_cast<float>(_mm512_reduce_add_epi32(sum));
}

// Up to kScaledColumns columns, a multiple of 32.
void pack_scaled(const float* x, int64_t n, int32_t row, ByteBlock* blocks) {
    const float largest = largest_of(x, n);
    const __m512 factor = _mm512_set1_ps(largest < kLeast ? 0.0f : kLargest / largest);
    const float scale = largest * (256 / kLargest);
    const int64_t n_blocks = n / kByteColumns;
    for (int64_t b = 0; b < n_blocks; ++b) {
        const float sum = pack_block(x + b * kByteColumns, factor, scale, row, blocks[b]);
        if (b % 2 == 1) {
            blocks[b - 1].sums[2 * row + 1] = sum;
        } else {
            blocks[b].sums[2 * row] = sum / 256;
            blocks[b].sums[2 * row + 1] = 0;
        }
    }
}

}  // namespace

void pack_bytes_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<ByteBlock*>(group);
    if (n_rows < kByteRows) {
        std::memset(group, 0, static_cast<size_t>(n_in / kByteColumns) * sizeof(ByteBlock));
    }
    for (int32_t r = 0; r < n_rows; ++r) {
        for (int64_t i = 0; i < n_in; i += kScaledColumns) {
            const int64_t n = n_in - i < kScaledColumns ? n_in - i : kScaledColumns;
            pack_scaled(x + r * x_stride + i, n, r, blocks + i / kByteColumns);
        }
    }
}

int64_t packed_row_bytes_amx(int64_t n_rows) {
    return (n_rows + kByteRows - 1) / kByteRows * static_cast<int64_t>(sizeof(ByteBlock));
}

}  // namespace puna::core
