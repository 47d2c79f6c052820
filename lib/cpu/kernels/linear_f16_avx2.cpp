#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

struct F16 {
    static constexpr int64_t kBytes = 2;

    static void load(const uint8_t* at, __m256 w[kVectors]) {
        for (int v = 0; v < kVectors; ++v) {
            w[v] = _mm256_cvtph_ps(load_16(at + v * kLanes * kBytes));
        }
    }
};

}  // namespace

void linear_f16_avx2(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
