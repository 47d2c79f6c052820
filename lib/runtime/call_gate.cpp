#include "runtime/call_gate.h"

#include "base/futex.h"
#include "base/thread.h"

namespace puna::core {

bool CallGate::enter(const void* generation, const void* sequence) {
    MutexLock lock(mutex_);
    if (is_busy_) return false;
    is_busy_ = true;
    ++call_number_;
    owner_ = current_thread_id();
    sequence_ = sequence;
    generation_ = generation;
    is_cancelled_.store(false, std::memory_order_relaxed);
    return true;
}

void CallGate::leave() {
    MutexLock lock(mutex_);
    is_busy_ = false;
    owner_ = 0;
    sequence_ = nullptr;
    generation_ = nullptr;
    notify();
}

bool CallGate::is_own_call() const {
    return is_busy_ && owner_ == current_thread_id();
}

void CallGate::notify() {
    changes_.fetch_add(1, std::memory_order_release);
    futex_wake_all(changes_);
}

void CallGate::sleep() {
    const uint32_t seen = changes_.load(std::memory_order_acquire);
    mutex_.unlock();
    futex_wait(changes_, seen);
    mutex_.lock();
}

}  // namespace puna::core
