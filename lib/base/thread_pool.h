// The threads of a runtime.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"

namespace puna::core {

// A phase of work is parallel(n_parts, ...): the caller works itself and takes along whatever
// workers are idle. It never waits for a busy one, so several callers share a pool without
// deadlock, and a pool whose workers are all elsewhere is merely slower.
class ThreadPool {
  public:
    static constexpr int kMaxThreads = 1024;

    // `n_threads` counts the caller: n_threads - 1 workers are started, none for 1.
    static Result<std::unique_ptr<ThreadPool>> create(int n_threads);
    // Joins the workers. No call of parallel() may be running.
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int n_threads() const { return n_workers_ + 1; }

    // Calls fn(arg, part) once for each part 0 .. n_parts - 1, on at most `max_threads` threads (0:
    // no limit of its own), and returns when all have returned. What the parts wrote is visible to
    // the caller. `fn` must not throw. May be called from several threads at a time; from inside
    // `fn` it runs all parts on the thread that calls.
    void parallel(int n_parts, int max_threads, void (*fn)(void* arg, int part), void* arg);

    // In a child of fork(), where the workers do not exist: the destructor will then do nothing.
    void abandon();

  private:
    struct Job;
    struct Worker;
    class CallerScope;

    ThreadPool() = default;

    static void run_worker(void* arg);
    bool is_worker_thread(uintptr_t thread) const;
    int offer(Job& job, int n_wanted);
    void retract(Job& job);

    static constexpr int kMaxCallers = 32;

    std::unique_ptr<Worker[]> workers_;
    int n_workers_ = 0;
    // Threads inside parallel() that are not workers; 0 for a free entry.
    std::atomic<uintptr_t> callers_[kMaxCallers] = {};
};

}  // namespace puna::core
