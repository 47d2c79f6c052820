#include <cfloat>
#include <cmath>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/byte_rows_amx.h"
#include "cpu/kernels/intrinsics_avx512.h"

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

// How up to kChunk columns of a row become words.
struct Rounding {
    __m512 factor;
    float scale;  // of what the high bytes stand for

    static Rounding of(const float* x, int64_t n) {
        const float largest = largest_of(x, n);
        return {_mm512_set1_ps(largest < kLeast ? 0.0f : kLargest / largest),
                largest * (256 / kLargest)};
    }
};

// The bytes of 16 columns: high + low / 256.
struct Split {
    __m512i high;
    __m512i low;

    Split(const float* x, const Rounding& rounding) {
        const __m512i rounded =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), rounding.factor));
        high = _mm512_srai_epi32(_mm512_add_epi32(rounded, _mm512_set1_epi32(128)), 8);
        low = _mm512_sub_epi32(rounded, _mm512_slli_epi32(high, 8));
    }
    // Four columns of a row beside each other, in four rows of a tile.
    void store(int32_t row, int8_t (*quads)[kTileRows][4]) const {
        alignas(16) int8_t bytes[2][16];
        _mm_store_si128(reinterpret_cast<__m128i*>(bytes[0]), _mm512_cvtepi32_epi8(high));
        _mm_store_si128(reinterpret_cast<__m128i*>(bytes[1]), _mm512_cvtepi32_epi8(low));
        for (int64_t k = 0; k < 4; ++k) {
            std::memcpy(quads[k][2 * row], bytes[0] + 4 * k, sizeof quads[0][0]);
            std::memcpy(quads[k][2 * row + 1], bytes[1] + 4 * k, sizeof quads[0][0]);
        }
    }
};

using Quads = int8_t[kTileRows][4];

// n columns of a row, a multiple of 32, from the first of a chunk on: quads_of(i) has 16 columns from 16 i on.
template <class QuadsOf>
Rounding pack_row(const float* x, int64_t n, int32_t row, const QuadsOf& quads_of) {
    const Rounding rounding = Rounding::of(x, n);
    for (int64_t i = 0; i < n / 16; ++i) Split(x + 16 * i, rounding).store(row, quads_of(i));
    return rounding;
}
void set_scales(const Rounding& rounding, int32_t row, float (&scales)[kTileRows]) {
    scales[2 * row] = rounding.scale;
    scales[2 * row + 1] = rounding.scale / 256;
}

// Of 4 n columns, by lanes.
__m512i sum_quads(const Quads* quads, int64_t n) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; ++i) {
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_load_si512(quads[i]));
    }
    return sum;
}

constexpr __mmask16 kLowLanes = 0xaaaa;  // of low bytes

// 256 high + low of a block, in both lanes of a row.
__m512 sum_block(const ByteBlock& block) {
    const __m512i sum = sum_quads(block.bytes, kByteColumns / 4);
    const __m512i other = _mm512_shuffle_epi32(sum, _MM_PERM_CDAB);
    const __m512i high = _mm512_mask_blend_epi32(kLowLanes, sum, other);
    const __m512i low = _mm512_mask_blend_epi32(kLowLanes, other, sum);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high, 8), low));
}
void set_sums(ByteBlock* blocks, int64_t n) {
    for (int64_t i = 0; i < n; i += 2) {
        const __m512 first = _mm512_mul_ps(sum_block(blocks[i]), _mm512_set1_ps(1.0f / 256));
        const __m512 second = i + 1 < n ? sum_block(blocks[i + 1]) : _mm512_setzero_ps();
        _mm512_store_ps(blocks[i].sums, _mm512_mask_blend_ps(kLowLanes, first, second));
    }
}

// Sums beside each other, as words.
__m512i pair_up(__m512i first, __m512i second) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, first, _mm512_slli_epi32(second, 16));
}
void set_sums(ByteChunk& chunk) {
    __m512i of_32[2];
    for (int32_t i = 0; i < kGroups / 2; ++i) {
        const __m512i first = sum_quads(chunk.bytes + 8 * i, 4);
        const __m512i second = sum_quads(chunk.bytes + 8 * i + 4, 4);
        _mm512_store_si512(chunk.sums_of_16[i], pair_up(first, second));
        of_32[i % 2] = _mm512_add_epi32(first, second);
        if (i % 2 == 1) {
            _mm512_store_si512(chunk.sums_of_32[i / 2], pair_up(of_32[0], of_32[1]));
        }
    }
}

int64_t groups_of(int64_t n_rows) {
    return (n_rows + kByteRows - 1) / kByteRows;
}

}  // namespace

// Rows that are missing have scales of 0, and any bytes.
void pack_bytes_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<ByteBlock*>(group);
    const int64_t n_blocks = n_in / kByteColumns;
    for (int64_t b = 0; b < n_blocks; ++b) std::memset(blocks[b].scales, 0, sizeof blocks->scales);
    for (int32_t r = 0; r < n_rows; ++r) {
        for (int64_t i = 0; i < n_in; i += kChunk) {
            const int64_t n = n_in - i < kChunk ? n_in - i : kChunk;
            ByteBlock* chunk = blocks + i / kByteColumns;
            const Rounding rounding = pack_row(x + r * x_stride + i, n, r, [chunk](int64_t j) {
                return chunk[j / 2].bytes + j % 2 * 4;
            });
            for (int64_t b = 0; b < n / kByteColumns; ++b) {
                set_scales(rounding, r, chunk[b].scales);
            }
        }
    }
    set_sums(blocks, n_blocks);
}

int64_t packed_row_bytes_amx(int64_t n_rows) {
    return groups_of(n_rows) * static_cast<int64_t>(sizeof(ByteBlock));
}

void pack_chunks_amx(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* chunks = static_cast<ByteChunk*>(group);
    for (int64_t i = 0; i < n_in; i += kChunk, ++chunks) {
        std::memset(chunks->scales, 0, sizeof chunks->scales);
        for (int32_t r = 0; r < n_rows; ++r) {
            const Rounding rounding =
                pack_row(x + r * x_stride + i, kChunk, r,
                         [chunks](int64_t j) { return chunks->bytes + 4 * j; });
            set_scales(rounding, r, chunks->scales);
        }
        set_sums(*chunks);
    }
}

// Rows have whole chunks, so that groups begin at multiples of a line all the same.
int64_t packed_chunk_bytes_amx(int64_t n_rows) {
    return groups_of(n_rows) * static_cast<int64_t>(sizeof(ByteChunk)) / (kChunk / 32);
}

}  // namespace puna::core
