// The block formats of the KV cache's types.
#pragma once

#include <cstdint>
#include <optional>

#include "format/block_format.h"

namespace puna::core {

// `kv_type` is PUNA_KV_*, DEFAULT included; empty for a number that is no type.
std::optional<BlockFormat> kv_block_format(int32_t kv_type);
// For messages: "F16"; "an unknown type".
const char* kv_type_name(int32_t kv_type);

}  // namespace puna::core
