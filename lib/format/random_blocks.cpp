#include "format/random_blocks.h"

#include <cassert>
#include <cmath>
#include <iterator>

#include "format/block_layout.h"
#include "format/half.h"
#include "format/iq_grids.h"

namespace puna::core {

namespace {

// ---- Mean squares -------------------------------------------------------------------------------
//
// A block is random bytes with chosen scales. For a scale that is 1 on average, the mean square of
// a format's values follows from its layout, since quants and sub-scales are independent and
// uniform; dividing the wanted deviation by its root gives the scale.

constexpr double mean_square(int first, int last) {
    double sum = 0.0;
    for (int value = first; value <= last; ++value) sum += value * value;
    return sum / (last - first + 1);
}

template <size_t kCount>
constexpr double mean_square(const int8_t (&values)[kCount]) {
    double sum = 0.0;
    for (const int8_t value : values) sum += value * value;
    return sum / kCount;
}

// Of a factor that is uniform from 0.75 to 1.25.
constexpr double kVariedSquare = 1.0 + 0.25 / 12.0;

// Of scale * sub_scale * quant - min * sub_min where the mean of min is that of the scale times the
// mean quant. The sub_mins equal the sub_scales but for flipped bits: every bit of a random number
// is a coin of its own, so flips of probability p give the difference p times the sum of 4^bit.
constexpr double offset_mean_square(int n_quants, double sub_square, double difference_square) {
    const double mean = (n_quants - 1) / 2.0;
    const double variance = (n_quants * n_quants - 1) / 12.0;
    return kVariedSquare * sub_square * variance +
           mean * mean * (2.0 * (kVariedSquare - 1.0) * sub_square + difference_square);
}
constexpr double kFlips4Square = (256 - 1) / 3.0 / 4.0;
constexpr double kFlips6Square = (4096 - 1) / 3.0 / 8.0;

// (sub_scale + 1/2)^2 and (2 sub_scale + 1)^2 of 4 and of 3 bits.
constexpr double kHalvesSquare = 85.25;
constexpr double kOddSquare4 = 4.0 * kHalvesSquare;
constexpr double kOddSquare3 = 85.0;

// Of the entries of the grids.
constexpr double kIq2XxsSquare = 534.430176;
constexpr double kIq2XsSquare = 586.476074;
constexpr double kIq2SSquare = 596.841675;
constexpr double kIq3XxsSquare = 951.640625;
constexpr double kIq3SSquare = 57.671875;
constexpr double kIq1Square = 0.594177246 + 1.0 / 64;  // and of the shift by an eighth

// ---- Scales -------------------------------------------------------------------------------------

void store_half(double value, HalfBytes* half) {
    store_le(half->bytes, float_to_half(static_cast<float>(value)));
}

// From 0.75 to 1.25.
double factor(uint64_t bits) {
    return 0.75 + static_cast<double>(bits & 0xffff) * 0x1p-17;
}

// Either sign: what quants or grid entries lack to a mean of zero evens out over the blocks.
double signed_factor(uint64_t bits) {
    return (bits & 0x10000) != 0 ? -factor(bits) : factor(bits);
}

template <class Block>
void set_scale(uint64_t bits, double scale, Block* block) {
    store_half(scale * signed_factor(bits), &block->scale);
}

void set_scale(uint64_t bits, double scale, BlockIQ1_M* block) {
    HalfBytes half;
    store_half(scale * signed_factor(bits), &half);
    const unsigned nibbles = load_le<uint16_t>(half.bytes);
    for (int i = 0; i < 4; ++i) {
        uint8_t* top = &block->words[i][1];
        *top = static_cast<uint8_t>((*top & 15) | (nibbles >> 4 * i & 15) << 4);
    }
}

// Sub-mins near the sub-scales; blocks without sub-blocks need none.
template <class Block>
void set_sub_mins(RandomBits&, Block*) {}

void set_sub_mins(RandomBits& bits, BlockQ2_K* block) {
    for (uint8_t* at = block->sub_scales; at < std::end(block->sub_scales); at += 8) {
        const uint64_t scales = load_le<uint64_t>(at) & 0x0f0f0f0f0f0f0f0fu;
        const uint64_t flips = bits.next() & bits.next() & 0x0f0f0f0f0f0f0f0fu;
        store_le(at, scales | (scales ^ flips) << 4);
    }
}

void set_packed_mins(RandomBits& bits, PackedScales* packed) {
    const uint64_t flips = bits.next() & bits.next() & bits.next();
    const auto first = load_le<uint32_t>(packed->bytes);
    const uint32_t second = load_le<uint32_t>(packed->bytes + 8) & 0x0f0f0f0fu;
    const auto second_flips = static_cast<uint32_t>(flips >> 32) & 0x0f0f0f0fu;
    store_le(packed->bytes + 4, first ^ static_cast<uint32_t>(flips));
    store_le(packed->bytes + 8, second | (second ^ second_flips) << 4);
}
void set_sub_mins(RandomBits& bits, BlockQ4_K* block) {
    set_packed_mins(bits, &block->sub_scales);
}
void set_sub_mins(RandomBits& bits, BlockQ5_K* block) {
    set_packed_mins(bits, &block->sub_scales);
}

// ---- Rows ---------------------------------------------------------------------------------------

template <class Block, int64_t kLength>
void fill(RandomBits& bits, double scale, void* dst, int64_t n) {
    auto* block = static_cast<Block*>(dst);
    for (Block* end = block + n / kLength; block < end; ++block) {
        bits.fill(block, sizeof *block);
        set_scale(bits.next(), scale, block);
    }
}

// Formats with a min: the quants 0 .. kQuants - 1 are moved by their mean.
template <class Block, int64_t kLength, int kQuants>
void fill_offset(RandomBits& bits, double scale, void* dst, int64_t n) {
    constexpr bool kAddsMin = kLength == 32;  // formats of 256 elements subtract it
    constexpr double kMin = kAddsMin ? (1 - kQuants) / 2.0 : (kQuants - 1) / 2.0;
    auto* block = static_cast<Block*>(dst);
    for (Block* end = block + n / kLength; block < end; ++block) {
        bits.fill(block, sizeof *block);
        const uint64_t factors = bits.next();
        store_half(scale * factor(factors), &block->scale);
        store_half(scale * kMin * factor(factors >> 32), &block->min);
        set_sub_mins(bits, block);
    }
}

// The scales are powers of two: one of two neighbours so that the mean square is right, and half of
// that in every other block, which makes the mean square kMxfp4Halved of what it was.
constexpr double kMxfp4Halved = (1.0 + 0.25) / 2.0;

void fill_mxfp4(RandomBits& bits, double scale, void* dst, int64_t n) {
    int exponent;
    const double fraction = 2.0 * std::frexp(scale, &exponent);  // scale: fraction * 2^(exponent-1)
    const auto upper = static_cast<uint64_t>((fraction * fraction - 1.0) / 3.0 * 0x1p32);
    auto* block = static_cast<BlockMXFP4*>(dst);
    for (BlockMXFP4* end = block + n / 32; block < end; ++block) {
        bits.fill(block, sizeof *block);
        const uint64_t draw = bits.next();
        const int up = (draw >> 32) < upper ? 1 : 0;
        const int down = static_cast<int>(draw & 1);
        block->exponent = static_cast<uint8_t>(exponent - 1 + 128 + up - down);
    }
}

// The sum of four uniform numbers of 16 bits is close to normal.
constexpr double kFourSquare = 4.0 * (65536.0 * 65536.0 - 1.0) / 12.0;

float normal(uint64_t bits, double scale) {
    int64_t sum = -2 * 0xffff;
    for (int i = 0; i < 64; i += 16) sum += static_cast<int64_t>(bits >> i & 0xffff);
    return static_cast<float>(scale * static_cast<double>(sum));
}

void fill_f32(RandomBits& bits, double scale, void* dst, int64_t n) {
    auto* at = static_cast<uint8_t*>(dst);
    for (int64_t i = 0; i < n; ++i) store_le(at + 4 * i, normal(bits.next(), scale));
}

template <uint16_t (*kConvert)(float)>
void fill_narrow(RandomBits& bits, double scale, void* dst, int64_t n) {
    auto* at = static_cast<uint8_t*>(dst);
    for (int64_t i = 0; i < n; ++i) store_le(at + 2 * i, kConvert(normal(bits.next(), scale)));
}

// ---- The formats --------------------------------------------------------------------------------

struct Recipe {
    BlockFormat format;
    double mean_square;  // of the values that `fill` makes with scale 1
    void (*fill)(RandomBits& bits, double scale, void* dst, int64_t n);
};

using enum BlockFormat;
constexpr double kVaried = kVariedSquare;
constexpr double kIq4Square = mean_square(kIq4Values);

constexpr Recipe kRecipes[] = {
    {kF32, kFourSquare, fill_f32},
    {kF16, kFourSquare, fill_narrow<float_to_half>},
    {kBF16, kFourSquare, fill_narrow<float_to_bfloat16>},
    {kQ4_0, kVaried* mean_square(-8, 7), fill<BlockQ4_0, 32>},
    {kQ4_1, offset_mean_square(16, 1, 0), fill_offset<BlockQ4_1, 32, 16>},
    {kQ5_0, kVaried* mean_square(-16, 15), fill<BlockQ5_0, 32>},
    {kQ5_1, offset_mean_square(32, 1, 0), fill_offset<BlockQ5_1, 32, 32>},
    {kQ8_0, kVaried* mean_square(-128, 127), fill<BlockQ8_0, 32>},
    {kQ2_K, offset_mean_square(4, mean_square(0, 15), kFlips4Square),
     fill_offset<BlockQ2_K, 256, 4>},
    {kQ3_K, kVaried* mean_square(-32, 31) * mean_square(-4, 3), fill<BlockQ3_K, 256>},
    {kQ4_K, offset_mean_square(16, mean_square(0, 63), kFlips6Square),
     fill_offset<BlockQ4_K, 256, 16>},
    {kQ5_K, offset_mean_square(32, mean_square(0, 63), kFlips6Square),
     fill_offset<BlockQ5_K, 256, 32>},
    {kQ6_K, kVaried* mean_square(-128, 127) * mean_square(-32, 31), fill<BlockQ6_K, 256>},
    {kIQ1_S, kVaried* kOddSquare3* kIq1Square, fill<BlockIQ1_S, 256>},
    {kIQ1_M, kVaried* kOddSquare3* kIq1Square, fill<BlockIQ1_M, 256>},
    {kIQ2_XXS, kVaried* kHalvesSquare / 16 * kIq2XxsSquare, fill<BlockIQ2_XXS, 256>},
    {kIQ2_XS, kVaried* kHalvesSquare / 16 * kIq2XsSquare, fill<BlockIQ2_XS, 256>},
    {kIQ2_S, kVaried* kHalvesSquare / 16 * kIq2SSquare, fill<BlockIQ2_S, 256>},
    {kIQ3_XXS, kVaried* kHalvesSquare / 4 * kIq3XxsSquare, fill<BlockIQ3_XXS, 256>},
    {kIQ3_S, kVaried* kOddSquare4* kIq3SSquare, fill<BlockIQ3_S, 256>},
    {kIQ4_NL, kVaried* kIq4Square, fill<BlockIQ4_NL, 32>},
    {kIQ4_XS, kVaried* mean_square(-32, 31) * kIq4Square, fill<BlockIQ4_XS, 256>},
    // The values of MXFP4's codes are doubled: the scale of code value 1 is 2^(exponent - 128).
    {kMXFP4, kMxfp4Halved* mean_square(kMxfp4Values), fill_mxfp4},
    // Digits of random bytes: of 256 bytes, 86 begin with 0, and 85 each with 1 and 2.
    {kTQ1_0, kVaried * 171 / 256, fill<BlockTQ1_0, 256>},
    {kTQ2_0, kVaried* mean_square(-1, 2), fill<BlockTQ2_0, 256>},
};

}  // namespace

void random_blocks(BlockFormat format, RandomBits& bits, float deviation, void* dst,
                   int64_t n_elements) {
    assert(is_supported(format) && n_elements % block_format_info(format).block_length == 0);
    for (const Recipe& recipe : kRecipes) {
        if (recipe.format != format) continue;
        const double scale = static_cast<double>(deviation) / std::sqrt(recipe.mean_square);
        recipe.fill(bits, scale, dst, n_elements);
        return;
    }
    assert(false);
}

}  // namespace puna::core
