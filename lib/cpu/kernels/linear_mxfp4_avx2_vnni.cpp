#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_mxfp4_avx2.h"

namespace puna::core {

void linear_mxfp4_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, MXFP4>(block);
}
void panel_mxfp4_avx2_vnni(const PanelBlock& block) {
    multiply_panels<MXFP4>(block);
}

}  // namespace puna::core
