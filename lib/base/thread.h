// A thread of our own.
#pragma once

#include <cstdint>
#include <utility>

#include "base/status.h"

namespace puna::core {

// Named "puna", with a stack of 1 MiB. It takes no signals that are sent to the process; those that
// its own instructions raise (SIGSEGV) still reach the host's crash reporter.
class Thread {
  public:
    using Main = void (*)(void* arg);  // must not throw

    Thread() = default;
    Thread(Thread&& other) noexcept
        : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}
    Thread& operator=(Thread&& other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(joinable_, other.joinable_);
        return *this;
    }
    ~Thread() { join(); }

    // PUNA_ERROR_THREAD when the system gives no thread.
    static Result<Thread> start(Main main, void* arg);

    // Waits until the thread has returned. Does nothing when there is none.
    void join() noexcept;
    // Forgets the thread: in a child of fork() there is nothing to wait for.
    void abandon() { joinable_ = false; }

  private:
    uintptr_t handle_ = 0;
    bool joinable_ = false;
};

// Differs between threads that live at the same time; never 0.
uintptr_t current_thread_id() noexcept;

}  // namespace puna::core
