#include "base/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace puna::core {
namespace {

TEST(Mutex, ExcludesOtherThreads) {
    Mutex mutex;
    int64_t sum = 0;  // not atomic: lost updates and sanitizers tell
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 20000; ++k) {
                const MutexLock lock(mutex);
                ++sum;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(sum, 80000);
}

TEST(Mutex, WakesThoseWhoSleep) {
    Mutex mutex;
    mutex.lock();
    EXPECT_FALSE(mutex.try_lock());
    std::atomic<int> n_entered{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            const MutexLock lock(mutex);
            ++n_entered;
        });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(n_entered, 0);
    mutex.unlock();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_entered, 3);
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
}

}  // namespace
}  // namespace puna::core
