// F32, F16 and BF16: one element a block.
#include <cstring>

#include "format/block_format.h"
#include "format/byte_order.h"
#include "format/half.h"

namespace puna::core {

namespace {

template <float (*kConvert)(uint16_t)>
void widen(const void* src, float* dst, int64_t n) {
    const auto* bytes = static_cast<const std::byte*>(src);
    for (int64_t i = 0; i < n; ++i) dst[i] = kConvert(load_le<uint16_t>(bytes + 2 * i));
}

template <uint16_t (*kConvert)(float)>
void narrow(const float* src, void* dst, int64_t n) {
    auto* bytes = static_cast<std::byte*>(dst);
    for (int64_t i = 0; i < n; ++i) store_le(bytes + 2 * i, kConvert(src[i]));
}

}  // namespace

void dequantize_f32(const void* src, float* dst, int64_t n) {
    const auto* bytes = static_cast<const std::byte*>(src);
    for (int64_t i = 0; i < n; ++i) dst[i] = load_le<float>(bytes + 4 * i);
}

void quantize_f32(const float* src, void* dst, int64_t n) {
    auto* bytes = static_cast<std::byte*>(dst);
    for (int64_t i = 0; i < n; ++i) store_le(bytes + 4 * i, src[i]);
}

void dequantize_f16(const void* src, float* dst, int64_t n) {
    widen<half_to_float>(src, dst, n);
}
void quantize_f16(const float* src, void* dst, int64_t n) {
    narrow<float_to_half>(src, dst, n);
}

void dequantize_bf16(const void* src, float* dst, int64_t n) {
    widen<bfloat16_to_float>(src, dst, n);
}

void quantize_bf16(const float* src, void* dst, int64_t n) {
    narrow<float_to_bfloat16>(src, dst, n);
}

}  // namespace puna::core
