// Formats whose 4-bit numbers are places in a table.
#pragma once

#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// The table of IQ4_NL and IQ4_XS.
inline __m128i uneven_steps() {
    return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

// w = scale * table[q]: the lower 4 bits of 16 bytes go to w[0] and w[1], the upper ones to w[2]
// and w[3].
inline void scale_places(__m128i q, __m128i table, __m256 scale, __m256 w[kVectors]) {
    scale_bytes(_mm_shuffle_epi8(table, low_nibbles(q)), scale, w);
    scale_bytes(_mm_shuffle_epi8(table, high_nibbles(q)), scale, w + 2);
}

}  // namespace
}  // namespace puna::core
