// RoPE on one head.
#pragma once

#include "cuda/device_math.cuh"
#include "puna/puna_backend.h"

namespace puna::cuda {

// Cosine and sine of the turn of a pair, times the magnitude. In double: the angle of a late position has
// no digits to lose.
__device__ inline float2 rope_turn(double frequency, int64_t position, float magnitude) {
    double sine;
    double cosine;
    sincos(static_cast<double>(position) * frequency, &sine, &cosine);
    return make_float2(static_cast<float>(cosine * static_cast<double>(magnitude)),
                       static_cast<float>(sine * static_cast<double>(magnitude)));
}

// Turns pair i of a head in place.
__device__ inline void turn_pair(int32_t rope, int32_t rope_dim, int32_t i, const float2& turn,
                                 float* head) {
    const int32_t first = rope == PUNA_ROPE_PAIRS ? 2 * i : i;
    const int32_t second = rope == PUNA_ROPE_PAIRS ? first + 1 : i + rope_dim / 2;
    const float a = head[first];
    const float b = head[second];
    head[first] = __fmaf_rn(-b, turn.y, __fmul_rn(a, turn.x));
    head[second] = __fmaf_rn(a, turn.y, __fmul_rn(b, turn.x));
}

}  // namespace puna::cuda
