// Activations as integers: 32 of them in a block, with one scale.
#pragma once

#include <immintrin.h>

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace puna::core {
namespace {

constexpr int64_t kRowBlock = 32;

// The largest integers. What 8 bits hold exactly words hold as well, 257 * 127, and a word is a signed byte more than
// 256 times another.
constexpr int32_t kMostOfBytes = 127;
constexpr int32_t kMostOfWords = 32639;

// x = scale * integer
struct RoundedBlock {
    __m256i integers[4];
    float scale;
};

// The largest lane, as unsigned integers.
inline uint32_t largest_lane(__m256i v) {
    __m128i largest = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    largest = _mm_max_epu32(largest, _mm_shuffle_epi32(largest, _MM_SHUFFLE(1, 0, 3, 2)));
    largest = _mm_max_epu32(largest, _mm_shuffle_epi32(largest, _MM_SHUFFLE(2, 3, 0, 1)));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(largest));
}

// The largest magnitude of n elements, a multiple of 32, and NaN if one is.
inline float largest_magnitude(const float* x, int64_t n) {
    __m256i magnitudes = _mm256_setzero_si256();
    for (int64_t j = 0; j < n; j += kRowBlock) {
        for (int v = 0; v < 4; ++v) {
            const __m256i magnitude = _mm256_and_si256(
                _mm256_castps_si256(_mm256_loadu_ps(x + j + 8 * v)), _mm256_set1_epi32(0x7fffffff));
            // As integers, magnitudes are ordered like floats, and NaN is the largest.
            magnitudes = _mm256_max_epu32(magnitudes, magnitude);
        }
    }
    const auto bits = static_cast<int32_t>(largest_lane(magnitudes));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
}

// The 32 elements at x, none of them larger than `largest`, as integers of at most kMost. Infinity and NaN make the
// scale NaN.
template <int32_t kMost>
RoundedBlock round_block(const float* x, float largest) {
    // Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
    constexpr float kLeast = 0x1p-100f;
    const __m256 factor = _mm256_set1_ps(largest < kLeast ? 0.0f : kMost / largest);
    RoundedBlock block;
    block.scale = largest <= FLT_MAX ? largest * (1.0f / kMost) : NAN;
    for (int v = 0; v < 4; ++v) {
        block.integers[v] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * v), factor));
    }
    return block;
}
template <int32_t kMost>
RoundedBlock round_block(const float* x) {
    return round_block<kMost>(x, largest_magnitude(x, kRowBlock));
}

// Two vectors of integers, as words in their order.
inline __m256i pack_words(__m256i first, __m256i second) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), _MM_SHUFFLE(3, 1, 2, 0));
}

}  // namespace
}  // namespace puna::core
