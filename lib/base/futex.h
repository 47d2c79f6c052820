// Sleeping on a word of memory, the one primitive under mutex, log sink and thread pool.
//
// Not std::mutex or std::atomic::wait: those bring references to std::terminate into the library,
// and mingw's win32 thread model has neither.
#pragma once

#include <atomic>
#include <cstdint>

namespace puna::core {

// Sleeps while the word holds `expected`, until woken. May also return for no reason: loop.
void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected) noexcept;

// These use the address alone, so the word may already be gone when they run: a thread that saw the
// new value may have destroyed it.
void futex_wake_one(const std::atomic<uint32_t>& word) noexcept;
void futex_wake_all(const std::atomic<uint32_t>& word) noexcept;

}  // namespace puna::core
