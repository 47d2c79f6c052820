#include "cpu/kernels/linear_tile_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, an F16 offset, then 16 bytes; byte i holds the elements i and
// i + 16, 4 bits each.
struct Q4_1 {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 20;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        offset = load_half(block + 2);
        q = block + 4;
    }
    void load(int, __m256 w[kVectors]) const { scale_nibbles(q, scale, offset, w); }

    __m256 scale;
    __m256 offset;
    const uint8_t* q;
};

}  // namespace

void linear_q4_1_avx2(const LinearBlock& block) {
    multiply_block<Q4_1>(block);
}

}  // namespace puna::core
