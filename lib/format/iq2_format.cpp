// IQ2_XXS, IQ2_XS and IQ2_S: entries of 8 magnitudes from a grid, with a sign for each element.
#include "format/block_format.h"
#include "format/block_walk.h"
#include "format/iq_grids.h"
#include "format/iq_signs.h"

namespace puna::core {

namespace {

void unpack_iq2_entry(unsigned entry, unsigned signs, float scale, float* dst) {
    for (int j = 0; j < 8; ++j) {
        const int sign = 1 - static_cast<int>(2 * (signs >> j & 1));
        dst[j] = scale * static_cast<float>(sign * kIq2Values[entry >> 2 * j & 3]);
    }
}

float scale_of(float scale, unsigned sub_scale) {
    return scale * (0.5f + static_cast<float>(sub_scale)) * 0.25f;
}

void unpack(const BlockIQ2_XXS& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int sub = 0; sub < 8; ++sub) {
        const auto* word = block.words[sub];
        const auto signs = load_le<uint32_t>(word + 4);
        const float sub_scale = scale_of(scale, signs >> 28);
        for (int i = 0; i < 4; ++i, dst += 8) {
            unpack_iq2_entry(kIq2XxsGrid[word[i]], even_signs(signs >> 7 * i), sub_scale, dst);
        }
    }
}

void unpack(const BlockIQ2_XS& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int i = 0; i < 32; ++i, dst += 8) {
        const unsigned code = load_le<uint16_t>(block.entries[i]);
        const int sub = i / 2;
        const float sub_scale = scale_of(scale, block.sub_scales[sub / 2] >> sub % 2 * 4 & 15);
        unpack_iq2_entry(kIq2XsGrid[code & 511], even_signs(code >> 9), sub_scale, dst);
    }
}

void unpack(const BlockIQ2_S& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int i = 0; i < 32; ++i, dst += 8) {
        const unsigned high = block.entries_high[i / 4] >> i % 4 * 2 & 3;
        const unsigned entry = kIq2SGrid[block.entries[i] | high << 8];
        const int sub = i / 2;
        const float sub_scale = scale_of(scale, block.sub_scales[sub / 2] >> sub % 2 * 4 & 15);
        unpack_iq2_entry(entry, block.signs[i], sub_scale, dst);
    }
}

}  // namespace

void dequantize_iq2_xxs(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ2_XXS, 256, unpack>(src, dst, n);
}
void dequantize_iq2_xs(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ2_XS, 256, unpack>(src, dst, n);
}
void dequantize_iq2_s(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ2_S, 256, unpack>(src, dst, n);
}

}  // namespace puna::core
