#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_q4_k_avx2.h"

namespace puna::core {

void linear_q4_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q4_K>(block);
}
void panel_q4_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q4_K>(block);
}

}  // namespace puna::core
