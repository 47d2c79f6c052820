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

}  // namespace
}  // namespace puna::core
