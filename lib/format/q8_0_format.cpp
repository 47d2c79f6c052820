// Q8_0: blocks of 32 elements, each a signed byte times the block's scale.
#include <algorithm>
#include <cmath>

#include "format/block_format.h"
#include "format/byte_order.h"
#include "format/half.h"

namespace puna::core {

namespace {

constexpr int64_t kBlockLength = 32;
constexpr int64_t kScaleBytes = 2;  // an F16 before the 32 bytes
constexpr int64_t kBlockBytes = kScaleBytes + kBlockLength;

// Halves go away from zero, as in the files that other tools write. Values that are no numbers
// (from a block that holds NaN or infinity) become 0, which their scale turns back into NaN.
int8_t round_to_int8(float value) {
    if (!(std::fabs(value) <= 127.5f)) return 0;
    return static_cast<int8_t>(std::clamp(std::round(value), -127.0f, 127.0f));
}

}  // namespace

void dequantize_q8_0(const void* src, float* dst, int64_t n) {
    const auto* block = static_cast<const std::byte*>(src);
    for (int64_t i = 0; i < n; i += kBlockLength, block += kBlockBytes) {
        const float scale = half_to_float(load_le<uint16_t>(block));
        for (int64_t j = 0; j < kBlockLength; ++j) {
            dst[i + j] = scale * static_cast<float>(load_le<int8_t>(block + kScaleBytes + j));
        }
    }
}

void quantize_q8_0(const float* src, void* dst, int64_t n) {
    auto* block = static_cast<std::byte*>(dst);
    for (int64_t i = 0; i < n; i += kBlockLength, block += kBlockBytes) {
        float largest = 0.0f;
        for (int64_t j = 0; j < kBlockLength; ++j) {
            const float magnitude = std::fabs(src[i + j]);
            // Written so that a NaN, once met, stays.
            if (!(magnitude <= largest)) largest = magnitude;
            if (std::isnan(largest)) break;
        }
        const float scale = largest / 127.0f;
        const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
        store_le(block, float_to_half(scale));
        for (int64_t j = 0; j < kBlockLength; ++j) {
            store_le(block + kScaleBytes + j, round_to_int8(src[i + j] * inverse));
        }
    }
}

}  // namespace puna::core
