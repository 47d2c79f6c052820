#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// The upper halves of floats.
struct BF16 {
    static constexpr int64_t kBytes = 2;

    static void load(const uint8_t* at, __m256 w[kVectors]) {
        for (int v = 0; v < kVectors; ++v) {
            const __m256i halves = _mm256_cvtepu16_epi32(load_16(at + v * kLanes * kBytes));
            w[v] = _mm256_castsi256_ps(_mm256_slli_epi32(halves, 16));
        }
    }
};

}  // namespace

void linear_bf16_avx2(const LinearBlock& block) {
    multiply_block<BF16>(block);
}

}  // namespace puna::core
