#include "base/thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/process.h"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace puna::core {
namespace {

TEST(Thread, RunsAndJoins) {
    std::atomic<uintptr_t> id{0};
    const auto main = [](void* arg) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        *static_cast<std::atomic<uintptr_t>*>(arg) = current_thread_id();
    };
    Result<Thread> thread = Thread::start(main, &id);
    ASSERT_TRUE(thread.ok()) << thread.status().text();
    thread->join();
    EXPECT_NE(id, 0u);
    EXPECT_NE(id, current_thread_id());
    thread->join();  // nothing left to wait for

    id = 0;
    { const Result<Thread> joined_by_destructor = Thread::start(main, &id); }
    EXPECT_NE(id, 0u);
}

TEST(Thread, Moves) {
    std::atomic<int> n{0};
    const auto main = [](void* arg) { ++*static_cast<std::atomic<int>*>(arg); };
    Result<Thread> a = Thread::start(main, &n);
    Result<Thread> b = Thread::start(main, &n);
    ASSERT_TRUE(a.ok() && b.ok());
    Thread c = std::move(*a);
    c = std::move(*b);
    c.join();
    a->join();
    b->join();
    EXPECT_EQ(n, 2);
    Thread none;
    none.join();
}

TEST(Thread, IdIsStable) {
    EXPECT_EQ(current_thread_id(), current_thread_id());
}

#if defined(__linux__)
TEST(Thread, LeavesSignalsToTheHostAndHasAName) {
    struct Seen {
        sigset_t blocked;
        char name[16];
        size_t stack_size;
    } seen;
    const auto main = [](void* arg) {
        Seen& s = *static_cast<Seen*>(arg);
        pthread_sigmask(SIG_SETMASK, nullptr, &s.blocked);
        pthread_getname_np(pthread_self(), s.name, sizeof s.name);
        pthread_attr_t attributes;
        pthread_getattr_np(pthread_self(), &attributes);
        pthread_attr_getstacksize(&attributes, &s.stack_size);
        pthread_attr_destroy(&attributes);
    };
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    Result<Thread> thread = Thread::start(main, &seen);
    ASSERT_TRUE(thread.ok());
    thread->join();
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE}) {
        EXPECT_EQ(sigismember(&seen.blocked, signal), 1) << signal;
    }
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        EXPECT_EQ(sigismember(&seen.blocked, fault), 0) << fault;
    }
    EXPECT_STREQ(seen.name, "puna");
    EXPECT_GE(seen.stack_size, size_t{1} << 20);

    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (const int signal : {SIGINT, SIGUSR1}) {
        EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal));
    }
}

TEST(Process, AChildHasAnotherId) {
    const int64_t parent = current_process_id();
    EXPECT_EQ(parent, current_process_id());
    const pid_t child = fork();
    if (child == 0) _exit(current_process_id() == parent ? 1 : 0);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}
#endif

}  // namespace
}  // namespace puna::core
