// How the blocks of GGUF's quantised formats lie in memory. Everything is bytes: rows of a file
// need no alignment, and numbers of two bytes and more are little-endian.
//
// Element j of a block has a code, its quant. Quants of 2 and 4 bits share bytes in groups of
// `width` bytes: the lowest bits of the group's bytes are the codes of its first `width` elements,
// the next bits those of the next `width` elements, and so on. Below, "4 bits, groups of 16" means
// that byte i of a group holds the elements i (low nibble) and i + 16 (high nibble).
#pragma once

#include <cstdint>

namespace puna::core {

// An IEEE binary16.
struct HalfBytes {
    uint8_t bytes[2];
};

// ---- 32 elements, one scale ---------------------------------------------------------------------

// scale * (quant - 8)
struct BlockQ4_0 {
    HalfBytes scale;
    uint8_t quants[16];  // 4 bits, groups of 16
};

// scale * quant + min
struct BlockQ4_1 {
    HalfBytes scale;
    HalfBytes min;
    uint8_t quants[16];  // 4 bits, groups of 16
};

// scale * (quant - 16)
struct BlockQ5_0 {
    HalfBytes scale;
    uint8_t high[4];     // bit j of the 32: the fifth bit of element j
    uint8_t quants[16];  // 4 bits, groups of 16
};

// scale * quant + min
struct BlockQ5_1 {
    HalfBytes scale;
    HalfBytes min;
    uint8_t high[4];     // bit j of the 32: the fifth bit of element j
    uint8_t quants[16];  // 4 bits, groups of 16
};

// scale * quant
struct BlockQ8_0 {
    HalfBytes scale;
    int8_t quants[32];
};

// scale * kIq4Values[quant]
struct BlockIQ4_NL {
    HalfBytes scale;
    uint8_t quants[16];  // 4 bits, groups of 16
};

// 2^(exponent - 127) times a 4-bit float: sign, 2 bits of exponent, 1 of mantissa
struct BlockMXFP4 {
    uint8_t exponent;
    uint8_t quants[16];  // 4 bits, groups of 16
};

// ---- 256 elements in sub-blocks -----------------------------------------------------------------

// 16 sub-blocks of 16: scale * sub_scale * quant - min * sub_min
struct BlockQ2_K {
    uint8_t sub_scales[16];  // low nibble: the sub-block's scale, high nibble: its min
    uint8_t quants[64];      // 2 bits, groups of 32
    HalfBytes scale;
    HalfBytes min;
};

// 16 sub-blocks of 16: scale * (sub_scale - 32) * (quant - 4)
struct BlockQ3_K {
    uint8_t high[32];        // bit i of byte j: the third bit of element 32 i + j
    uint8_t quants[64];      // 2 bits, groups of 32
    uint8_t sub_scales[12];  // 6 bits: 8 bytes of 4 low bits in one group, 4 bytes of 2 high bits
    HalfBytes scale;
};

// The 6-bit scales s0..s7 and mins m0..m7 of 8 sub-blocks. Bytes 0..3 hold s0..s3 in their low six
// bits, bytes 4..7 m0..m3. Bytes 8..11 hold the four low bits of s4..s7 and, above them, of m4..m7,
// whose two high bits are the high bits of bytes 0..3 and 4..7.
struct PackedScales {
    uint8_t bytes[12];
};

// 8 sub-blocks of 32: scale * sub_scale * quant - min * sub_min
struct BlockQ4_K {
    HalfBytes scale;
    HalfBytes min;
    PackedScales sub_scales;
    uint8_t quants[128];  // 4 bits, groups of 32
};

// 8 sub-blocks of 32: scale * sub_scale * quant - min * sub_min
struct BlockQ5_K {
    HalfBytes scale;
    HalfBytes min;
    PackedScales sub_scales;
    uint8_t high[32];     // bit i of byte j: the fifth bit of element 32 i + j
    uint8_t quants[128];  // 4 bits, groups of 32
};

// 16 sub-blocks of 16: scale * sub_scale * (quant - 32)
struct BlockQ6_K {
    uint8_t low[128];  // the 4 low bits, groups of 64
    uint8_t high[64];  // the 2 high bits, groups of 32
    int8_t sub_scales[16];
    HalfBytes scale;
};

// 8 sub-blocks of 32: scale * (sub_scale - 32) * kIq4Values[quant]
struct BlockIQ4_XS {
    HalfBytes scale;
    uint8_t sub_scales_high[2];  // bits 2 i and 2 i + 1 of the 16: the high bits of sub-block i
    uint8_t sub_scales_low[4];   // nibble i of the 32 bits: the 4 low bits of sub-block i
    uint8_t quants[128];         // 4 bits, groups of 16
};

// ---- 256 elements, three values -----------------------------------------------------------------

// scale * (quant - 1). A byte is the fraction b / 256 in base 3, whose digits are quants: the first
// digit of the bytes of a group belongs to its first elements, and so on.
struct BlockTQ1_0 {
    uint8_t quants[48];  // 5 digits: a group of 32, a group of 16
    uint8_t last[4];     // 4 digits, one group
    HalfBytes scale;
};

// scale * (quant - 1)
struct BlockTQ2_0 {
    uint8_t quants[64];  // 2 bits, groups of 32
    HalfBytes scale;
};

// ---- 256 elements from grids --------------------------------------------------------------------
//
// A grid is a table of 8 (or 4) magnitudes per entry; consecutive elements take an entry together.
// A set sign bit makes an element negative. Where only 7 sign bits are stored for 8 elements, the
// eighth makes the number of set bits even.

// 8 sub-blocks of 32, as words of 64 bits: in the lower half 4 bytes of grid entries, in the upper
// half four times 7 signs and above them the sub_scale. scale * (sub_scale + 1/2) / 4 * value.
struct BlockIQ2_XXS {
    HalfBytes scale;
    uint8_t words[8][8];
};

// 16 sub-blocks of 16: scale * (sub_scale + 1/2) / 4 * value
struct BlockIQ2_XS {
    HalfBytes scale;
    uint8_t entries[32][2];  // 9 bits of grid entry, 7 signs
    uint8_t sub_scales[8];   // nibble i of the 64 bits: sub-block i
};

// 16 sub-blocks of 16: scale * (sub_scale + 1/2) / 4 * value
struct BlockIQ2_S {
    HalfBytes scale;
    uint8_t entries[32];  // the 8 low bits of grid entries
    uint8_t signs[32];
    uint8_t entries_high[8];  // bits 2 i and 2 i + 1 of the 64: the high bits of entry i
    uint8_t sub_scales[8];    // nibble i of the 64 bits: sub-block i
};

// 8 sub-blocks of 32: scale * (sub_scale + 1/2) / 2 * value, entries of 4 elements
struct BlockIQ3_XXS {
    HalfBytes scale;
    uint8_t entries[64];
    uint8_t words[8][4];  // of a sub-block: four times 7 signs, above them the sub_scale
};

// 8 sub-blocks of 32: scale * (2 sub_scale + 1) * value, entries of 4 elements
struct BlockIQ3_S {
    HalfBytes scale;
    uint8_t entries[64];      // the 8 low bits of grid entries
    uint8_t entries_high[8];  // bit i of the 64: the ninth bit of entry i
    uint8_t signs[32];
    uint8_t sub_scales[4];  // nibble i of the 32 bits: sub-block i
};

// 8 sub-blocks of 32: scale * (2 sub_scale + 1) * (value +- 1/8)
struct BlockIQ1_S {
    HalfBytes scale;
    uint8_t entries[32];  // the 8 low bits of grid entries
    // Of a sub-block, from the low bits: four times the 3 high bits of an entry, 3 bits of
    // sub_scale, and the sign of the eighth.
    uint8_t words[8][2];
};

// 16 sub-blocks of 16: scale * (2 sub_scale + 1) * (value +- 1/8)
struct BlockIQ1_M {
    uint8_t entries[32];  // the 8 low bits of grid entries
    uint8_t high[16];     // nibble i: the 3 high bits of entry i and the sign of its eighth
    // From the low bits: four times 3 bits of sub_scale; the top nibbles make up the scale, an F16.
    uint8_t words[4][2];
};

}  // namespace puna::core
