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

const char* kv_type_name(int32_t kv_type) {
    const auto format = kv_block_format(kv_type);
    return format ? block_format_name(*format) : "an unknown type";
}

}  // namespace puna::core
