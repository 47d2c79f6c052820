#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/quants_q6_k_avx512.h"

namespace puna::core {

void linear_q6_k_avx512_gfni(const LinearBlock& block) {
    multiply_blocks<Q6_K>(block);
}

}  // namespace puna::core
