#include "format/kv_format.h"

#include "puna/puna.h"

namespace puna::core {

std::optional<BlockFormat> kv_block_format(int32_t kv_type) {
    switch (kv_type) {
        case PUNA_KV_DEFAULT:
        case PUNA_KV_F16:
            return BlockFormat::kF16;
        case PUNA_KV_F32:
            return BlockFormat::kF32;
        case PUNA_KV_BF16:
            return BlockFormat::kBF16;
        case PUNA_KV_Q8_0:
            return BlockFormat::kQ8_0;
        default:
            return std::nullopt;
    }
}

std::optional<uint64_t> kv_head_bytes(int32_t kv_type, int32_t head_dim) {
    const auto format = kv_block_format(kv_type);
    if (!format) return std::nullopt;
    const BlockFormatInfo& info = block_format_info(*format);
    const auto n = static_cast<uint64_t>(head_dim);
    // What a block has besides its elements: a scale, or nothing.
    const uint64_t element_bytes = info.block_bytes / info.block_length;
    const uint64_t extra_bytes = info.block_bytes % info.block_length;
    const uint64_t n_blocks = (n + info.block_length - 1) / info.block_length;
    return n * element_bytes + n_blocks * extra_bytes;
}

const char* kv_type_name(int32_t kv_type) {
    const auto format = kv_block_format(kv_type);
    return format ? block_format_name(*format) : "an unknown type";
}

}  // namespace puna::core
