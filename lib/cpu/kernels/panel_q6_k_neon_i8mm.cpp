#include "cpu/kernels/blocks_of_256_neon.h"
#include "cpu/kernels/linear_panel_neon.h"
#include "cpu/kernels/matrix_products_neon_i8mm.h"

namespace puna::core {

void panel_q6_k_neon_i8mm(const PanelBlock& block) {
    multiply_panels<MatrixProducts, Q6_K>(block);
}

}  // namespace puna::core
