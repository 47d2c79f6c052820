#include "cpu/kernels/linear_blocks_avx512.h"
#include "cpu/kernels/linear_panel_avx512.h"
#include "cpu/kernels/quants_mxfp4_avx512.h"

namespace puna::core {

void linear_mxfp4_avx512(const LinearBlock& block) {
    multiply_blocks<MXFP4>(block);
}
void panel_mxfp4_avx512(const PanelBlock& block) {
    multiply_panels_of_rows<MXFP4>(block);
}

}  // namespace puna::core
