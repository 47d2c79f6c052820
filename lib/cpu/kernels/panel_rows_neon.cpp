#include "cpu/kernels/panel_rows_neon.h"

#include <arm_neon.h>

#include <cfloat>
#include <cmath>

#include "cpu/kernels.h"

namespace puna::core {
namespace {

constexpr int64_t kRowBlock = 32;
// Blocks that hold nothing above it count as zeros: the inverse of their scale would overflow.
constexpr float kLeast = 0x1p-100f;

// Eight rounded products.
int8x8_t to_bytes(const float* x, float factor) {
    const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), factor));
    const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), factor));
    return vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
}

// Row `row` of a block, from 32 elements. Infinity and NaN become NaN.
void pack_block(const float* x, int32_t row, PackedBlock& block) {
    // As integers, magnitudes are ordered like floats, and NaN is the largest.
    uint32x4_t largest = vdupq_n_u32(0);
    for (int64_t j = 0; j < kRowBlock; j += 4) {
        largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + j))));
    }
    const float magnitude =
        vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(largest))), 0);
    const float scale = magnitude <= FLT_MAX ? magnitude * (1.0f / 127.0f) : NAN;
    const float factor = magnitude < kLeast ? 0.0f : 127.0f / magnitude;
    int32_t sums[2] = {};
    for (int i = 0; i < 4; ++i) {
        const int8x8_t bytes = to_bytes(x + 8 * i, factor);
        vst1_s8(block.bytes[i][row / 2][row % 2], bytes);
        sums[i / 2] += vaddlv_s8(bytes);
    }
    block.scales[row] = scale;
    block.sums[0][row] = static_cast<float>(sums[0]) * scale;
    block.sums[1][row] = static_cast<float>(sums[1]) * scale;
}

}  // namespace

void pack_rows_neon(const float* x, int64_t x_stride, int64_t n_in, int32_t n_rows, void* group) {
    auto* blocks = static_cast<PackedBlock*>(group);
    const float zeros[kRowBlock] = {};
    for (int32_t r = 0; r < kGroupRows; ++r) {
        for (int64_t b = 0; b < n_in / kRowBlock; ++b) {
            pack_block(r < n_rows ? x + r * x_stride + b * kRowBlock : zeros, r, blocks[b]);
        }
    }
}

int64_t packed_bytes_neon(int64_t n_rows) {
    return (n_rows + kGroupRows - 1) / kGroupRows * static_cast<int64_t>(sizeof(PackedBlock));
}

}  // namespace puna::core
