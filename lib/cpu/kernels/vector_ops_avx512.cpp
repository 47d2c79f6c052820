#include <cmath>

#include "cpu/kernels.h"
#include "cpu/kernels/exp_avx512.h"
#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 16;

inline __mmask16 lanes_left(int64_t left) {
    return static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
}

}  // namespace

float softmax_avx512(float* x, int32_t n, float* largest) {
    __m512 top = _mm512_set1_ps(x[0]);
    for (int32_t i = 0; i < n; i += kLanes) {
        const __mmask16 lanes = lanes_left(n - i);
        top = _mm512_mask_max_ps(top, lanes, top, _mm512_maskz_loadu_ps(lanes, x + i));
    }
    *largest = _mm512_reduce_max_ps(top);
    top = _mm512_set1_ps(*largest);
    __m512 sum = _mm512_setzero_ps();
    for (int32_t i = 0; i < n; i += kLanes) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), top));
        _mm512_mask_storeu_ps(x + i, lanes, e);
        sum = _mm512_mask_add_ps(sum, lanes, sum, e);
    }
    return _mm512_reduce_add_ps(sum);
}

void norm_rms_avx512(const float* x, const float* gain, int64_t n, float epsilon, float* out) {
    __m512d low = _mm512_setzero_pd();
    __m512d high = _mm512_setzero_pd();
    for (int64_t i = 0; i < n; i += kLanes) {
        const __m512 v = _mm512_maskz_loadu_ps(lanes_left(n - i), x + i);
        const __m512d first = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
        const __m512d second = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
        low = _mm512_fmadd_pd(first, first, low);
        high = _mm512_fmadd_pd(second, second, high);
    }
    const double squares = _mm512_reduce_add_pd(_mm512_add_pd(low, high));
    const __m512 scale =
        _mm512_set1_ps(static_cast<float>(1.0 / sqrt(squares / static_cast<double>(n) + epsilon)));
    for (int64_t i = 0; i < n; i += kLanes) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), scale);
        _mm512_mask_storeu_ps(out + i, lanes,
                              _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(lanes, gain + i)));
    }
}

void activation_silu_avx512(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) {
        const __mmask16 lanes = lanes_left(n - i);
        const __m512 silu = silu_ps(_mm512_maskz_loadu_ps(lanes, gate + i));
        _mm512_mask_storeu_ps(gate + i, lanes,
                              _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(lanes, up + i)));
    }
}

}  // namespace puna::core
