#include "cpu/kernels/half_scalar.h"
#include "cpu/kernels/linear_tile_scalar.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, then a signed byte per element. The product of the two is
// exact in float.
struct Q8_0 {
    static constexpr int64_t kBlockBytes = 34;
    static_assert(kStep == 32);

    static void load(const uint8_t* row, int64_t j, int64_t count, float* w) {
        const uint8_t* block = row + j / kStep * kBlockBytes;
        float scale;
        load_halves(block, 1, &scale);
        int8_t q[kStep];
        std::memcpy(q, block + 2, sizeof q);
        for (int64_t l = 0; l < count; ++l) w[l] = scale * static_cast<float>(q[l]);
    }
};

}  // namespace

void linear_q8_0_scalar(const LinearBlock& block) {
    multiply_block<Q8_0>(block);
}

}  // namespace puna::core
