// Products by sdot: a vector of results is one activation row by the four weight rows of a quartet.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace puna::core {
namespace {

struct DotProducts {
    // [columns 4 i .. 4 i + 3 of a block][weight row]
    static void store(const int8x16_t (&rows)[4], int half, int8_t* quartet) {
        int32x4x4_t fours;
        for (int r = 0; r < 4; ++r) fours.val[r] = vreinterpretq_s32_s8(rows[r]);
        vst4q_s32(reinterpret_cast<int32_t*>(quartet + 64 * half), fours);
    }
    template <int kEight, int32_t kRows>
    [[gnu::always_inline]] static void add(const int8_t* quartet, const int8x16_t (&x)[kRows / 2],
                                           int32x4_t (&sums)[kRows]) {
        const int8x16_t first = vld1q_s8(quartet + 32 * kEight);
        const int8x16_t second = vld1q_s8(quartet + 32 * kEight + 16);
        for (int32_t p = 0; p < kRows / 2; ++p) {
            sums[2 * p] = vdotq_laneq_s32(sums[2 * p], first, x[p], 0);
            sums[2 * p + 1] = vdotq_laneq_s32(sums[2 * p + 1], first, x[p], 2);
        }
        for (int32_t p = 0; p < kRows / 2; ++p) {
            sums[2 * p] = vdotq_laneq_s32(sums[2 * p], second, x[p], 1);
            sums[2 * p + 1] = vdotq_laneq_s32(sums[2 * p + 1], second, x[p], 3);
        }
    }
    template <int kVector>
    static float32x4_t of_weights(const float* four) {
        return vld1q_f32(four);
    }
    template <int kVector>
    static float32x4_t of_rows(float32x4_t four) {
        return vdupq_laneq_f32(four, kVector);
    }
    template <int kVector>
    static void store_results(float32x4_t v, float* y, int64_t stride) {
        vst1q_f32(y + kVector * stride, v);
    }
};

}  // namespace
}  // namespace puna::core
