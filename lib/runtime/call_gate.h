// CallGate: one call at a time on a context, and how destroying a handle on another thread gets
// that call to end.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"

namespace puna::core {

class CallGate {
  public:
    // `context` is the handle that every call is on.
    explicit CallGate(const void* context) : context_(context) {}

    // A call on the context itself and, where not null, on a sequence and a generation of it. False
    // when another one is under way, on whatever thread.
    bool enter(const void* generation, const void* sequence);
    void leave();

    // Polled by the running call between layers: somebody waits, or it is to end.
    bool needs_attention() const {
        return n_waiting_.load(std::memory_order_acquire) != 0 || is_cancelled();
    }
    // The running call is on a handle that is being destroyed.
    bool is_cancelled() const { return is_cancelled_.load(std::memory_order_acquire); }

    // Guards what the destroying threads and the running call share.
    Mutex& mutex() { return mutex_; }

    // With the mutex held ------------------------------------------------------------------------

    bool is_busy() const { return is_busy_; }
    // The caller is inside the running call: in a callback of it.
    bool is_own_call() const;
    bool is_on(const void* handle) const {
        return handle == context_ || handle == sequence_ || handle == generation_;
    }
    // Tells calls apart.
    uint64_t call_number() const { return call_number_; }
    // Has the running call return PUNA_ERROR_CANCELLED.
    void cancel_call() { is_cancelled_.store(true, std::memory_order_release); }
    // Sleeps, with the mutex released meanwhile, until `done()`; the running call sees that
    // somebody waits, and leave() or notify() make us look again.
    template <class Done>
    void wait_until(Done done) {
        n_waiting_.fetch_add(1, std::memory_order_release);
        while (!done()) sleep();
        n_waiting_.fetch_sub(1, std::memory_order_release);
    }
    void notify();

  private:
    void sleep();

    Mutex mutex_;
    bool is_busy_ = false;
    uint64_t call_number_ = 0;
    uintptr_t owner_ = 0;  // thread of the running call
    const void* const context_;
    const void* sequence_ = nullptr;
    const void* generation_ = nullptr;
    std::atomic<bool> is_cancelled_{false};
    std::atomic<uint32_t> n_waiting_{0};
    std::atomic<uint32_t> changes_{0};
};

}  // namespace puna::core
