#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/linear_panel_avx512.h"
#include "cpu/kernels/quants_iq4_xs_avx512.h"

namespace puna::core {

void linear_iq4_xs_avx512(const LinearBlock& block) {
    multiply_blocks<IQ4_XS>(block);
}
void panel_iq4_xs_avx512(const PanelBlock& block) {
    multiply_panels_of_rows<IQ4_XS>(block);
}

}  // namespace puna::core
