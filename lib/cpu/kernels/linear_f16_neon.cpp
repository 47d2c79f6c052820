#include "cpu/kernels/linear_tile_neon.h"

namespace puna::core {
namespace {

struct F16 {
    static constexpr int64_t kBytes = 2;

    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; v += 2) {
            const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(at + 8 * v));
            w[v] = vcvt_f32_f16(vget_low_f16(halves));
            w[v + 1] = vcvt_high_f32_f16(halves);
        }
    }
};

}  // namespace

void linear_f16_neon(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
