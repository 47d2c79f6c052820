#include "cpu/kernels/linear_tile_neon.h"

namespace puna::core {
namespace {

// The upper halves of floats.
struct BF16 {
    static constexpr int64_t kBytes = 2;

    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; v += 2) {
            const uint16x8_t bits = vreinterpretq_u16_u8(vld1q_u8(at + 8 * v));
            w[v] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bits), 16));
            w[v + 1] = vreinterpretq_f32_u32(vshll_high_n_u16(bits, 16));
        }
    }
};

}  // namespace

void linear_bf16_neon(const LinearBlock& block) {
    multiply_block<BF16>(block);
}

}  // namespace puna::core
