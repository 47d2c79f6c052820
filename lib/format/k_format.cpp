// Q2_K to Q6_K: 256 elements in sub-blocks, whose scales and minimums are quantised themselves.
//
// Products are taken in the order of the formulas in block_layout.h, scale times sub-scale first:
// the results are the bits that other readers of these files compute.
#include "format/block_format.h"
#include "format/block_walk.h"

namespace puna::core {

namespace {

void unpack(const BlockQ2_K& block, float* dst) {
    const float scale = load_half(block.scale);
    const float min = load_half(block.min);
    for (int sub = 0; sub < 16; ++sub, dst += 16) {
        const float sub_scale = scale * static_cast<float>(block.sub_scales[sub] & 15);
        const float sub_min = min * static_cast<float>(block.sub_scales[sub] >> 4);
        // Two groups of 32 bytes; a sub-block is half the bytes of one, at one of four shifts.
        const uint8_t* quants = block.quants + sub / 8 * 32 + sub % 2 * 16;
        const int shift = sub / 2 % 4 * 2;
        for (int j = 0; j < 16; ++j) {
            dst[j] = sub_scale * static_cast<float>(quants[j] >> shift & 3) - sub_min;
        }
    }
}

int sub_scale_of(const BlockQ3_K& block, int sub) {
    const int low = block.sub_scales[sub % 8] >> sub / 8 * 4 & 15;
    const int high = block.sub_scales[8 + sub % 4] >> sub / 4 * 2 & 3;
    return (low | high << 4) - 32;
}

void unpack(const BlockQ3_K& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int sub = 0; sub < 16; ++sub, dst += 16) {
        const float sub_scale = scale * static_cast<float>(sub_scale_of(block, sub));
        const uint8_t* quants = block.quants + sub / 8 * 32 + sub % 2 * 16;
        const uint8_t* high = block.high + sub % 2 * 16;
        const int shift = sub / 2 % 4 * 2;
        for (int j = 0; j < 16; ++j) {
            const int quant = (quants[j] >> shift & 3) | (high[j] >> sub / 2 & 1) << 2;
            dst[j] = sub_scale * static_cast<float>(quant - 4);
        }
    }
}

struct ScaleAndMin {
    int scale;
    int min;
};

ScaleAndMin scale_and_min(const PackedScales& packed, int sub) {
    const uint8_t* bytes = packed.bytes;
    if (sub < 4) return {bytes[sub] & 63, bytes[sub + 4] & 63};
    return {(bytes[sub + 4] & 15) | bytes[sub - 4] >> 6 << 4,
            bytes[sub + 4] >> 4 | bytes[sub] >> 6 << 4};
}

void unpack(const BlockQ4_K& block, float* dst) {
    const float scale = load_half(block.scale);
    const float min = load_half(block.min);
    for (int sub = 0; sub < 8; ++sub, dst += 32) {
        const ScaleAndMin packed = scale_and_min(block.sub_scales, sub);
        const float sub_scale = scale * static_cast<float>(packed.scale);
        const float sub_min = min * static_cast<float>(packed.min);
        const uint8_t* quants = block.quants + sub / 2 * 32;
        const int shift = sub % 2 * 4;
        for (int j = 0; j < 32; ++j) {
            dst[j] = sub_scale * static_cast<float>(quants[j] >> shift & 15) - sub_min;
        }
    }
}

void unpack(const BlockQ5_K& block, float* dst) {
    const float scale = load_half(block.scale);
    const float min = load_half(block.min);
    for (int sub = 0; sub < 8; ++sub, dst += 32) {
        const ScaleAndMin packed = scale_and_min(block.sub_scales, sub);
        const float sub_scale = scale * static_cast<float>(packed.scale);
        const float sub_min = min * static_cast<float>(packed.min);
        const uint8_t* quants = block.quants + sub / 2 * 32;
        const int shift = sub % 2 * 4;
        for (int j = 0; j < 32; ++j) {
            const int quant = (quants[j] >> shift & 15) | (block.high[j] >> sub & 1) << 4;
            dst[j] = sub_scale * static_cast<float>(quant) - sub_min;
        }
    }
}

void unpack(const BlockQ6_K& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int sub = 0; sub < 16; ++sub, dst += 16) {
        const float sub_scale = scale * static_cast<float>(block.sub_scales[sub]);
        const uint8_t* low = block.low + sub / 8 * 64 + sub % 4 * 16;
        const uint8_t* high = block.high + sub / 8 * 32 + sub % 2 * 16;
        const int low_shift = sub / 4 % 2 * 4;
        const int high_shift = sub / 2 % 4 * 2;
        for (int j = 0; j < 16; ++j) {
            const int quant = (low[j] >> low_shift & 15) | (high[j] >> high_shift & 3) << 4;
            dst[j] = sub_scale * static_cast<float>(quant - 32);
        }
    }
}

}  // namespace

void dequantize_q2_k(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ2_K, 256, unpack>(src, dst, n);
}
void dequantize_q3_k(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ3_K, 256, unpack>(src, dst, n);
}
void dequantize_q4_k(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ4_K, 256, unpack>(src, dst, n);
}
void dequantize_q5_k(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ5_K, 256, unpack>(src, dst, n);
}
void dequantize_q6_k(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ6_K, 256, unpack>(src, dst, n);
}

}  // namespace puna::core
