#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

struct F16 {
    static constexpr int64_t kBytesPerStep = 2 * kStep;

    static void load_step(const uint8_t* row, int64_t j, __m512 w[kVectors]) {
        for (int v = 0; v < kVectors; ++v) {
            const uint8_t* at = row + 2 * (j + v * kLanes);
            w[v] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
        }
    }
    static __m512 load_tail(const uint8_t* row, int64_t j, __mmask16 lanes) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, row + 2 * j));
    }
};

}  // namespace

void linear_f16_avx512(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
