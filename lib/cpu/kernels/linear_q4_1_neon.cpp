#include "cpu/kernels/blocks_of_32_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_q4_1_neon(const LinearBlock& block) {
    multiply_blocks<Q4_1>(block);
}
void panel_q4_1_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, Q4_1>(block);
}

}  // namespace puna::core
