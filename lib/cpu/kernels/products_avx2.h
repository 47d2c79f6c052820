// Sums of products of integers, by the instructions of AVX2.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace puna::core {
namespace {

struct ProductsAvx2 {
    // Of words, two in a lane, added to a sum.
    static __m256i add_products(__m256i sum, __m256i a, __m256i b) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    // Of two vectors of unsigned bytes and words in two parts, 256 * high + low: eight in a lane. Words hold the sums
    // of four products of bytes.
    static __m256i multiply_parts(const __m256i (&bytes)[2], const __m256i (&high)[2],
                                  const __m256i (&low)[2]) {
        return add_products(_mm256_madd_epi16(words(bytes, high), _mm256_set1_epi16(256)),
                            words(bytes, low), _mm256_set1_epi16(1));
    }

  private:
    static __m256i words(const __m256i (&bytes)[2], const __m256i (&x)[2]) {
        return _mm256_add_epi16(_mm256_maddubs_epi16(bytes[0], x[0]),
                                _mm256_maddubs_epi16(bytes[1], x[1]));
    }
};

}  // namespace
}  // namespace puna::core
