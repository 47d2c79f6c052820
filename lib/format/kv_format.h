// The block formats of the KV cache's types.
#pragma once

#include <cstdint>
#include <optional>

#include "format/block_format.h"

namespace puna::core {

// `kv_type` is PUNA_KV_*, DEFAULT included; empty for a number that is no type.
std::optional<BlockFormat> kv_block_format(int32_t kv_type);
// What one head of one cell takes, in the cache and in saved states: no element is padded, a last block
// of Q8_0 is as short as it can be. Empty for a number that is no type; head_dim is 1 or more.
std::optional<uint64_t> kv_head_bytes(int32_t kv_type, int32_t head_dim);
// For messages: "F16"; "an unknown type".
const char* kv_type_name(int32_t kv_type);

}  // namespace puna::core
