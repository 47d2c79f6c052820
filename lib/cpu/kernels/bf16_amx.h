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

// Of 16 elements from `first` on, those before n.
inline __mmask16 lanes_before(int64_t n, int64_t first) {
    const int64_t left = n - first;
    return static_cast<__mmask16>(left >= 16 ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
}

}  // namespace
}  // namespace puna::core
