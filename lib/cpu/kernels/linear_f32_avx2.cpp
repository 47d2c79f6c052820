#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytes = 4;

    static void load(const uint8_t* at, __m256 w[kVectors]) {
        for (int v = 0; v < kVectors; ++v) {
            w[v] = _mm256_castsi256_ps(load_32(at + v * kLanes * kBytes));
        }
    }
};

}  // namespace

void linear_f32_avx2(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
