// Q4_0, Q4_1, Q5_0 and Q5_1: 32 elements of 4 or 5 bits, evenly spaced from -scale * 8 (or 16), or
// from a minimum of their own.
#include "format/block_format.h"
#include "format/block_walk.h"

namespace puna::core {

namespace {

constexpr int kHalf = 16;

int low(uint8_t byte) {
    return byte & 15;
}
int high(uint8_t byte) {
    return byte >> 4;
}

void unpack(const BlockQ4_0& block, float* dst) {
    const float scale = load_half(block.scale);
    for (int j = 0; j < kHalf; ++j) {
        dst[j] = scale * static_cast<float>(low(block.quants[j]) - 8);
        dst[j + kHalf] = scale * static_cast<float>(high(block.quants[j]) - 8);
    }
}

void unpack(const BlockQ4_1& block, float* dst) {
    const float scale = load_half(block.scale);
    const float min = load_half(block.min);
    for (int j = 0; j < kHalf; ++j) {
        dst[j] = scale * static_cast<float>(low(block.quants[j])) + min;
        dst[j + kHalf] = scale * static_cast<float>(high(block.quants[j])) + min;
    }
}

// The quants of 5 bits of both formats.
template <class Block>
void join_quants(const Block& block, int* quants) {
    const auto fifth = load_le<uint32_t>(block.high);
    for (int j = 0; j < kHalf; ++j) {
        quants[j] = low(block.quants[j]) | static_cast<int>(fifth >> j & 1) << 4;
        quants[j + kHalf] = high(block.quants[j]) | static_cast<int>(fifth >> (j + kHalf) & 1) << 4;
    }
}

void unpack(const BlockQ5_0& block, float* dst) {
    const float scale = load_half(block.scale);
    int quants[2 * kHalf];
    join_quants(block, quants);
    for (int j = 0; j < 2 * kHalf; ++j) dst[j] = scale * static_cast<float>(quants[j] - 16);
}

void unpack(const BlockQ5_1& block, float* dst) {
    const float scale = load_half(block.scale);
    const float min = load_half(block.min);
    int quants[2 * kHalf];
    join_quants(block, quants);
    for (int j = 0; j < 2 * kHalf; ++j) dst[j] = scale * static_cast<float>(quants[j]) + min;
}

}  // namespace

void dequantize_q4_0(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ4_0, 32, unpack>(src, dst, n);
}
void dequantize_q4_1(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ4_1, 32, unpack>(src, dst, n);
}
void dequantize_q5_0(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ5_0, 32, unpack>(src, dst, n);
}
void dequantize_q5_1(const void* src, float* dst, int64_t n) {
    unpack_blocks<BlockQ5_1, 32, unpack>(src, dst, n);
}

}  // namespace puna::core
