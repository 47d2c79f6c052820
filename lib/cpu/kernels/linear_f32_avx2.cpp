#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kElementBytes = 4;
    static constexpr int64_t kBlock = kStep;
    static constexpr int64_t kBlockBytes = kBlock * kElementBytes;

    void begin(const uint8_t* block) { at = block; }
    void load(int, __m256 w[kVectors]) const {
        for (int v = 0; v < kVectors; ++v) {
            w[v] = _mm256_castsi256_ps(load_32(at + v * kLanes * kElementBytes));
        }
    }

    const uint8_t* at;
};

}  // namespace

void linear_f32_avx2(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
