#pragma once

#include <cstdint>

namespace puna::core {
namespace {  // compiled once per kernel file, with the flags of its set

// Asks the L2 cache for kBytes that lie `offset` bytes after `row`. An address beyond the matrix is fine
// for a prefetch, but not for pointer arithmetic.
template <int64_t kBytes>
[[gnu::always_inline]] inline void prefetch_bytes(const uint8_t* row, int64_t offset) {
    const auto at = reinterpret_cast<uintptr_t>(row) + static_cast<uintptr_t>(offset);
    for (uintptr_t i = 0; i < static_cast<uintptr_t>(kBytes); i += 64) {
        __builtin_prefetch(reinterpret_cast<const void*>(at + i), 0, 2);
    }
}

}  // namespace
}  // namespace puna::core
