// IQ1_S and IQ1_M: entries of 8 values -1, 0 and 1 from a grid, shifted by an eighth up or down.
#include "format/block_format.h"
#include "format/block_walk.h"
#include "format/iq_grids.h"

namespace puna::core {

namespace {

void unpack_iq1_entry(unsigned entry, bool shifted_down, float scale, float* dst) {
    const float shift = shifted_down ? -0.125f : 0.125f;
    for (int j = 0; j < 8; ++j) {
        dst[j] = scale * (static_cast<float>(kIq1Values[entry >> 2 * j & 3]) + shift);
    }
}

void unpack(const BlockIQ1_S& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int i = 0; i < 32; ++i, dst += 8) {
        const unsigned word = load_le<uint16_t>(block.words[i / 4]);
        const float sub_scale = scale * static_cast<float>(2 * (word >> 12 & 7) + 1);
        const unsigned high = word >> i % 4 * 3 & 7;
        unpack_iq1_entry(kIq1Grid[block.entries[i] | high << 8], word >> 15 != 0, sub_scale, dst);
    }
}

void unpack(const BlockIQ1_M& block, float* dst) {
    unsigned words[4];
    unsigned half = 0;
    for (int i = 0; i < 4; ++i) {
        words[i] = load_le<uint16_t>(block.words[i]);
        half |= words[i] >> 12 << 4 * i;
    }
    const float scale = half_to_float(static_cast<uint16_t>(half));
    for (int i = 0; i < 32; ++i, dst += 8) {
        const unsigned packed = words[i / 8] >> i / 2 % 4 * 3 & 7;
        const float sub_scale = scale * static_cast<float>(2 * packed + 1);
        const unsigned nibble = block.high[i / 2] >> i % 2 * 4 & 15u;
        const unsigned entry = kIq1Grid[block.entries[i] | (nibble & 7) << 8];
        unpack_iq1_entry(entry, nibble >> 3 != 0, sub_scale, dst);
    }
}

}  // namespace

void dequantize_iq1_s(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ1_S, 256, unpack>(src, dst, n);
}
void dequantize_iq1_m(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockIQ1_M, 256, unpack>(src, dst, n);
}

}  // namespace puna::core
