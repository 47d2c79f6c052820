#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

struct F16 {
    static constexpr int64_t kBytes = 2;

    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; ++v) {
            const uint8_t* vector = at + 2 * kLanes * v;
            w[v] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(vector)));
        }
    }
};

}  // namespace

void linear_f16_avx512(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
