#pragma once

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

// 2^x within 3e-6 of its size; 0 of minus infinity, NaN of NaN. scalef takes the whole part of x, the
// polynomial its fraction: coefficients by Remez' algorithm, for relative errors on [0, 1).
inline __m512 exp2_of(__m512 x) {
    const __m512 fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 power = _mm512_set1_ps(0.01353417f);
    power = _mm512_fmadd_ps(power, fraction, _mm512_set1_ps(0.05201146f));
    power = _mm512_fmadd_ps(power, fraction, _mm512_set1_ps(0.24144276f));
    power = _mm512_fmadd_ps(power, fraction, _mm512_set1_ps(0.69300383f));
    power = _mm512_fmadd_ps(power, fraction, _mm512_set1_ps(1.00000259f));
    return _mm512_scalef_ps(power, x);
}

// A NaN in the second operand of min and max passes through.
inline __m512 clamp(__m512 x, float least, float most) {
    return _mm512_min_ps(_mm512_set1_ps(most), _mm512_max_ps(_mm512_set1_ps(least), x));
}

// exp(x) with a relative error below 2e-7: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by the
// polynomial of Taylor's series to r^7 (the next term is below 6e-9), times 2^n. Underflows to
// subnormals and zero, overflows to infinity, keeps NaN. |x| is at most 150: n must stay small enough
// for the steps of the reduction to be exact.
inline __m512 exp_of(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln 2 in two parts, the first short enough for n times it to be exact.
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    __m512 e = _mm512_set1_ps(1.0f / 5040.0f);
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 720.0f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 120.0f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 24.0f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f / 6.0f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(0.5f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f));
    e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(e, n);
}

// The same of any x: beyond 150 the result is 0 or infinity anyway.
inline __m512 exp_ps(__m512 x) {
    return exp_of(clamp(x, -150.0f, 150.0f));
}

// x / (1 + exp(-x)). Beyond 87, where that is x, exp(-x) could be subnormal, which takes a Xeon 6 twenty times as
// long.
inline __m512 silu_ps(__m512 x) {
    const __m512 e = exp_of(clamp(_mm512_sub_ps(_mm512_setzero_ps(), x), -87.0f, 150.0f));
    return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

}  // namespace
}  // namespace puna::core
