#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_q8_0_avx2.h"

namespace puna::core {

void linear_q8_0_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q8_0>(block);
}
void panel_q8_0_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q8_0>(block);
}

}  // namespace puna::core
