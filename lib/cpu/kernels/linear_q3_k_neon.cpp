#include "cpu/kernels/blocks_of_256_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_q3_k_neon(const LinearBlock& block) {
    multiply_blocks<Q3_K>(block);
}
void panel_q3_k_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, Q3_K>(block);
}

}  // namespace puna::core
