#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_q6_k_avx2.h"

namespace puna::core {

void linear_q6_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q6_K>(block);
}
void panel_q6_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q6_K>(block);
}

}  // namespace puna::core
