#include <cmath>

#include "cpu/kernels.h"
#include "cpu/kernels/lanes_neon.h"

namespace puna::core {
namespace {

constexpr int64_t kLanes = 4;

// 2 to the power of each n, for -127 < n < 128.
inline float32x4_t power_of_2(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

// exp(x) with a relative error below 2e-7: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by the
// polynomial of Taylor's series to r^7 (the next term is below 6e-9), times 2^n. Underflows to
// subnormals and zero, overflows to infinity, keeps NaN.
inline float32x4_t exp_ps(float32x4_t x) {
    // Beyond these the result is 0 or infinity anyway; n must stay small enough for the steps of
    // the reduction to be exact.
    x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-150.0f)), vdupq_n_f32(150.0f));
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    // ln 2 in two parts, the first short enough for n times it to be exact.
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0x1.62e4p-1f));
    r = vfmsq_f32(r, n, vdupq_n_f32(0x1.7f7d1cp-20f));
    float32x4_t e = vdupq_n_f32(1.0f / 5040.0f);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 720.0f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 120.0f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 24.0f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f / 6.0f), e, r);
    e = vfmaq_f32(vdupq_n_f32(0.5f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f), e, r);
    e = vfmaq_f32(vdupq_n_f32(1.0f), e, r);
    // Twice half of n: 2^n itself may be beyond what a float holds. Only the second step rounds.
    const int32x4_t whole = vcvtq_s32_f32(n);
    const int32x4_t half = vshrq_n_s32(whole, 1);
    e = vmulq_f32(e, power_of_2(half));
    return vmulq_f32(e, power_of_2(vsubq_s32(whole, half)));
}

}  // namespace

float softmax_neon(float* x, int32_t n, float* largest) {
    float32x4_t tops = vdupq_n_f32(x[0]);
    int32_t i = 0;
    for (; i + kLanes <= n; i += kLanes) tops = vmaxq_f32(tops, vld1q_f32(x + i));
    float top = vmaxvq_f32(tops);
    for (; i < n; ++i) top = x[i] > top ? x[i] : top;
    *largest = top;
    float32x4_t sums = vdupq_n_f32(0.0f);
    for (i = 0; i < n; i += kLanes) {
        const int32_t left = n - i;
        const float32x4_t e = exp_ps(vsubq_f32(load_lanes(x + i, left), vdupq_n_f32(top)));
        store_lanes(x + i, left, e);
        sums = vaddq_f32(sums, left < kLanes ? load_lanes(x + i, left) : e);
    }
    return vaddvq_f32(sums);
}

void norm_rms_neon(const float* x, const float* gain, int64_t n, float epsilon, float* out) {
    float64x2_t low = vdupq_n_f64(0.0);
    float64x2_t high = vdupq_n_f64(0.0);
    for (int64_t i = 0; i < n; i += kLanes) {
        const float32x4_t v = load_lanes(x + i, n - i);
        const float64x2_t first = vcvt_f64_f32(vget_low_f32(v));
        const float64x2_t second = vcvt_high_f64_f32(v);
        low = vfmaq_f64(low, first, first);
        high = vfmaq_f64(high, second, second);
    }
    const double squares = vaddvq_f64(vaddq_f64(low, high));
    const auto scale = static_cast<float>(1.0 / sqrt(squares / static_cast<double>(n) + epsilon));
    for (int64_t i = 0; i < n; i += kLanes) {
        const float32x4_t scaled = vmulq_n_f32(load_lanes(x + i, n - i), scale);
        store_lanes(out + i, n - i, vmulq_f32(scaled, load_lanes(gain + i, n - i)));
    }
}

void activation_silu_neon(float* gate, const float* up, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes) {
        const float32x4_t g = load_lanes(gate + i, n - i);
        const float32x4_t e = exp_ps(vnegq_f32(g));
        const float32x4_t silu = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), e));
        store_lanes(gate + i, n - i, vmulq_f32(silu, load_lanes(up + i, n - i)));
    }
}

namespace {

// Some pairs, of which a holds the first and b the second elements; angles: cosines and sines.
inline float32x4x2_t turned(float32x4_t a, float32x4_t b, float32x4x2_t angles, float scale) {
    const float32x4_t cosine = angles.val[0];
    const float32x4_t sine = angles.val[1];
    const float32x4_t first = vsubq_f32(vmulq_f32(a, cosine), vmulq_f32(b, sine));
    const float32x4_t second = vaddq_f32(vmulq_f32(a, sine), vmulq_f32(b, cosine));
    return {{vmulq_n_f32(first, scale), vmulq_n_f32(second, scale)}};
}

void scale_lanes(float* x, int64_t n, float scale) {
    for (int64_t i = 0; i < n; i += kLanes) {
        store_lanes(x + i, n - i, vmulq_n_f32(load_lanes(x + i, n - i), scale));
    }
}

}  // namespace

void rope_pairs_neon(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head) {
    int64_t i = 0;
    for (; i + kLanes <= n_pairs; i += kLanes) {
        const float32x4x2_t pairs = vld2q_f32(head + 2 * i);
        vst2q_f32(head + 2 * i,
                  turned(pairs.val[0], pairs.val[1], vld2q_f32(table + 2 * i), scale));
    }
    rope_pairs_scalar(table + 2 * i, n_pairs - i, 2 * (n_pairs - i), scale, head + 2 * i);
    scale_lanes(head + 2 * n_pairs, dim - 2 * n_pairs, scale);
}

void rope_halves_neon(const float* table, int64_t n_pairs, int64_t dim, float scale, float* head) {
    for (int64_t i = 0; i < n_pairs; i += kLanes) {
        const int64_t left = n_pairs - i;
        const float32x4_t low = load_lanes(table + 2 * i, 2 * left);
        const int64_t n_high = left > kLanes / 2 ? 2 * left - kLanes : 0;
        const float32x4_t high = load_lanes(table + 2 * i + kLanes, n_high);
        const float32x4x2_t both =
            turned(load_lanes(head + i, left), load_lanes(head + n_pairs + i, left),
                   vuzpq_f32(low, high), scale);
        store_lanes(head + i, left, both.val[0]);
        store_lanes(head + n_pairs + i, left, both.val[1]);
    }
    scale_lanes(head + 2 * n_pairs, dim - 2 * n_pairs, scale);
}

}  // namespace puna::core
