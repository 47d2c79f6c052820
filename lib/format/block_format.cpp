#include "format/block_format.h"

#include <cassert>
#include <cinttypes>
#include <iterator>

#include "base/checked.h"

namespace puna::core {

namespace {

using enum BlockFormat;

constexpr BlockFormatInfo kFormats[] = {
    {kF32, "F32", 1, 4, dequantize_f32, quantize_f32},
    {kF16, "F16", 1, 2, dequantize_f16, quantize_f16},
    {kQ4_0, "Q4_0", 32, 18, dequantize_q4_0, nullptr},
    {kQ4_1, "Q4_1", 32, 20, dequantize_q4_1, nullptr},
    {kQ5_0, "Q5_0", 32, 22, dequantize_q5_0, nullptr},
    {kQ5_1, "Q5_1", 32, 24, dequantize_q5_1, nullptr},
    {kQ8_0, "Q8_0", 32, 34, dequantize_q8_0, quantize_q8_0},
    {kQ8_1, "Q8_1", 32, 36, nullptr, nullptr},
    {kQ2_K, "Q2_K", 256, 84, dequantize_q2_k, nullptr},
    {kQ3_K, "Q3_K", 256, 110, dequantize_q3_k, nullptr},
    {kQ4_K, "Q4_K", 256, 144, dequantize_q4_k, nullptr},
    {kQ5_K, "Q5_K", 256, 176, dequantize_q5_k, nullptr},
    {kQ6_K, "Q6_K", 256, 210, dequantize_q6_k, nullptr},
    {kQ8_K, "Q8_K", 256, 292, nullptr, nullptr},
    {kIQ2_XXS, "IQ2_XXS", 256, 66, dequantize_iq2_xxs, nullptr},
    {kIQ2_XS, "IQ2_XS", 256, 74, dequantize_iq2_xs, nullptr},
    {kIQ3_XXS, "IQ3_XXS", 256, 98, dequantize_iq3_xxs, nullptr},
    {kIQ1_S, "IQ1_S", 256, 50, dequantize_iq1_s, nullptr},
    {kIQ4_NL, "IQ4_NL", 32, 18, dequantize_iq4_nl, nullptr},
    {kIQ3_S, "IQ3_S", 256, 110, dequantize_iq3_s, nullptr},
    {kIQ2_S, "IQ2_S", 256, 82, dequantize_iq2_s, nullptr},
    {kIQ4_XS, "IQ4_XS", 256, 136, dequantize_iq4_xs, nullptr},
    {kI8, "I8", 1, 1, nullptr, nullptr},
    {kI16, "I16", 1, 2, nullptr, nullptr},
    {kI32, "I32", 1, 4, nullptr, nullptr},
    {kI64, "I64", 1, 8, nullptr, nullptr},
    {kF64, "F64", 1, 8, nullptr, nullptr},
    {kIQ1_M, "IQ1_M", 256, 56, dequantize_iq1_m, nullptr},
    {kBF16, "BF16", 1, 2, dequantize_bf16, quantize_bf16},
    {kTQ1_0, "TQ1_0", 256, 54, dequantize_tq1_0, nullptr},
    {kTQ2_0, "TQ2_0", 256, 66, dequantize_tq2_0, nullptr},
    {kMXFP4, "MXFP4", 32, 17, dequantize_mxfp4, nullptr},
    {kNVFP4, "NVFP4", 64, 36, nullptr, nullptr},
    {kQ1_0, "Q1_0", 128, 18, nullptr, nullptr},
};

}  // namespace

std::span<const BlockFormatInfo> block_formats() {
    return kFormats;
}

const BlockFormatInfo* find_block_format(uint32_t type_id) {
    for (const BlockFormatInfo& info : kFormats) {
        if (static_cast<uint32_t>(info.format) == type_id) return &info;
    }
    return nullptr;
}

const BlockFormatInfo& block_format_info(BlockFormat format) {
    const BlockFormatInfo* info = find_block_format(static_cast<uint32_t>(format));
    assert(info != nullptr);
    return info != nullptr ? *info : kFormats[0];
}

std::optional<uint64_t> block_format_bytes(BlockFormat format, uint64_t n_elements) {
    const BlockFormatInfo& info = block_format_info(format);
    uint64_t n_bytes = 0;
    if (n_elements % info.block_length != 0 ||
        !checked_mul<uint64_t>(n_elements / info.block_length, info.block_bytes, &n_bytes)) {
        return std::nullopt;
    }
    return n_bytes;
}

namespace {

Status check_row(const BlockFormatInfo& info, bool known, const char* verb, int64_t n) {
    if (!known) return make_status(PUNA_ERROR_UNSUPPORTED, "%s is not %s", info.name, verb);
    if (n >= 0 && n % info.block_length == 0) return {};
    return make_status(PUNA_ERROR_ARGUMENT,
                       "a row of %" PRId64 " elements does not divide into %s blocks of %" PRIu32,
                       n, info.name, info.block_length);
}

}  // namespace

Status dequantize_row(BlockFormat format, const void* src, float* dst, int64_t n) {
    const BlockFormatInfo& info = block_format_info(format);
    PUNA_TRY(check_row(info, info.dequantize != nullptr, "read", n));
    info.dequantize(src, dst, n);
    return {};
}

Status quantize_row(BlockFormat format, const float* src, void* dst, int64_t n) {
    const BlockFormatInfo& info = block_format_info(format);
    PUNA_TRY(check_row(info, info.quantize != nullptr, "written", n));
    info.quantize(src, dst, n);
    return {};
}

}  // namespace puna::core
