// Monotonic time.
#pragma once

#include <chrono>
#include <cstdint>

namespace puna::core {

inline int64_t now_ns() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

}  // namespace puna::core
