#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#endif

namespace puna::core {
namespace {

using Pool = std::unique_ptr<ThreadPool>;

Pool make_pool(int n_threads) {
    Result<Pool> pool = ThreadPool::create(n_threads);
    EXPECT_TRUE(pool.ok()) << pool.status().text();
    return std::move(*pool);
}

void parallel(ThreadPool& pool, int n_parts, int max_threads, std::function<void(int)> fn) {
    pool.parallel(
        n_parts, max_threads,
        [](void* arg, int part) { (*static_cast<std::function<void(int)>*>(arg))(part); }, &fn);
}

void sleep_ms(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

// Waits, with a bound, for what other threads must do.
bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 10000; ++i) {
        if (condition()) return true;
        sleep_ms(1);
    }
    return false;
}

// Which threads ran parts, and how many did at the same time.
class Census {
  public:
    void enter() {
        const MutexLock lock(mutex_);
        ids_.insert(current_thread_id());
        peak_ = std::max(peak_, ++now_);
    }
    void leave() {
        const MutexLock lock(mutex_);
        --now_;
    }
    size_t n_threads() const { return ids_.size(); }
    int peak() const { return peak_; }
    bool saw(uintptr_t id) const { return ids_.count(id) != 0; }

  private:
    Mutex mutex_;
    std::set<uintptr_t> ids_;
    int now_ = 0;
    int peak_ = 0;
};

TEST(ThreadPool, RunsEachPartOnce) {
    for (const int n_threads : {1, 2, 3, 8}) {
        const Pool pool = make_pool(n_threads);
        EXPECT_EQ(pool->n_threads(), n_threads);
        for (const int n_parts : {0, 1, 2, 3, 7, 64, 1000}) {
            for (const int max_threads : {0, 1, 2, 100}) {
                std::vector<int> counts(static_cast<size_t>(n_parts), 0);  // not atomic on purpose
                parallel(*pool, n_parts, max_threads,
                         [&](int part) { ++counts[static_cast<size_t>(part)]; });
                EXPECT_EQ(counts, std::vector<int>(static_cast<size_t>(n_parts), 1));
            }
        }
        parallel(*pool, -5, 0, [](int) { ADD_FAILURE(); });
    }
}

TEST(ThreadPool, UsesAllItsThreadsAndTheCaller) {
    const Pool pool = make_pool(4);
    Census census;
    std::atomic<int> n_inside{0};
    parallel(*pool, 4, 0, [&](int) {
        census.enter();
        ++n_inside;
        EXPECT_TRUE(eventually([&] { return n_inside == 4; }));  // all four at the same time
        census.leave();
    });
    EXPECT_EQ(census.n_threads(), 4u);
    EXPECT_TRUE(census.saw(current_thread_id()));
}

TEST(ThreadPool, WakesWorkersThatSleep) {
    const Pool pool = make_pool(3);
    for (int round = 0; round < 5; ++round) {
        sleep_ms(5);  // a hundred times longer than they spin
        std::atomic<int> n_inside{0};
        parallel(*pool, 3, 0, [&](int) {
            ++n_inside;
            EXPECT_TRUE(eventually([&] { return n_inside == 3; }));
        });
    }
}

TEST(ThreadPool, ObeysTheCapOfTheCall) {
    const Pool pool = make_pool(6);
    const auto caller = current_thread_id();
    for (const int cap : {1, 2, 3}) {
        Census census;
        std::atomic<bool> caller_came{false};
        parallel(*pool, 40, cap, [&](int) {
            census.enter();
            if (current_thread_id() == caller) caller_came = true;
            // Workers leave something to a caller that the system has put aside.
            EXPECT_TRUE(eventually([&] { return caller_came.load(); }));
            std::this_thread::sleep_for(std::chrono::microseconds(200));
            census.leave();
        });
        EXPECT_LE(census.peak(), cap);
        EXPECT_LE(census.n_threads(), static_cast<size_t>(cap));
        EXPECT_TRUE(census.saw(caller));
    }
}

TEST(ThreadPool, NeverWaitsForABusyWorker) {
    const Pool pool = make_pool(2);
    std::atomic<bool> let_go{false};
    std::atomic<int> n_inside{0};
    std::thread other([&] {
        parallel(*pool, 2, 0, [&](int) {
            ++n_inside;
            while (!let_go) std::this_thread::yield();
        });
    });
    EXPECT_TRUE(eventually([&] { return n_inside == 2; }));
    Census census;
    parallel(*pool, 10, 0, [&](int) {
        census.enter();
        census.leave();
    });
    EXPECT_EQ(census.n_threads(), 1u);  // came back although the only worker is taken
    EXPECT_TRUE(census.saw(current_thread_id()));
    let_go = true;
    other.join();
}

TEST(ThreadPool, TakesAWorkerThatBecomesIdleLater) {
    const Pool pool = make_pool(2);
    std::atomic<bool> let_go{false};
    std::atomic<int> n_inside{0};
    std::thread other([&] {
        parallel(*pool, 2, 0, [&](int) {
            ++n_inside;
            while (!let_go) std::this_thread::yield();
        });
    });
    EXPECT_TRUE(eventually([&] { return n_inside == 2; }));
    Census census;
    std::atomic<int> n_threads{0};
    parallel(*pool, 20000, 0, [&](int part) {
        if (part == 5) let_go = true;
        if (part > 5 && n_threads < 2) {
            census.enter();
            census.leave();
            n_threads = static_cast<int>(census.n_threads());
            sleep_ms(1);
        }
    });
    EXPECT_EQ(census.n_threads(), 2u);
    other.join();
}

TEST(ThreadPool, NestedCallsRunOnTheThreadThatCalls) {
    const Pool pool = make_pool(4);
    std::atomic<int> n_inside{0};
    std::atomic<int> n_done{0};
    parallel(*pool, 2, 0, [&](int) {  // the caller and one worker; two workers stay idle
        ++n_inside;
        EXPECT_TRUE(eventually([&] { return n_inside == 2; }));
        const uintptr_t outer = current_thread_id();
        parallel(*pool, 5, 0, [&](int) {
            EXPECT_EQ(current_thread_id(), outer);
            parallel(*pool, 3, 0, [&](int) {
                EXPECT_EQ(current_thread_id(), outer);
                sleep_ms(1);  // long enough for an idle worker to come
                ++n_done;
            });
        });
    });
    EXPECT_EQ(n_done, 2 * 5 * 3);
    // The caller is an ordinary one again.
    n_inside = 0;
    parallel(*pool, 2, 0, [&](int) {
        ++n_inside;
        EXPECT_TRUE(eventually([&] { return n_inside == 2; }));
    });
}

// Phases of all lengths from several callers, with pauses that let workers fall asleep: a lost
// wake-up hangs, a part that is lost or done twice changes the sums, a race shows under TSan.
TEST(ThreadPool, SurvivesManyCallersAtOnce) {
    const Pool pool = make_pool(4);
    constexpr int kCallers = 4;
    constexpr int kJobs = 3000;
    const auto call = [&](int caller) {
        std::vector<int64_t> data(64, 0);  // written by parts without atomics
        uint32_t random = static_cast<uint32_t>(caller) + 1;
        for (int job = 0; job < kJobs; ++job) {
            random = random * 1664525 + 1013904223;
            const int n_parts = static_cast<int>(random >> 16) % 24;
            const int max_threads = static_cast<int>(random >> 24) % 5;
            const auto before = data;
            parallel(*pool, n_parts, max_threads, [&](int part) {
                for (int i = 0; i < static_cast<int>(random >> 20) % 64; ++i) {
                    std::atomic_signal_fence(std::memory_order_seq_cst);
                }
                data[static_cast<size_t>(part)] += part + job;
            });
            for (size_t i = 0; i < data.size(); ++i) {
                const bool is_part = static_cast<int>(i) < n_parts;
                const int64_t added = is_part ? static_cast<int>(i) + job : 0;
                ASSERT_EQ(data[i], before[i] + added);
            }
            if (random >> 26 == 0) std::this_thread::sleep_for(std::chrono::microseconds(150));
        }
    };
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) callers.emplace_back(call, i);
    for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, MoreCallersThanItKeepsTrackOf) {
    const Pool pool = make_pool(2);
    std::atomic<int> n_inside{0};
    std::atomic<int> n_done{0};
    constexpr int kCallers = 48;
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
        callers.emplace_back([&] {
            parallel(*pool, 3, 0, [&](int part) {
                if (part == 0) {
                    ++n_inside;
                    EXPECT_TRUE(eventually([&] { return n_inside == kCallers; }));
                }
                ++n_done;
            });
        });
    }
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(n_done, 3 * kCallers);
}

TEST(ThreadPool, IsCreatedAndDestroyedAtOnce) {
    for (int round = 0; round < 100; ++round) {
        const Pool pool = make_pool(3);
        if (round % 2 == 0) parallel(*pool, 3, 0, [](int) {});
    }
}

TEST(ThreadPool, RefusesImpossibleCounts) {
    for (const int n : {0, -1, ThreadPool::kMaxThreads + 1}) {
        EXPECT_EQ(ThreadPool::create(n).status().code(), PUNA_ERROR_ARGUMENT) << n;
    }
}

#if defined(__linux__)

size_t count_own_threads() {
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
        n += !entry.path().empty();
    }
    return n;
}

// The number that has not changed for a while: a thread that was joined is on the list until the
// system has cleared it away, which on a busy machine takes longer than the join.
size_t settled_thread_count() {
    size_t count = count_own_threads();
    for (int n_same = 0; n_same < 20;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        const size_t now = count_own_threads();
        n_same = now == count ? n_same + 1 : 0;
        count = now;
    }
    return count;
}

TEST(ThreadPool, HasNoMoreThreadsThanItSays) {
    std::thread([] {}).join();  // with the first thread ThreadSanitizer starts one of its own
    const size_t before = settled_thread_count();
    {
        const Pool alone = make_pool(1);
        EXPECT_EQ(count_own_threads(), before);
        const Pool pool = make_pool(5);
        EXPECT_EQ(count_own_threads(), before + 4);
    }
    EXPECT_TRUE(eventually([&] { return count_own_threads() == before; }));
}

// Runs the check in a child and returns its exit status. The sanitizers' own threads and leak check
// do not belong there, hence _exit.
int in_child(const std::function<bool()>& check) {
    const pid_t child = fork();
    if (child == 0) _exit(check() ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

TEST(ThreadPool, AChildOfForkCanAbandonIt) {
    Pool pool = make_pool(4);
    parallel(*pool, 16, 0, [](int) {});
    EXPECT_EQ(in_child([&] {
                  pool->abandon();
                  pool.reset();
                  return true;
              }),
              0);
    int sum = 0;
    EXPECT_EQ(in_child([&] {  // without workers the caller does all
                  parallel(*pool, 4, 0, [&](int part) { sum += part; });
                  return sum == 6;
              }),
              0);
}

TEST(ThreadPool, WithoutThreadsItFailsAndLeavesNone) {
#if defined(PUNA_SANITIZED)
    GTEST_SKIP() << "the sanitizers themselves need address space for each thread";
#endif
    const int status = in_child([] {
        const size_t before = count_own_threads();
        // Room for a few stacks of a megabyte only.
        std::ifstream statm("/proc/self/statm");
        size_t n_pages = 0;
        statm >> n_pages;
        const rlim_t bytes = n_pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const rlimit limit = {bytes + (rlim_t{8} << 20), RLIM_INFINITY};
        if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
        const Result<Pool> pool = ThreadPool::create(64);
        return !pool.ok() && pool.status().code() == PUNA_ERROR_THREAD &&
               settled_thread_count() == before;
    });
    EXPECT_EQ(status, 0);
}

#endif

}  // namespace
}  // namespace puna::core
