#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_q5_1_avx2.h"

namespace puna::core {

void linear_q5_1_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q5_1>(block);
}
void panel_q5_1_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q5_1>(block);
}

}  // namespace puna::core
