#include "cpu/kernels/panel_tile_avx2_vnni.h"
#include "cpu/kernels/quants_iq4_nl_avx2.h"
#include "cpu/kernels/quants_iq4_xs_avx2.h"
#include "cpu/kernels/quants_mxfp4_avx2.h"
#include "cpu/kernels/quants_q2_k_avx2.h"
#include "cpu/kernels/quants_q3_k_avx2.h"
#include "cpu/kernels/quants_q4_0_avx2.h"
#include "cpu/kernels/quants_q4_1_avx2.h"
#include "cpu/kernels/quants_q4_k_avx2.h"
#include "cpu/kernels/quants_q5_0_avx2.h"
#include "cpu/kernels/quants_q5_1_avx2.h"
#include "cpu/kernels/quants_q5_k_avx2.h"
#include "cpu/kernels/quants_q6_k_avx2.h"
#include "cpu/kernels/quants_q8_0_avx2.h"

namespace puna::core {

void panel_q4_0_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q4_0>(block);
}
void panel_q4_1_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q4_1>(block);
}
void panel_q5_0_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q5_0>(block);
}
void panel_q5_1_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q5_1>(block);
}
void panel_q8_0_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q8_0>(block);
}
void panel_q2_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q2_K>(block);
}
void panel_q3_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q3_K>(block);
}
void panel_q4_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q4_K>(block);
}
void panel_q5_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q5_K>(block);
}
void panel_q6_k_avx2_vnni(const PanelBlock& block) {
    multiply_panels<Q6_K>(block);
}
void panel_iq4_nl_avx2_vnni(const PanelBlock& block) {
    multiply_panels<IQ4_NL>(block);
}
void panel_iq4_xs_avx2_vnni(const PanelBlock& block) {
    multiply_panels<IQ4_XS>(block);
}
void panel_mxfp4_avx2_vnni(const PanelBlock& block) {
    multiply_panels<MXFP4>(block);
}

}  // namespace puna::core
