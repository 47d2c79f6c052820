// What a backend serves of all that puna_backend.h can say. The checks beside this refuse the rest.
#pragma once

#include <cstdint>

#include "puna/puna_backend.h"

namespace puna::core {

// Sets of kinds have bit i for the value i of their enum.
struct BackendLimits {
    const char* name = "";      // "CPU", for messages
    int32_t most_head_dim = 0;  // of keys and of values
    uint32_t norms = 0;         // PUNA_NORM_*
    uint32_t activations = 0;   // PUNA_ACTIVATION_*
    uint32_t kv_types = 0;      // PUNA_KV_*
};

// Any number may be asked.
inline bool has_kind(uint32_t kinds, int32_t kind) {
    return kind >= 0 && kind < 32 && (kinds >> kind & 1u) != 0;
}

}  // namespace puna::core
