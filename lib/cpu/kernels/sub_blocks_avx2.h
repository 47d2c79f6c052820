// Scales and offsets of the sub-blocks of formats with blocks of 256 elements.
#pragma once

#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

constexpr uint32_t kLow4 = 0x0f0f0f0f;  // in each of 4 bytes
constexpr uint32_t kLow6 = 0x3f3f3f3f;
constexpr uint32_t kBits45 = 0x30303030;

// out[i] = scale * bytes[i] for 8 bytes without sign, or 16 with one.
inline void scale_8(__m128i bytes, __m256 scale, float* out) {
    _mm256_storeu_ps(out, _mm256_mul_ps(unsigned_floats(bytes), scale));
}
inline void scale_16(__m128i bytes, __m256 scale, float* out) {
    __m256 scaled[2];
    scale_bytes(bytes, scale, scaled);
    _mm256_storeu_ps(out, scaled[0]);
    _mm256_storeu_ps(out + kLanes, scaled[1]);
}

inline __m128i bytes_of(uint32_t first, uint32_t second) {
    return _mm_cvtsi64_si128(static_cast<int64_t>(uint64_t{second} << 32 | first));
}

// Q4_K and Q5_K: weights are scale * q + offset, with 8 scales and offsets of 6 bits in 12 bytes.
struct ScalesAndOffsets {
    void begin(const uint8_t* block) {
        const auto a = load_word<uint32_t>(block + 4);
        const auto b = load_word<uint32_t>(block + 8);
        const auto c = load_word<uint32_t>(block + 12);
        scale_8(bytes_of(a & kLow6, (c & kLow4) | (a >> 2 & kBits45)), load_half(block), scales);
        const __m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), load_half(block + 2));
        scale_8(bytes_of(b & kLow6, (c >> 4 & kLow4) | (b >> 2 & kBits45)), minus, offsets);
    }
    // 32 numbers of sub-block i.
    void apply(__m256i q, int i, __m256 w[kVectors]) const {
        const __m256 scale = _mm256_set1_ps(scales[i]);
        const __m256 offset = _mm256_set1_ps(offsets[i]);
        scale_bytes(_mm256_castsi256_si128(q), scale, offset, w);
        scale_bytes(_mm256_extracti128_si256(q, 1), scale, offset, w + 2);
    }

    float scales[8];
    float offsets[8];
};

// 32 signed numbers of the sub-blocks of 16 whose scales are given.
inline void scale_pair(__m256i q, const float scales[2], __m256 w[kVectors]) {
    scale_bytes(_mm256_castsi256_si128(q), _mm256_set1_ps(scales[0]), w);
    scale_bytes(_mm256_extracti128_si256(q, 1), _mm256_set1_ps(scales[1]), w + 2);
}

}  // namespace
}  // namespace puna::core
