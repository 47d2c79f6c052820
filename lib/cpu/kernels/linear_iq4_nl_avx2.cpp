#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/panel_tile_avx2.h"
#include "cpu/kernels/products_avx2.h"
#include "cpu/kernels/quants_iq4_nl_avx2.h"

namespace puna::core {

void linear_iq4_nl_avx2(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2, IQ4_NL>(block);
}
void panel_iq4_nl_avx2(const PanelBlock& block) {
    multiply_panels<IQ4_NL>(block);
}

}  // namespace puna::core
