#include "cpu/kernels/linear_tile_avx512.h"

namespace puna::core {
namespace {

// The upper halves of floats.
struct BF16 {
    static constexpr int64_t kBytes = 2;

    static __m512 to_floats(__m256i bits) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
    }
    static void load(const uint8_t* at, Step& w) {
        for (int v = 0; v < kVectors; ++v) {
            const uint8_t* vector = at + 2 * kLanes * v;
            w[v] = to_floats(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(vector)));
        }
    }
};

}  // namespace

void linear_bf16_avx512(const LinearBlock& block) {
    multiply_block<BF16>(block);
}

}  // namespace puna::core
