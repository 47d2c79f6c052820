// Sums of products of integers, by the instructions of AVX-VNNI: see products_avx2.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace puna::core {
namespace {

struct ProductsAvx2Vnni {
    static __m256i add_products(__m256i sum, __m256i a, __m256i b) {
        return _mm256_dpwssd_avx_epi32(sum, a, b);
    }
    static __m256i multiply_parts(const __m256i (&bytes)[2], const __m256i (&high)[2],
                                  const __m256i (&low)[2]) {
        return _mm256_add_epi32(_mm256_slli_epi32(sums(bytes, high), 8), sums(bytes, low));
    }

  private:
    static __m256i sums(const __m256i (&bytes)[2], const __m256i (&x)[2]) {
        const __m256i first = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), bytes[0], x[0]);
        return _mm256_dpbusd_avx_epi32(first, bytes[1], x[1]);
    }
};

}  // namespace
}  // namespace puna::core
