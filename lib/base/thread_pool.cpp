// How a phase is handed out.
//
// Each worker has a slot: empty while it is idle, the job that a caller offers it, or kTaken while
// it works. The caller fills empty slots, works, and when no parts are left empties the slots whose
// workers have not come yet, so that it waits only for parts in progress, never for a thread to
// wake up. Parts are handed out by one counter. A worker that finds no part left empties its slot
// before it reports back: the caller's next phase, microseconds later, must find it idle.
//
// Waiting is spinning for a bounded time, longer than the gap between the phases of a token, and
// then sleeping on a futex.

#include "base/thread_pool.h"

#include <algorithm>

#include "base/clock.h"
#include "base/futex.h"
#include "base/thread.h"

namespace puna::core {
namespace {

constexpr int64_t kSpinNs = 50'000;
constexpr size_t kCacheLine = 128;  // two lines on x86, which fetches them in pairs

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

// Whether the condition came true within the time that spinning is worth.
template <class Condition>
bool spin_until(const Condition& condition) {
    const int64_t deadline = now_ns() + kSpinNs;
    do {
        for (int i = 0; i < 32; ++i) {
            if (condition()) return true;
            pause_cpu();
        }
    } while (now_ns() < deadline);
    return condition();
}

}  // namespace

// Lives on the caller's stack.
struct ThreadPool::Job {
    void (*fn)(void* arg, int part);
    void* arg;
    uint32_t n_parts;
    // Goes past n_parts by at most one per thread.
    alignas(kCacheLine) std::atomic<uint32_t> next_part{0};
    // Offers that are neither retracted nor finished, and kCallerSleeps.
    alignas(kCacheLine) std::atomic<uint32_t> open_offers{0};

    static constexpr uint32_t kCallerSleeps = 1u << 31;

    bool run_part() {
        const uint32_t part = next_part.fetch_add(1, std::memory_order_relaxed);
        if (part >= n_parts) return false;
        fn(arg, static_cast<int>(part));
        return true;
    }
    uint32_t parts_left() const {
        const uint32_t next = next_part.load(std::memory_order_relaxed);
        return next < n_parts ? n_parts - next : 0;
    }

    // The last touch of a worker: the job may be gone before the wake-up, which needs the address
    // only.
    void finish_offer() {
        const uint32_t before = open_offers.fetch_sub(1, std::memory_order_acq_rel);
        if (before == (kCallerSleeps | 1)) futex_wake_all(open_offers);
    }
    void wait_for_offers() {
        const auto all_finished = [this] {
            return open_offers.load(std::memory_order_acquire) == 0;
        };
        if (spin_until(all_finished)) return;
        uint32_t open = open_offers.fetch_or(kCallerSleeps, std::memory_order_acq_rel);
        open |= kCallerSleeps;
        while (open != kCallerSleeps) {
            futex_wait(open_offers, open);
            open = open_offers.load(std::memory_order_acquire);
        }
    }
};

struct alignas(kCacheLine) ThreadPool::Worker {
    std::atomic<Job*> slot{nullptr};
    std::atomic<uint32_t> asleep{0};
    std::atomic<uintptr_t> thread_id{0};
    Thread thread;

    // Never dereferenced, only told apart from jobs.
    static Job* taken() { return reinterpret_cast<Job*>(uintptr_t{1}); }
    static Job* stop() { return reinterpret_cast<Job*>(uintptr_t{2}); }

    // The order of writing and reading `slot` and `asleep`, on both sides, is sequentially
    // consistent: either the worker sees the offer or the caller sees it asleep.
    bool accept_offer(Job* job) {
        Job* empty = nullptr;
        if (slot.load(std::memory_order_relaxed) != nullptr) return false;
        if (!slot.compare_exchange_strong(empty, job)) return false;
        if (asleep.load() != 0) {
            asleep.store(0);
            futex_wake_one(asleep);
        }
        return true;
    }
    Job* wait_for_offer() {
        for (;;) {
            Job* offered = nullptr;
            const auto has_offer = [&] {
                offered = slot.load(std::memory_order_acquire);
                return offered != nullptr;
            };
            if (spin_until(has_offer)) return offered;
            asleep.store(1);
            if (slot.load() == nullptr) futex_wait(asleep, 1);
            asleep.store(0);
        }
    }
};

// Marks the thread as one that is inside parallel(), or tells that it already was.
class ThreadPool::CallerScope {
  public:
    CallerScope(ThreadPool& pool, uintptr_t thread) {
        for (std::atomic<uintptr_t>& entry : pool.callers_) {
            if (entry.load(std::memory_order_relaxed) == thread) return;
        }
        for (std::atomic<uintptr_t>& entry : pool.callers_) {
            uintptr_t free = 0;
            if (entry.load(std::memory_order_relaxed) != 0) continue;
            if (entry.compare_exchange_strong(free, thread, std::memory_order_relaxed)) {
                entry_ = &entry;
                return;
            }
        }
    }
    ~CallerScope() {
        if (entry_) entry_->store(0, std::memory_order_relaxed);
    }
    CallerScope(const CallerScope&) = delete;
    CallerScope& operator=(const CallerScope&) = delete;

    // False inside another call, and when so many threads are calling that no worker can be idle.
    bool outermost() const { return entry_ != nullptr; }

  private:
    std::atomic<uintptr_t>* entry_ = nullptr;
};

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int n_threads) {
    if (n_threads < 1 || n_threads > kMaxThreads) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_threads is %d, it must be 1 to %d", n_threads,
                           kMaxThreads);
    }
    std::unique_ptr<ThreadPool> pool(new ThreadPool);
    pool->workers_ = std::make_unique<Worker[]>(static_cast<size_t>(n_threads - 1));
    while (pool->n_workers_ < n_threads - 1) {
        Worker& worker = pool->workers_[static_cast<size_t>(pool->n_workers_)];
        PUNA_TRY_ASSIGN(worker.thread, Thread::start(run_worker, &worker));
        ++pool->n_workers_;
    }
    return pool;
}

ThreadPool::~ThreadPool() {
    for (int i = 0; i < n_workers_; ++i)
        workers_[static_cast<size_t>(i)].accept_offer(Worker::stop());
    for (int i = 0; i < n_workers_; ++i) workers_[static_cast<size_t>(i)].thread.join();
}

void ThreadPool::abandon() {
    n_workers_ = 0;
    workers_.release();
}

void ThreadPool::run_worker(void* arg) {
    Worker& self = *static_cast<Worker*>(arg);
    self.thread_id.store(current_thread_id(), std::memory_order_relaxed);
    for (;;) {
        Job* job = self.wait_for_offer();
        if (job == Worker::stop()) return;
        // Fails when the caller has taken its offer back. If it has offered another job at the same
        // address since, that one is meant.
        if (!self.slot.compare_exchange_strong(job, Worker::taken())) continue;
        while (job->run_part()) {
        }
        self.slot.store(nullptr);
        job->finish_offer();
    }
}

bool ThreadPool::is_worker_thread(uintptr_t thread) const {
    return std::any_of(workers_.get(), workers_.get() + n_workers_, [&](const Worker& worker) {
        return worker.thread_id.load(std::memory_order_relaxed) == thread;
    });
}

// Returns how many workers were idle and got the offer.
int ThreadPool::offer(Job& job, int n_wanted) {
    int n_offered = 0;
    for (int i = 0; i < n_workers_ && n_offered < n_wanted; ++i) {
        job.open_offers.fetch_add(1, std::memory_order_relaxed);
        if (workers_[static_cast<size_t>(i)].accept_offer(&job)) {
            ++n_offered;
        } else {
            job.open_offers.fetch_sub(1, std::memory_order_relaxed);
        }
    }
    return n_offered;
}

void ThreadPool::retract(Job& job) {
    for (int i = 0; i < n_workers_; ++i) {
        std::atomic<Job*>& slot = workers_[static_cast<size_t>(i)].slot;
        Job* offered = &job;
        if (slot.load(std::memory_order_relaxed) != &job) continue;
        if (slot.compare_exchange_strong(offered, nullptr)) {
            job.open_offers.fetch_sub(1, std::memory_order_relaxed);
        }
    }
}

void ThreadPool::parallel(int n_parts, int max_threads, void (*fn)(void* arg, int part),
                          void* arg) {
    const int limit = max_threads > 0 ? std::min(max_threads, n_threads()) : n_threads();
    const auto run_inline = [&] {
        for (int part = 0; part < n_parts; ++part) fn(arg, part);
    };
    if (n_parts <= 1 || limit <= 1) return run_inline();
    const uintptr_t thread = current_thread_id();
    if (is_worker_thread(thread)) return run_inline();
    const CallerScope scope(*this, thread);
    if (!scope.outermost()) return run_inline();

    Job job{fn, arg, static_cast<uint32_t>(n_parts)};
    int n_helpers = 0;
    do {
        // Again before each part: a worker that was busy elsewhere may have become idle.
        const int n_useful = static_cast<int>(job.parts_left()) - 1;
        n_helpers += offer(job, std::min(limit - 1 - n_helpers, n_useful));
    } while (job.run_part());
    if (job.open_offers.load(std::memory_order_acquire) == 0) return;
    retract(job);
    job.wait_for_offers();
}

}  // namespace puna::core
