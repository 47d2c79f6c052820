#include "cpu/kernels/linear_blocks_avx2.h"
#include "cpu/kernels/products_avx2_vnni.h"
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

void linear_q4_0_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q4_0>(block);
}
void linear_q4_1_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q4_1>(block);
}
void linear_q5_0_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q5_0>(block);
}
void linear_q5_1_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q5_1>(block);
}
void linear_q8_0_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q8_0>(block);
}
void linear_q2_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q2_K>(block);
}
void linear_q3_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q3_K>(block);
}
void linear_q4_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q4_K>(block);
}
void linear_q5_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q5_K>(block);
}
void linear_q6_k_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, Q6_K>(block);
}
void linear_iq4_nl_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, IQ4_NL>(block);
}
void linear_iq4_xs_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, IQ4_XS>(block);
}
void linear_mxfp4_avx2_vnni(const LinearBlock& block) {
    multiply_blocks<ProductsAvx2Vnni, MXFP4>(block);
}

}  // namespace puna::core
