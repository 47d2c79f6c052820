// IQ4_NL, IQ4_XS and MXFP4: 4-bit codes for unevenly spaced values.
#include <bit>

#include "format/block_format.h"
#include "format/block_walk.h"
#include "format/iq_grids.h"

namespace puna::core {

namespace {

// 32 elements from a group of 16 bytes.
void unpack_codes(const uint8_t* quants, const int8_t* values, float scale, float* dst) {
    for (int j = 0; j < 16; ++j) {
        dst[j] = scale * static_cast<float>(values[quants[j] & 15]);
        dst[j + 16] = scale * static_cast<float>(values[quants[j] >> 4]);
    }
}

void unpack(const BlockIQ4_NL& block, float* dst) {
    unpack_codes(block.quants, kIq4Values, load_half(block.scale), dst);
}

void unpack(const BlockIQ4_XS& block, float* dst) {
    const float scale = load_half(block.scale);
    const int all_high = load_le<uint16_t>(block.sub_scales_high);
    for (int sub = 0; sub < 8; ++sub) {
        const int low = block.sub_scales_low[sub / 2] >> sub % 2 * 4 & 15;
        const int high = all_high >> 2 * sub & 3;
        const float sub_scale = scale * static_cast<float>((low | high << 4) - 32);
        unpack_codes(block.quants + 16 * sub, kIq4Values, sub_scale, dst + 32 * sub);
    }
}

// 2^(exponent - 128), since the values of the codes are doubled: the exponents 0 and 1 are
// subnormal floats.
float mxfp4_scale(uint32_t exponent) {
    return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
}

void unpack(const BlockMXFP4& block, float* dst) {
    unpack_codes(block.quants, kMxfp4Values, mxfp4_scale(block.exponent), dst);
}

}  // namespace

void dequantize_iq4_nl(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ4_NL, 32, unpack>(src, dst, n);
}
void dequantize_iq4_xs(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ4_XS, 256, unpack>(src, dst, n);
}
void dequantize_mxfp4(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockMXFP4, 32, unpack>(src, dst, n);
}

}  // namespace puna::core
