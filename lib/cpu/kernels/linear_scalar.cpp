// The scalar linear kernel for all formats: the reference conversions of lib/format, then products.
#include "cpu/kernels.h"
#include "cpu/kernels/half_scalar.h"
#include "cpu/kernels/linear_tile.h"
#include "format/block_format.h"
#include "format/block_layout.h"

namespace puna::core {
namespace {

constexpr int64_t kStep = 256;  // elements dequantised at a time: whole blocks of every format
constexpr int64_t kLanes = 16;  // partial sums per result; lane l adds the elements l, l + 16, ...

// n is at most kStep, and less only at the end of a row.
void add_products(const float* w, const float* x, int64_t n, float* sums) {
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) {
        for (int64_t l = 0; l < kLanes; ++l) sums[l] += w[j + l] * x[j + l];
    }
    for (int64_t l = 0; j + l < n; ++l) sums[l] += w[j + l] * x[j + l];
}

float add_lanes(float* sums) {
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
        for (int64_t l = 0; l < half; ++l) sums[l] += sums[l + half];
    }
    return sums[0];
}

using Dequantize = void (*)(const void* src, float* dst, int64_t n);

// The values of dequantize_f16, 2.3 times as fast.
void widen_halves(const void* src, float* dst, int64_t n) {
    load_halves(src, n, dst);
}

// One weight row times kRows activation rows.
template <Dequantize kDequantize, int64_t kStepBytes, int32_t kRows>
void multiply_row(const LinearBlock& block, const uint8_t* row, const float* x, float* y) {
    float sums[kRows][kLanes] = {};
    float w[kStep];
    for (int64_t j = 0; j < block.n_in; j += kStep, row += kStepBytes) {
        const int64_t left = block.n_in - j;
        const int64_t n = left < kStep ? left : kStep;
        kDequantize(row, w, n);
        for (int32_t r = 0; r < kRows; ++r) {
            add_products(w, x + r * block.x_stride + j, n, sums[r]);
        }
    }
    for (int32_t r = 0; r < kRows; ++r) y[r * block.y_stride] = add_lanes(sums[r]);
}

// kStepBytes: of kStep packed elements.
template <Dequantize kDequantize, int64_t kStepBytes>
void multiply_block(const LinearBlock& block) {
    multiply_tiles(
        block, [&]<int32_t kRows>(RowCount<kRows>, const uint8_t* row, const float* x, float* y) {
            multiply_row<kDequantize, kStepBytes, kRows>(block, row, x, y);
        });
}

template <Dequantize kDequantize, class Block>
void multiply_blocks_of_32(const LinearBlock& block) {
    multiply_block<kDequantize, kStep / 32 * sizeof(Block)>(block);
}

template <Dequantize kDequantize, class Block>
void multiply_blocks_of_256(const LinearBlock& block) {
    multiply_block<kDequantize, sizeof(Block)>(block);
}

}  // namespace

void linear_f32_scalar(const LinearBlock& block) {
    multiply_block<dequantize_f32, 4 * kStep>(block);
}
void linear_f16_scalar(const LinearBlock& block) {
    multiply_block<widen_halves, 2 * kStep>(block);
}
void linear_bf16_scalar(const LinearBlock& block) {
    multiply_block<dequantize_bf16, 2 * kStep>(block);
}

void linear_q4_0_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_q4_0, BlockQ4_0>(block);
}
void linear_q4_1_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_q4_1, BlockQ4_1>(block);
}
void linear_q5_0_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_q5_0, BlockQ5_0>(block);
}
void linear_q5_1_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_q5_1, BlockQ5_1>(block);
}
void linear_q8_0_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_q8_0, BlockQ8_0>(block);
}
void linear_iq4_nl_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_iq4_nl, BlockIQ4_NL>(block);
}
void linear_mxfp4_scalar(const LinearBlock& block) {
    multiply_blocks_of_32<dequantize_mxfp4, BlockMXFP4>(block);
}

void linear_q2_k_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_q2_k, BlockQ2_K>(block);
}
void linear_q3_k_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_q3_k, BlockQ3_K>(block);
}
void linear_q4_k_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_q4_k, BlockQ4_K>(block);
}
void linear_q5_k_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_q5_k, BlockQ5_K>(block);
}
void linear_q6_k_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_q6_k, BlockQ6_K>(block);
}
void linear_iq1_s_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq1_s, BlockIQ1_S>(block);
}
void linear_iq1_m_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq1_m, BlockIQ1_M>(block);
}
void linear_iq2_xxs_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq2_xxs, BlockIQ2_XXS>(block);
}
void linear_iq2_xs_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq2_xs, BlockIQ2_XS>(block);
}
void linear_iq2_s_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq2_s, BlockIQ2_S>(block);
}
void linear_iq3_xxs_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq3_xxs, BlockIQ3_XXS>(block);
}
void linear_iq3_s_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq3_s, BlockIQ3_S>(block);
}
void linear_iq4_xs_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_iq4_xs, BlockIQ4_XS>(block);
}
void linear_tq1_0_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_tq1_0, BlockTQ1_0>(block);
}
void linear_tq2_0_scalar(const LinearBlock& block) {
    multiply_blocks_of_256<dequantize_tq2_0, BlockTQ2_0>(block);
}

}  // namespace puna::core
