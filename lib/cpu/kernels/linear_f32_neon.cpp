#include "cpu/kernels/linear_tile_neon.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytes = 4;

    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; ++v) w[v] = vreinterpretq_f32_u8(vld1q_u8(at + 16 * v));
    }
};

}  // namespace

void linear_f32_neon(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
