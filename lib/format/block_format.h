// The block formats of GGUF tensors: names, sizes, and the scalar reference conversions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/status.h"

namespace puna::core {

// The numbers are those of the file format. The gaps are formats it has withdrawn.
enum class BlockFormat : uint32_t {
    kF32 = 0,
    kF16 = 1,
    kQ4_0 = 2,
    kQ4_1 = 3,
    kQ5_0 = 6,
    kQ5_1 = 7,
    kQ8_0 = 8,
    kQ8_1 = 9,
    kQ2_K = 10,
    kQ3_K = 11,
    kQ4_K = 12,
    kQ5_K = 13,
    kQ6_K = 14,
    kQ8_K = 15,
    kIQ2_XXS = 16,
    kIQ2_XS = 17,
    kIQ3_XXS = 18,
    kIQ1_S = 19,
    kIQ4_NL = 20,
    kIQ3_S = 21,
    kIQ2_S = 22,
    kIQ4_XS = 23,
    kI8 = 24,
    kI16 = 25,
    kI32 = 26,
    kI64 = 27,
    kF64 = 28,
    kIQ1_M = 29,
    kBF16 = 30,
    kTQ1_0 = 34,
    kTQ2_0 = 35,
    kMXFP4 = 39,
    kNVFP4 = 40,
    kQ1_0 = 41,
};

struct BlockFormatInfo {
    BlockFormat format;
    const char* name;       // as tools print it: "Q8_0"
    uint32_t block_length;  // elements in a block
    uint32_t block_bytes;

    // The reference conversions of n elements, a multiple of block_length. The packed side may be
    // unaligned. Null where this library does not read (or write) the format.
    void (*dequantize)(const void* src, float* dst, int64_t n);
    void (*quantize)(const float* src, void* dst, int64_t n);
};

// All formats of GGUF, in the order of their numbers.
std::span<const BlockFormatInfo> block_formats();

// Null for a number that is no format.
const BlockFormatInfo* find_block_format(uint32_t type_id);

const BlockFormatInfo& block_format_info(BlockFormat format);
inline const char* block_format_name(BlockFormat format) {
    return block_format_info(format).name;
}

// True when rows of the format can be dequantised, hence used as weights.
inline bool is_supported(BlockFormat format) {
    return block_format_info(format).dequantize != nullptr;
}

// Bytes of n elements; empty when n is no multiple of the block length or the size does not fit.
std::optional<uint64_t> block_format_bytes(BlockFormat format, uint64_t n_elements);

// n is a multiple of the block length. PUNA_ERROR_UNSUPPORTED for a format without a reference.
Status dequantize_row(BlockFormat format, const void* src, float* dst, int64_t n);
Status quantize_row(BlockFormat format, const float* src, void* dst, int64_t n);

// The entries of the table, one file per family.
void dequantize_f32(const void* src, float* dst, int64_t n);
void dequantize_f16(const void* src, float* dst, int64_t n);
void dequantize_bf16(const void* src, float* dst, int64_t n);
void dequantize_q4_0(const void* src, float* dst, int64_t n);
void dequantize_q4_1(const void* src, float* dst, int64_t n);
void dequantize_q5_0(const void* src, float* dst, int64_t n);
void dequantize_q5_1(const void* src, float* dst, int64_t n);
void dequantize_q8_0(const void* src, float* dst, int64_t n);
void dequantize_q2_k(const void* src, float* dst, int64_t n);
void dequantize_q3_k(const void* src, float* dst, int64_t n);
void dequantize_q4_k(const void* src, float* dst, int64_t n);
void dequantize_q5_k(const void* src, float* dst, int64_t n);
void dequantize_q6_k(const void* src, float* dst, int64_t n);
void dequantize_iq1_s(const void* src, float* dst, int64_t n);
void dequantize_iq1_m(const void* src, float* dst, int64_t n);
void dequantize_iq2_xxs(const void* src, float* dst, int64_t n);
void dequantize_iq2_xs(const void* src, float* dst, int64_t n);
void dequantize_iq2_s(const void* src, float* dst, int64_t n);
void dequantize_iq3_xxs(const void* src, float* dst, int64_t n);
void dequantize_iq3_s(const void* src, float* dst, int64_t n);
void dequantize_iq4_nl(const void* src, float* dst, int64_t n);
void dequantize_iq4_xs(const void* src, float* dst, int64_t n);
void dequantize_mxfp4(const void* src, float* dst, int64_t n);
void dequantize_tq1_0(const void* src, float* dst, int64_t n);
void dequantize_tq2_0(const void* src, float* dst, int64_t n);
void quantize_f32(const float* src, void* dst, int64_t n);
void quantize_f16(const float* src, void* dst, int64_t n);
void quantize_bf16(const float* src, void* dst, int64_t n);
void quantize_q8_0(const float* src, void* dst, int64_t n);

}  // namespace puna::core
