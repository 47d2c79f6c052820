// IQ3_XXS and IQ3_S: entries of 4 magnitudes from a grid, with a sign for each element.
#include "format/block_format.h"
#include "format/block_walk.h"
#include "format/iq_grids.h"
#include "format/iq_signs.h"

namespace puna::core {

namespace {

void unpack_iq3_entry(unsigned entry, const int8_t* values, unsigned signs, float scale,
                      float* dst) {
    for (int j = 0; j < 4; ++j) {
        const int sign = 1 - static_cast<int>(2 * (signs >> j & 1));
        dst[j] = scale * static_cast<float>(sign * values[entry >> 4 * j & 7]);
    }
}

void unpack(const BlockIQ3_XXS& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int i = 0; i < 64; ++i, dst += 4) {
        const auto word = load_le<uint32_t>(block.words[i / 8]);
        const float sub_scale = scale * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
        const unsigned signs = even_signs(word >> i / 2 % 4 * 7) >> i % 2 * 4;
        unpack_iq3_entry(kIq3XxsGrid[block.entries[i]], kIq3XxsValues, signs, sub_scale, dst);
    }
}

void unpack(const BlockIQ3_S& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int i = 0; i < 64; ++i, dst += 4) {
        const int sub = i / 8;
        const int packed = block.sub_scales[sub / 2] >> sub % 2 * 4 & 15;
        const float sub_scale = scale * static_cast<float>(1 + 2 * packed);
        const unsigned high = block.entries_high[i / 8] >> i % 8 & 1;
        const unsigned entry = kIq3SGrid[block.entries[i] | high << 8];
        const unsigned signs = block.signs[i / 2] >> i % 2 * 4;
        unpack_iq3_entry(entry, kIq3SValues, signs, sub_scale, dst);
    }
}

}  // namespace

void dequantize_iq3_xxs(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ3_XXS, 256, unpack>(src, dst, n);
}
void dequantize_iq3_s(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ3_S, 256, unpack>(src, dst, n);
}

}  // namespace puna::core
