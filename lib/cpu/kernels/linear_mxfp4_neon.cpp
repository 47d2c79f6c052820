#include "cpu/kernels/blocks_of_32_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_mxfp4_neon(const LinearBlock& block) {
    multiply_blocks<MXFP4>(block);
}
void panel_mxfp4_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, MXFP4>(block);
}

}  // namespace puna::core
