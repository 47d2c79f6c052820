// Where the library's messages go: one callback of the host, per runtime.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace puna::core {

// A message is delivered when its level is at most the sink's maximum. All functions may be called
// from any thread, also from inside the callback.
class LogSink {
  public:
    // `text` is one line of UTF-8 with a NUL behind it, valid during the call.
    using Callback = void (*)(void* user, int32_t level, const char* text, size_t length);

    LogSink() = default;  // silent
    LogSink(Callback callback, void* user, int32_t max_level)
        : callback_(callback), user_(user), max_level_(callback ? max_level : kSilent) {}
    LogSink(const LogSink&) = delete;
    LogSink& operator=(const LogSink&) = delete;

    // For a caller whose arguments cost something; log() asks by itself.
    bool enabled(int32_t level) const {
        return level <= max_level_.load(std::memory_order_relaxed);
    }

    PUNA_PRINTF(3, 4) void log(int32_t level, const char* format, ...);

    // While it lives, what its thread logs is kept instead: for work that other threads wait for, which the
    // host's callback may be waiting for in turn.
    class Hold {
      public:
        explicit Hold(LogSink& sink);
        ~Hold();
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        // Ends the hold and delivers; otherwise the lines are lost with it.
        void deliver();

      private:
        friend class LogSink;
        struct Line {
            int32_t level;
            std::string text;
        };
        void end();

        LogSink& sink_;
        const uintptr_t thread_;
        std::vector<Line> lines_;
        Hold* next_ = nullptr;
    };

    // No callback begins after this, and none runs any more when it returns, except those that are
    // themselves inside detach(): the caller's own, and others, which may be waiting for ours.
    void detach();

  private:
    static constexpr int32_t kSilent = INT32_MIN;

    // A callback in progress, on the stack of the thread that logs.
    struct Call {
        uintptr_t thread;
        bool detaching;
        Call* next;
    };
    class CallScope;

    bool must_wait(uintptr_t self, bool inside) const;
    bool keep(int32_t level, const char* text, size_t length);
    void deliver(int32_t level, const char* text, size_t length);

    Callback callback_ = nullptr;
    void* user_ = nullptr;
    std::atomic<int32_t> max_level_{kSilent};

    Mutex mutex_;  // guards the three below; never held while the callback runs
    bool detached_ = false;
    Call* calls_ = nullptr;
    Hold* holds_ = nullptr;
    std::atomic<uint32_t> changes_{0};  // counts what a waiting detach() must look at again
};

}  // namespace puna::core
