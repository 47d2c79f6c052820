#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace puna::core {
namespace {

struct Message {
    int32_t level;
    std::string text;
};

struct Recorder {
    std::vector<Message> messages;

    static void callback(void* user, int32_t level, const char* text, size_t length) {
        EXPECT_EQ(text[length], '\0');
        static_cast<Recorder*>(user)->messages.push_back({level, std::string(text, length)});
    }
};

TEST(LogSink, IsSilentByDefault) {
    LogSink sink;
    for (const int32_t level : {INT32_MIN + 1, -1, 0, 1, INT32_MAX}) {
        EXPECT_FALSE(sink.enabled(level));
        sink.log(level, "nobody hears this");
    }
    EXPECT_FALSE(LogSink(nullptr, nullptr, 5).enabled(1));
    sink.detach();
}

TEST(LogSink, DeliversUpToItsLevel) {
    Recorder recorder;
    LogSink sink(&Recorder::callback, &recorder, 2);
    EXPECT_TRUE(sink.enabled(2));
    EXPECT_FALSE(sink.enabled(3));
    sink.log(1, "%d of %s", 7, "nine");
    sink.log(2, "two");
    sink.log(3, "three");
    ASSERT_EQ(recorder.messages.size(), 2u);
    EXPECT_EQ(recorder.messages[0].level, 1);
    EXPECT_EQ(recorder.messages[0].text, "7 of nine");
    EXPECT_EQ(recorder.messages[1].text, "two");
}

TEST(LogSink, MessagesAreOneCleanLine) {
    Recorder recorder;
    LogSink sink(&Recorder::callback, &recorder, 1);
    sink.log(1, "a\nb\xFF");
    sink.log(1, "%s", std::string(5000, 'x').c_str());
    ASSERT_EQ(recorder.messages.size(), 2u);
    EXPECT_EQ(recorder.messages[0].text, "a?b?");
    const std::string& cut = recorder.messages[1].text;
    EXPECT_EQ(cut.size(), 1023u);
    EXPECT_EQ(std::count(cut.begin(), cut.end(), 'x'), 1020) << cut;  // and "..."
}

TEST(LogSink, HoldsTheLinesOfAThreadBack) {
    Recorder recorder;
    LogSink sink(&Recorder::callback, &recorder, 2);
    {
        LogSink::Hold hold(sink);
        sink.log(1, "later");
        sink.log(3, "never");
        std::thread([&] { sink.log(1, "at once"); }).join();
        ASSERT_EQ(recorder.messages.size(), 1u);
        EXPECT_EQ(recorder.messages[0].text, "at once");
        hold.deliver();
        sink.log(2, "after it");
    }
    {
        const LogSink::Hold forgotten(sink);
        sink.log(1, "lost");
    }
    sink.log(1, "last");
    ASSERT_EQ(recorder.messages.size(), 4u);
    EXPECT_EQ(recorder.messages[1].text, "later");
    EXPECT_EQ(recorder.messages[2].text, "after it");
    EXPECT_EQ(recorder.messages[3].text, "last");
}

TEST(LogSink, IsSilentForEverAfterDetach) {
    Recorder recorder;
    LogSink sink(&Recorder::callback, &recorder, 3);
    sink.log(1, "before");
    sink.detach();
    EXPECT_FALSE(sink.enabled(INT32_MIN + 1));
    sink.log(1, "after");
    sink.detach();
    EXPECT_EQ(recorder.messages.size(), 1u);
}

// Logs again from inside the callback, twice over, and detaches in the innermost one.
struct Nester {
    LogSink* sink = nullptr;
    int depth = 0;
    int n_calls = 0;

    static void callback(void* user, int32_t, const char*, size_t) {
        Nester& self = *static_cast<Nester*>(user);
        ++self.n_calls;
        if (++self.depth < 3) self.sink->log(1, "nested");
        if (self.depth == 3) self.sink->detach();
        self.sink->log(1, "after detach");
    }
};

TEST(LogSink, MayBeUsedInsideItsCallback) {
    Nester nester;
    LogSink sink(&Nester::callback, &nester, 1);
    nester.sink = &sink;
    sink.log(1, "outer");
    EXPECT_EQ(nester.n_calls, 3);
}

// A callback that stays until it is let go.
struct Gate {
    std::atomic<int> inside{0};
    std::atomic<bool> open{false};
    LogSink* detach_inside = nullptr;

    static void callback(void* user, int32_t, const char*, size_t) {
        Gate& self = *static_cast<Gate*>(user);
        ++self.inside;
        while (!self.open) std::this_thread::yield();
        if (self.detach_inside) self.detach_inside->detach();
        --self.inside;
    }
    void wait_for(int n) const {
        while (inside != n) std::this_thread::yield();
    }
};

TEST(LogSinkThreads, DetachWaitsForACallInProgress) {
    Gate gate;
    LogSink sink(&Gate::callback, &gate, 1);
    std::thread logger([&] { sink.log(1, "slow"); });
    gate.wait_for(1);

    std::atomic<bool> detached{false};
    std::thread detacher([&] {
        sink.detach();
        detached = true;
        EXPECT_EQ(gate.inside, 0);
    });
    while (sink.enabled(1)) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(detached);
    gate.open = true;
    detacher.join();
    logger.join();
    EXPECT_TRUE(detached);
}

TEST(LogSinkThreads, CallbacksThatDetachDoNotWaitForEachOther) {
    for (int round = 0; round < 200; ++round) {
        Gate gate;
        LogSink sink(&Gate::callback, &gate, 1);
        gate.detach_inside = &sink;
        std::thread first([&] { sink.log(1, "a"); });
        std::thread second([&] { sink.log(1, "b"); });
        gate.wait_for(2);
        gate.open = true;
        sink.detach();  // from outside: waits for both
        EXPECT_EQ(gate.inside, 0);
        first.join();
        second.join();
    }
}

// The user object dies right after detach: a late callback would be a use after free.
TEST(LogSinkThreads, NothingArrivesAfterDetach) {
    struct Counter {
        std::atomic<int> n{0};
        static void callback(void* user, int32_t, const char*, size_t) {
            ++static_cast<Counter*>(user)->n;
        }
    };
    for (int round = 0; round < 200; ++round) {
        auto counter = std::make_unique<Counter>();
        LogSink sink(&Counter::callback, counter.get(), 1);
        std::atomic<bool> stop{false};
        std::vector<std::thread> loggers;
        for (int i = 0; i < 2; ++i) {
            loggers.emplace_back([&, i] {
                while (!stop) sink.log(1, "tick %d", i);
            });
        }
        while (counter->n < 5) std::this_thread::yield();
        sink.detach();
        counter.reset();
        stop = true;
        for (std::thread& logger : loggers) logger.join();
    }
}

}  // namespace
}  // namespace puna::core
