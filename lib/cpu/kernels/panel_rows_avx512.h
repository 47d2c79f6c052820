// Activations of many rows as the AVX-512 panel kernel takes them.
//
// Rows are in groups of 16; a last one of 8 rows or fewer is a group of 8. A group is a sequence of
// blocks of 32 columns; rows beyond the last are zeros.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kRowBlock = 32;

// x = scale * byte
template <int32_t kRows>
struct alignas(32) PackedBlock {
    int8_t bytes[kRowBlock / 4][kRows][4];
    float scales[kRows];
    int32_t sums[2][kRows];  // of the bytes of each half
};

// A block of n_rows rows, a multiple of 8.
inline int64_t packed_bytes(int64_t n_rows) {
    constexpr auto kRowBytes = static_cast<int64_t>(sizeof(PackedBlock<16>) / 16);
    static_assert(sizeof(PackedBlock<8>) == 8 * kRowBytes);
    return kRowBytes * n_rows;
}

struct Rows16 {
    static constexpr int32_t kRows = 16;
    using Ints = __m512i;
    using Floats = __m512;
    static Floats zero() { return _mm512_setzero_ps(); }
    static Ints splat(int32_t value) { return _mm512_set1_epi32(value); }
    static Floats splat(float value) { return _mm512_set1_ps(value); }
    static Ints load(const int8_t (*at)[4]) { return _mm512_loadu_si512(at); }
    static Floats load(const float* at) { return _mm512_loadu_ps(at); }
    static void store(float* at, Floats v) { _mm512_store_ps(at, v); }
    static Ints load(const int32_t* at) { return _mm512_loadu_si512(at); }
    static Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
    template <int32_t kFactor>
    static Ints minus_times(Ints v) {
        static_assert((kFactor & (kFactor - 1)) == 0);
        return _mm512_sub_epi32(_mm512_setzero_si512(),
                                _mm512_slli_epi32(v, __builtin_ctz(kFactor)));
    }
    static Ints add_products(Ints sum, Ints w, Ints x) { return _mm512_dpbusd_epi32(sum, w, x); }
    static Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
};

struct Rows8 {
    static constexpr int32_t kRows = 8;
    using Ints = __m256i;
    using Floats = __m256;
    static Floats zero() { return _mm256_setzero_ps(); }
    static Ints splat(int32_t value) { return _mm256_set1_epi32(value); }
    static Floats splat(float value) { return _mm256_set1_ps(value); }
    static Ints load(const int8_t (*at)[4]) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    }
    static Floats load(const float* at) { return _mm256_loadu_ps(at); }
    static void store(float* at, Floats v) { _mm256_store_ps(at, v); }
    static Ints load(const int32_t* at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    }
    static Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
    template <int32_t kFactor>
    static Ints minus_times(Ints v) {
        static_assert((kFactor & (kFactor - 1)) == 0);
        return _mm256_sub_epi32(_mm256_setzero_si256(),
                                _mm256_slli_epi32(v, __builtin_ctz(kFactor)));
    }
    static Ints add_products(Ints sum, Ints w, Ints x) { return _mm256_dpbusd_epi32(sum, w, x); }
    static Floats to_floats(Ints v) { return _mm256_cvtepi32_ps(v); }
    static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace puna::core
