#include "base/futex.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#endif

namespace puna::core {

#if defined(__linux__)

// 32-bit systems with a 64-bit time_t only (riscv32) have no plain SYS_futex. Without a timeout
// the two calls are the same.
#if defined(SYS_futex)
static constexpr long kFutexCall = SYS_futex;
#else
static constexpr long kFutexCall = SYS_futex_time64;
#endif

void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected) noexcept {
    syscall(kFutexCall, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake_one(const std::atomic<uint32_t>& word) noexcept {
    syscall(kFutexCall, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}
void futex_wake_all(const std::atomic<uint32_t>& word) noexcept {
    syscall(kFutexCall, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

#else

// The C++ library of the other systems (libc++) sits directly on their own wait-on-address calls.
void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected) noexcept {
    word.wait(expected);
}
void futex_wake_one(const std::atomic<uint32_t>& word) noexcept {
    const_cast<std::atomic<uint32_t>&>(word).notify_one();
}
void futex_wake_all(const std::atomic<uint32_t>& word) noexcept {
    const_cast<std::atomic<uint32_t>&>(word).notify_all();
}

#endif

}  // namespace puna::core
