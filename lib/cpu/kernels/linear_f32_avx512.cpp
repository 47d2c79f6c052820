#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytes = 4;

    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; ++v) w[v] = _mm512_loadu_ps(at + 4 * kLanes * v);
    }
};

}  // namespace

void linear_f32_avx512(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
