#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/linear_panel_avx512.h"
#include "cpu/kernels/quants_q4_0_avx512.h"

namespace puna::core {

void linear_q4_0_avx512(const LinearBlock& block) {
    multiply_blocks<Q4_0>(block);
}
void panel_q4_0_avx512(const PanelBlock& block) {
    multiply_panels_of_rows<Q4_0>(block);
}

}  // namespace puna::core
