#pragma once

#include <cstdint>

#include "cpu/kernels/intrinsics_avx512.h"

namespace puna::core {
namespace {

// Asks for kBytes that lie `offset` bytes after `row`. An address beyond the matrix is fine for a
// prefetch, but not for pointer arithmetic.
template <int64_t kBytes>
[[gnu::always_inline]] inline void prefetch_bytes(const uint8_t* row, int64_t offset) {
    const auto at = reinterpret_cast<uintptr_t>(row) + static_cast<uintptr_t>(offset);
    for (uintptr_t i = 0; i < static_cast<uintptr_t>(kBytes); i += 64) {
        _mm_prefetch(reinterpret_cast<const char*>(at + i), _MM_HINT_T1);
    }
}

}  // namespace
}  // namespace puna::core
