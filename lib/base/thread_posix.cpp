#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <new>

#include "base/os_error.h"
#include "base/thread.h"

namespace puna::core {
namespace {

static_assert(sizeof(pthread_t) <= sizeof(uintptr_t));

constexpr size_t kStackSize = size_t{1} << 20;

struct Start {
    Thread::Main main;
    void* arg;
};

void* enter(void* arg) {
    const Start start = *static_cast<Start*>(arg);
    delete static_cast<Start*>(arg);
#if defined(__APPLE__)
    pthread_setname_np("puna");
#elif defined(__linux__)
    pthread_setname_np(pthread_self(), "puna");
#endif
    start.main(start.arg);
    return nullptr;
}

// For the duration of pthread_create: the new thread inherits the mask.
class SignalBlock {
  public:
    SignalBlock() {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
            sigdelset(&blocked, fault);
        }
        pthread_sigmask(SIG_SETMASK, &blocked, &before_);
    }
    ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalBlock(const SignalBlock&) = delete;
    SignalBlock& operator=(const SignalBlock&) = delete;

  private:
    sigset_t before_;
};

int create(pthread_t* thread, Start* start) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    const size_t minimum = static_cast<size_t>(PTHREAD_STACK_MIN);
    error = pthread_attr_setstacksize(&attributes, std::max(kStackSize, minimum));
    if (error == 0) {
        const SignalBlock block;
        error = pthread_create(thread, &attributes, enter, start);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

}  // namespace

Result<Thread> Thread::start(Main main, void* arg) {
    std::unique_ptr<Start> start(new (std::nothrow) Start{main, arg});
    if (!start) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY, "cannot start a thread: out of memory");
    }
    pthread_t handle = {};
    const int error = create(&handle, start.get());
    if (error != 0) {
        return make_status(PUNA_ERROR_THREAD, "cannot start a thread: %s",
                           os_error_text(error).text);
    }
    start.release();
    Thread thread;
    thread.handle_ = (uintptr_t)handle;  // an integer here, a pointer there
    thread.joinable_ = true;
    return thread;
}

void Thread::join() noexcept {
    if (joinable_) pthread_join((pthread_t)handle_, nullptr);
    joinable_ = false;
}

uintptr_t current_thread_id() noexcept {
    return (uintptr_t)pthread_self();
}

}  // namespace puna::core
