#include "cpu/kernels/blocks_of_32_neon.h"
#include "cpu/kernels/linear_panel_neon.h"
#include "cpu/kernels/matrix_products_neon_i8mm.h"

namespace puna::core {

void panel_q5_1_neon_i8mm(const PanelBlock& block) {
    multiply_panels<MatrixProducts, Q5_1>(block);
}

}  // namespace puna::core
