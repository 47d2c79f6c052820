#include <cmath>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_avx2.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 8;

// 2 to the power of each n, for -127 < n < 128.
inline __m256 power_of_2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// exp(x) with a relative error below 2e-7: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by the
// polynomial of Taylor's series to r^7 (the next term is below 6e-9), times 2^n. Underflows to
// subnormals and zero, overflows to infinity, keeps NaN.
inline __m256 exp_ps(__m256 x) {
    // Beyond these the result is 0 or infinity anyway; n must stay small enough for the steps of
    // the reduction to be exact. A NaN in the second operand of min and max passes through.
    x = _mm256_max_ps(_mm256_set1_ps(-150.0f), x);
    x = _mm256_min_ps(_mm256_set1_ps(150.0f), x);
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln 2 in two parts, the first short enough for n times it to be exact.
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 e = _mm256_set1_ps(1.0f / 5040.0f);
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 720.0f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 120.0f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 24.0f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f / 6.0f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(0.5f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f));
    e = _mm256_fmadd_ps(e, r, _mm256_set1_ps(1.0f));
    // Twice half of n: 2^n itself may be beyond what a float holds. Only the second step rounds.
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    e = _mm256_mul_ps(e, power_of_2(half));
    return _mm256_mul_ps(e, power_of_2(_mm256_sub_epi32(whole, half)));
}

inline float largest_lane(__m256 v) {
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
}

inline double sum_lanes(__m256d v) {
    const __m128d sum = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(sum, _mm_unpackhi_pd(sum, sum)));
}

}  // namespace

float softmax_avx2(float* x, int32_t n, float* largest) {
    __m256 top = _mm256_set1_ps(x[0]);
    for (int32_t i = 0; i < n; i += kLanes) {
        const __m256 lanes = _mm256_castsi256_ps(first_lanes(n - i));
        top = _mm256_max_ps(top, _mm256_blendv_ps(top, load_lanes(x + i, n - i), lanes));
    }
    *largest = largest_lane(top);
    top = _mm256_set1_ps(*largest);
    __m256 sum = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i += kLanes) {
        const __m256 lanes = _mm256_castsi256_ps(first_lanes(n - i));
        const __m256 e = exp_ps(_mm256_sub_ps(load_lanes(x + i, n - i), top));
        store_lanes(x + i, n - i, e);
        sum = _mm256_add_ps(sum, _mm256_and_ps(e, lanes));
    }
    return sum_lanes(sum);
}

void norm_rms_avx2(const float* x, const float* gain, int64_t n, float epsilon, float* out) {
    __m256d low = _mm256_setzero_pd();
    __m256d high = _mm256_setzero_pd();
    for (int64_t i = 0; i < n; i += kLanes) {
        const __m256 v = load_lanes(x + i, n - i);
        const __m256d first = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
        const __m256d second = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
        low = _mm256_fmadd_pd(first, first, low);
        high = _mm256_fmadd_pd(second, second, high);
    }
    const double squares = sum_lanes(_mm256_add_pd(low, high));
    const __m256 scale =
        _mm256_set1_ps(static_cast<float>(1.0 / sqrt(squares / static_cast<double>(n) + epsilon)));
    for (int64_t i = 0; i < n; i += kLanes) {
        const __m256 scaled = _mm256_mul_ps(load_lanes(x + i, n - i), scale);
        store_lanes(out + i, n - i, _mm256_mul_ps(scaled, load_lanes(gain + i, n - i)));
    }
}

void activation_silu_avx2(float* gate, const float* up, int64_t n) {
    const __m256 one = _mm256_set1_ps(1.0f);
    for (int64_t i = 0; i < n; i += kLanes) {
        const __m256 g = load_lanes(gate + i, n - i);
        const __m256 e = exp_ps(_mm256_sub_ps(_mm256_setzero_ps(), g));
        const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, e));
        store_lanes(gate + i, n - i, _mm256_mul_ps(silu, load_lanes(up + i, n - i)));
    }
}

namespace {

void scale_lanes(float* x, int64_t n, __m256 scale) {
    for (int64_t i = 0; i < n; i += kLanes) {
        store_lanes(x + i, n - i, _mm256_mul_ps(load_lanes(x + i, n - i), scale));
    }
}

}  // namespace

void rope_pairs_avx2(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head) {
    const __m256 factor = _mm256_set1_ps(scale);
    const int64_t n = 2 * n_pairs;
    for (int64_t i = 0; i < n; i += kLanes) {
        const __m256 pairs = load_lanes(head + i, n - i);
        const __m256 angles = load_lanes(table + i, n - i);
        const __m256 by_cosine = _mm256_mul_ps(pairs, _mm256_moveldup_ps(angles));
        const __m256 by_sine =
            _mm256_mul_ps(_mm256_permute_ps(pairs, 0xb1), _mm256_movehdup_ps(angles));
        const __m256 turned = _mm256_addsub_ps(by_cosine, by_sine);
        store_lanes(head + i, n - i, _mm256_mul_ps(turned, factor));
    }
    scale_lanes(head + n, dim - n, factor);
}

void rope_halves_avx2(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head) {
    const __m256 factor = _mm256_set1_ps(scale);
    for (int64_t i = 0; i < n_pairs; i += kLanes) {
        const int64_t left = n_pairs - i;
        const __m256 a = load_lanes(head + i, left);
        const __m256 b = load_lanes(head + n_pairs + i, left);
        // Cosines and sines in the order of pairs 0, 1, 4, 5, 2, 3, 6, 7.
        const __m256 low = load_lanes(table + 2 * i, 2 * left);
        const __m256 high = load_lanes(table + 2 * i + kLanes, 2 * left - kLanes);
        const auto in_order = [](__m256 v) {
            return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
        };
        const __m256 cosine = in_order(_mm256_shuffle_ps(low, high, 0x88));
        const __m256 sine = in_order(_mm256_shuffle_ps(low, high, 0xdd));
        const __m256 first = _mm256_sub_ps(_mm256_mul_ps(a, cosine), _mm256_mul_ps(b, sine));
        const __m256 second = _mm256_add_ps(_mm256_mul_ps(a, sine), _mm256_mul_ps(b, cosine));
        store_lanes(head + i, left, _mm256_mul_ps(first, factor));
        store_lanes(head + n_pairs + i, left, _mm256_mul_ps(second, factor));
    }
    scale_lanes(head + 2 * n_pairs, dim - 2 * n_pairs, factor);
}

}  // namespace puna::core
