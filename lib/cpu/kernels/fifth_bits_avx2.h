// The fifth bits of Q5_0 and Q5_1.
#pragma once

#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// Byte i of the result is all ones where bit i of the 32 at `at` is set, else zero.
inline __m256i load_bit_mask(const uint8_t* at) {
    const __m256i bits = _mm256_set1_epi32(load_word<int32_t>(at));
    const __m256i byte_of = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                               0x0202020202020202, 0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const __m256i spread = _mm256_shuffle_epi8(bits, byte_of);
    return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of);
}

}  // namespace
}  // namespace puna::core
