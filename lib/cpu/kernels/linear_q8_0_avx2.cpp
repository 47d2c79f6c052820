#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, then a signed byte per element.
struct Q8_0 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 34;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        q = block + 2;
    }
    void load(int, __m256 w[kVectors]) const {
        for (int v = 0; v < kVectors; ++v) {
            const auto* eight = reinterpret_cast<const __m128i*>(q + v * kLanes);
            w[v] = _mm256_mul_ps(signed_floats(_mm_loadl_epi64(eight)), scale);
        }
    }

    __m256 scale;
    const uint8_t* q;
};

}  // namespace

void linear_q8_0_avx2(const LinearBlock& block) {
    multiply_block<Q8_0>(block);
}

}  // namespace puna::core
