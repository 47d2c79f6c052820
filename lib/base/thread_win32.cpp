#include <process.h>
#include <windows.h>

#include <memory>
#include <new>

#include "base/os_error.h"
#include "base/thread.h"

namespace puna::core {
namespace {

constexpr unsigned kStackSize = 1u << 20;

struct Start {
    Thread::Main main;
    void* arg;
};

// Windows 10 1607 on, so looked up at run time.
void name_this_thread() {
    using SetDescription = HRESULT(WINAPI*)(HANDLE, PCWSTR);
    const FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "SetThreadDescription");
    const auto set = reinterpret_cast<SetDescription>(reinterpret_cast<void*>(found));
    if (set) set(GetCurrentThread(), L"puna");
}

unsigned __stdcall enter(void* arg) {
    const Start start = *static_cast<Start*>(arg);
    delete static_cast<Start*>(arg);
    name_this_thread();
    start.main(start.arg);
    return 0;
}

}  // namespace

Result<Thread> Thread::start(Main main, void* arg) {
    std::unique_ptr<Start> start(new (std::nothrow) Start{main, arg});
    if (!start) {
        return make_status(PUNA_ERROR_OUT_OF_MEMORY, "cannot start a thread: out of memory");
    }
    Thread thread;
    thread.handle_ = _beginthreadex(nullptr, kStackSize, enter, start.get(),
                                    STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
    if (thread.handle_ == 0) {
        return make_status(PUNA_ERROR_THREAD, "cannot start a thread: %s",
                           os_error_text(last_os_error()).text);
    }
    start.release();
    thread.joinable_ = true;
    return thread;
}

void Thread::join() noexcept {
    if (joinable_) {
        const HANDLE handle = reinterpret_cast<HANDLE>(handle_);
        WaitForSingleObject(handle, INFINITE);
        CloseHandle(handle);
    }
    joinable_ = false;
}

uintptr_t current_thread_id() noexcept {
    return GetCurrentThreadId();
}

}  // namespace puna::core
