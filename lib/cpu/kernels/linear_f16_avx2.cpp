#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

struct F16 {
    static constexpr int64_t kElementBytes = 2;
    static constexpr int64_t kBlock = kStep;
    static constexpr int64_t kBlockBytes = kBlock * kElementBytes;

    void begin(const uint8_t* block) { at = block; }
    void load(int, __m256 w[kVectors]) const {
        for (int v = 0; v < kVectors; ++v) {
            w[v] = _mm256_cvtph_ps(load_16(at + v * kLanes * kElementBytes));
        }
    }

    const uint8_t* at;
};

}  // namespace

void linear_f16_avx2(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
