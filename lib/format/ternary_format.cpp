// TQ1_0 and TQ2_0: 256 elements that are -1, 0 or 1 times the block's scale. (The two bits of TQ2_0
// can also say 2.)
#include "format/block_format.h"
#include "format/block_walk.h"

namespace puna::core {

namespace {

// The digits of `width` bytes, each a fraction in base 3: all first digits, then all second ones.
// Multiplying by 3 moves a digit before the point, and what overflows the byte is dropped.
float* unpack_digits(const uint8_t* bytes, int width, int n_digits, float scale, float* dst) {
    unsigned power = 1;
    for (int digit = 0; digit < n_digits; ++digit, power *= 3) {
        for (int j = 0; j < width; ++j) {
            const unsigned fraction = bytes[j] * power & 255;
            *dst++ = scale * static_cast<float>(static_cast<int>(fraction * 3 >> 8) - 1);
        }
    }
    return dst;
}

void unpack(const BlockTQ1_0& block, float* dst) {
    const float scale = load_half(block.scale);
    dst = unpack_digits(block.quants, 32, 5, scale, dst);
    dst = unpack_digits(block.quants + 32, 16, 5, scale, dst);
    unpack_digits(block.last, 4, 4, scale, dst);
}

void unpack(const BlockTQ2_0& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int part = 0; part < 8; ++part, dst += 32) {
        const uint8_t* quants = block.quants + part / 4 * 32;
        const int shift = part % 4 * 2;
        for (int j = 0; j < 32; ++j) {
            dst[j] = scale * static_cast<float>((quants[j] >> shift & 3) - 1);
        }
    }
}

}  // namespace

void dequantize_tq1_0(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockTQ1_0, 256, unpack>(src, dst, n);
}
void dequantize_tq2_0(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockTQ2_0, 256, unpack>(src, dst, n);
}

}  // namespace puna::core
