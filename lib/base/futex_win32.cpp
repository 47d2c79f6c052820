// WaitOnAddress needs Windows 8 and the import library "synchronization".
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#include <windows.h>

#include "base/futex.h"

namespace puna::core {

static void* address_of(const std::atomic<uint32_t>& word) {
    return const_cast<std::atomic<uint32_t>*>(&word);
}

void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected) noexcept {
    WaitOnAddress(address_of(word), &expected, sizeof expected, INFINITE);
}
void futex_wake_one(const std::atomic<uint32_t>& word) noexcept {
    WakeByAddressSingle(address_of(word));
}
void futex_wake_all(const std::atomic<uint32_t>& word) noexcept {
    WakeByAddressAll(address_of(word));
}

}  // namespace puna::core
