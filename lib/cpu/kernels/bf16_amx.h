// Floats as bf16: rounded to the nearest, ties to even; denormals become zeros.
#pragma once

#include <cstdint>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kStep = 32;  // elements of a row of a tile

// 32 elements in order.
inline __m512i to_bf16(__m512 low, __m512 high) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Words 0 .. 15 and 16 .. 31 of a vector, in turn. As bytes: of words the shuffle takes twice as many operations.
inline __m512i interleave(__m512i words) {
    struct Places {
        alignas(64) uint8_t of[64];
    };
    static constexpr Places kOrder = [] {
        Places order = {};
        for (int i = 0; i < 64; ++i) {
            order.of[i] = static_cast<uint8_t>(i / 2 % 2 * 32 + i / 4 * 2 + i % 2);
        }
        return order;
    }();
    return _mm512_permutexvar_epi8(_mm512_load_si512(kOrder.of), words);
}

// Of 16 elements from `first` on, those before n.
inline __mmask16 lanes_before(int64_t n, int64_t first) {
    const int64_t left = n - first;
    return static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
}

}  // namespace
}  // namespace puna::core
