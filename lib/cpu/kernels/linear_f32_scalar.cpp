#include <cstring>

#include "cpu/kernels/linear_tile_scalar.h"

namespace puna::core {
namespace {

struct F32 {
    static void load(const uint8_t* row, int64_t j, int64_t count, float* w) {
        std::memcpy(w, row + 4 * j, static_cast<size_t>(4 * count));
    }
};

}  // namespace

void linear_f32_scalar(const LinearBlock& block) {
    multiply_block<F32>(block);
}

}  // namespace puna::core
