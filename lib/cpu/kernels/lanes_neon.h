// Vectors of four floats that may reach beyond the end of an array.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace puna::core {
namespace {

// The four floats at `at`, or the `left` that are there and zeros.
inline float32x4_t load_lanes(const float* at, int64_t left) {
    if (left >= 4) return vld1q_f32(at);
    float four[4] = {};
    std::memcpy(four, at, static_cast<size_t>(left) * sizeof(float));
    return vld1q_f32(four);
}

// Stores no more than `left` of the four lanes.
inline void store_lanes(float* at, int64_t left, float32x4_t v) {
    if (left >= 4) {
        vst1q_f32(at, v);
        return;
    }
    float four[4];
    vst1q_f32(four, v);
    std::memcpy(at, four, static_cast<size_t>(left) * sizeof(float));
}

}  // namespace
}  // namespace puna::core
