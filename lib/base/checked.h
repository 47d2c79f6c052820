// Checked unsigned arithmetic for sizes that come from files or callers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace puna::core {

// Each writes the result and returns true, or returns false when it does not fit.
template <class T>
[[nodiscard]] inline bool checked_add(T a, T b, T* out) {
    return !__builtin_add_overflow(a, b, out);
}
template <class T>
[[nodiscard]] inline bool checked_mul(T a, T b, T* out) {
    return !__builtin_mul_overflow(a, b, out);
}

// Rounds up to a multiple of `alignment`, a power of two.
[[nodiscard]] inline bool checked_align_up(uint64_t value, uint64_t alignment, uint64_t* out) {
    uint64_t sum = 0;
    if (!checked_add<uint64_t>(value, alignment - 1, &sum)) return false;
    *out = sum & ~(alignment - 1);
    return true;
}

}  // namespace puna::core
