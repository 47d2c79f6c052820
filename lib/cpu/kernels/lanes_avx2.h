// Vectors of AVX2: loads, parts of 8 floats, and their sum.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace puna::core {
namespace {

inline __m128i load_16(const uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
inline __m256i load_32(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
inline __m256i load_vector(const void* aligned) {
    return _mm256_load_si256(static_cast<const __m256i*>(aligned));
}

// All ones in the first `left` lanes, zeros in the others.
inline __m256i first_lanes(int64_t left) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(left < 8 ? static_cast<int32_t>(left) : 8), lane);
}

// The 8 floats at `at`, or the `left` that are there and zeros.
inline __m256 load_lanes(const float* at, int64_t left) {
    return left >= 8 ? _mm256_loadu_ps(at) : _mm256_maskload_ps(at, first_lanes(left));
}

// Stores no more than `left` of the 8 lanes.
inline void store_lanes(float* at, int64_t left, __m256 v) {
    if (left >= 8) {
        _mm256_storeu_ps(at, v);
    } else {
        _mm256_maskstore_ps(at, first_lanes(left), v);
    }
}

// Makes the compiler add up in the order that is written: it would rather multiply first, and store
// products until it adds them.
inline void add_now(__m256i& sum) {
    __asm__("" : "+x"(sum));
}

inline float sum_lanes(__m256 v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

}  // namespace
}  // namespace puna::core
