#include "cpu/kernels/blocks_of_32_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_q5_0_neon(const LinearBlock& block) {
    multiply_blocks<Q5_0>(block);
}
void panel_q5_0_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, Q5_0>(block);
}

}  // namespace puna::core
