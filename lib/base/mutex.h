// A mutex that cannot fail, throw or terminate. For short critical sections; not recursive.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/futex.h"

namespace puna::core {

class Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    bool try_lock() {
        uint32_t state = kFree;
        return state_.compare_exchange_strong(state, kLocked, std::memory_order_acquire);
    }
    void lock() {
        if (!try_lock()) lock_slowly();
    }
    void unlock() {
        if (state_.exchange(kFree, std::memory_order_release) == kContended) {
            futex_wake_one(state_);
        }
    }

  private:
    enum : uint32_t { kFree, kLocked, kContended };

    void lock_slowly() {
        // Whoever slept takes the mutex as contended: it cannot know whether others still sleep.
        while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
            futex_wait(state_, kContended);
        }
    }

    std::atomic<uint32_t> state_{kFree};
};

class MutexLock {
  public:
    explicit MutexLock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
    ~MutexLock() { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& mutex_;
};

}  // namespace puna::core
