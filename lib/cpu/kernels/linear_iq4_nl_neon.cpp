#include "cpu/kernels/blocks_of_32_neon.h"
#include "cpu/kernels/dot_products_neon.h"
#include "cpu/kernels/linear_blocks_neon.h"
#include "cpu/kernels/linear_panel_neon.h"

namespace puna::core {

void linear_iq4_nl_neon(const LinearBlock& block) {
    multiply_blocks<IQ4_NL>(block);
}
void panel_iq4_nl_neon(const PanelBlock& block) {
    multiply_panels<DotProducts, IQ4_NL>(block);
}

}  // namespace puna::core
