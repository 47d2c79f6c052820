#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

struct F32 {
    static constexpr int64_t kBytesPerStep = 4 * kStep;

    static void load_step(const uint8_t* row, int64_t j, __m512 w[kVectors]) {
        for (int v = 0; v < kVectors; ++v) w[v] = _mm512_loadu_ps(row + 4 * (j + v * kLanes));
    }
    static __m512 load_tail(const uint8_t* row, int64_t j, __mmask16 lanes) {
        return _mm512_maskz_loadu_ps(lanes, row + 4 * j);
    }
};

}  // namespace

void linear_f32_avx512(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
