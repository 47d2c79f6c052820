#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/products_avx2_vnni.h"
#include "cpu/kernels/quants_iq4_xs_avx2.h"

namespace puna::core {

void linear_iq4_xs_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, IQ4_XS>(block);
}
void panel_iq4_xs_avx2_vnni(const PanelBlock& block) {
    multiply_panels<IQ4_XS>(block);
}

}  // namespace puna::core
