#include "base/log.h"

#include <cstdarg>

#include "base/text_line.h"
#include "base/thread.h"

namespace puna::core {

// Registers a call for as long as its callback runs, also when a C++ host throws through it.
class LogSink::CallScope {
  public:
    explicit CallScope(LogSink& sink) : sink_(sink), call_{current_thread_id(), false, nullptr} {
        const MutexLock lock(sink_.mutex_);
        if (sink_.detached_) return;
        call_.next = sink_.calls_;
        sink_.calls_ = &call_;
        entered_ = true;
    }
    ~CallScope() {
        if (!entered_) return;
        // Waking comes before unlocking: after that the sink may be gone.
        const MutexLock lock(sink_.mutex_);
        Call** link = &sink_.calls_;
        while (*link != &call_) link = &(*link)->next;
        *link = call_.next;
        sink_.changes_.fetch_add(1, std::memory_order_relaxed);
        futex_wake_all(sink_.changes_);
    }
    CallScope(const CallScope&) = delete;
    CallScope& operator=(const CallScope&) = delete;

    bool entered() const { return entered_; }

  private:
    LogSink& sink_;
    Call call_;
    bool entered_ = false;
};

void LogSink::log(int32_t level, const char* format, ...) {
    if (!enabled(level)) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    const size_t length = format_line(text, sizeof text, format, args);
    va_end(args);

    if (!keep(level, text, length)) deliver(level, text, length);
}

void LogSink::deliver(int32_t level, const char* text, size_t length) {
    const CallScope scope(*this);
    if (scope.entered()) callback_(user_, level, text, length);
}

bool LogSink::keep(int32_t level, const char* text, size_t length) {
    const uintptr_t self = current_thread_id();
    const MutexLock lock(mutex_);
    for (Hold* hold = holds_; hold; hold = hold->next_) {
        if (hold->thread_ != self) continue;
        try {
            hold->lines_.push_back({level, std::string(text, length)});
        } catch (...) {  // a line is not worth an error
        }
        return true;
    }
    return false;
}

LogSink::Hold::Hold(LogSink& sink) : sink_(sink), thread_(current_thread_id()) {
    const MutexLock lock(sink_.mutex_);
    next_ = sink_.holds_;
    sink_.holds_ = this;
}

LogSink::Hold::~Hold() {
    end();
}

void LogSink::Hold::end() {
    const MutexLock lock(sink_.mutex_);
    for (Hold** link = &sink_.holds_; *link; link = &(*link)->next_) {
        if (*link != this) continue;
        *link = next_;
        return;
    }
}

void LogSink::Hold::deliver() {
    end();
    for (const Line& line : lines_) {
        sink_.deliver(line.level, line.text.c_str(), line.text.size());
    }
    lines_.clear();
}

void LogSink::detach() {
    max_level_.store(kSilent, std::memory_order_relaxed);
    const uintptr_t self = current_thread_id();
    bool inside = false;
    {
        const MutexLock lock(mutex_);
        detached_ = true;
        for (Call* call = calls_; call; call = call->next) {
            if (call->thread != self) continue;
            call->detaching = true;
            inside = true;
        }
        // Two callbacks that detach must not wait for each other.
        changes_.fetch_add(1, std::memory_order_relaxed);
        if (inside) futex_wake_all(changes_);
    }
    for (;;) {
        uint32_t seen = 0;
        {
            const MutexLock lock(mutex_);
            if (!must_wait(self, inside)) return;
            seen = changes_.load(std::memory_order_relaxed);
        }
        futex_wait(changes_, seen);
    }
}

bool LogSink::must_wait(uintptr_t self, bool inside) const {
    for (const Call* call = calls_; call; call = call->next) {
        if (call->thread != self && !(inside && call->detaching)) return true;
    }
    return false;
}

}  // namespace puna::core
