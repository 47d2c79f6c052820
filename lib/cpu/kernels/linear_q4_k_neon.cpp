#include "cpu/kernels/blocks_of_256_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_q4_k_neon(const LinearBlock& block) {
    multiply_blocks<Q4_K>(block);
}
void panel_q4_k_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, Q4_K>(block);
}

}  // namespace puna::core
