#include "cpu/kernels/half_scalar.h"
#include "cpu/kernels/linear_tile_scalar.h"

namespace puna::core {
namespace {

struct F16 {
    static void load(const uint8_t* row, int64_t j, int64_t count, float* w) {
        load_halves(row + 2 * j, count, w);
    }
};

}  // namespace

void linear_f16_scalar(const LinearBlock& block) {
    multiply_block<F16>(block);
}

}  // namespace puna::core
