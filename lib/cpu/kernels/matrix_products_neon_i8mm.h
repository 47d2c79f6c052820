// Products by smmla: a vector of results is a pair of activation rows by a pair of weight rows of a
// quartet, {x0 w0, x0 w1, x1 w0, x1 w1}.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace puna::core {
namespace {

struct MatrixProducts {
    // [pair][columns 8 i .. 8 i + 7 of a block][weight row of the pair]
    static void store(const int8x16_t (&rows)[4], int half, int8_t* quartet) {
        for (int pair = 0; pair < 2; ++pair, quartet += 64) {
            const int64x2_t a = vreinterpretq_s64_s8(rows[2 * pair]);
            const int64x2_t b = vreinterpretq_s64_s8(rows[2 * pair + 1]);
            vst1q_s8(quartet + 32 * half, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
            vst1q_s8(quartet + 32 * half + 16, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
        }
    }
    template <int kEight, int32_t kRows>
    [[gnu::always_inline]] static void add(const int8_t* quartet, const int8x16_t (&x)[kRows / 2],
                                           int32x4_t (&sums)[kRows]) {
        for (int32_t pair = 0; pair < 2; ++pair) {
            const int8x16_t w = vld1q_s8(quartet + 64 * pair + 16 * kEight);
            for (int32_t p = 0; p < kRows / 2; ++p) {
                sums[2 * p + pair] = vmmlaq_s32(sums[2 * p + pair], x[p], w);
            }
        }
    }
    template <int kVector>
    static float32x4_t of_weights(const float* four) {
        double pair;
        std::memcpy(&pair, four + kVector % 2 * 2, sizeof pair);
        return vreinterpretq_f32_f64(vdupq_n_f64(pair));
    }
    template <int kVector>
    static float32x4_t of_rows(float32x4_t four) {
        return kVector / 2 == 0 ? vzip1q_f32(four, four) : vzip2q_f32(four, four);
    }
    template <int kVector>
    static void store_results(float32x4_t v, float* y, int64_t stride) {
        y += kVector / 2 * 2 * stride + kVector % 2 * 2;
        vst1_f32(y, vget_low_f32(v));
        vst1_f32(y + stride, vget_high_f32(v));
    }
};

}  // namespace
}  // namespace puna::core
