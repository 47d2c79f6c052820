// What a runtime offers to backends: memory, log, threads, clock and the reference dequantiser.
#pragma once

#include <memory>

#include "base/allocator.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "puna/puna_backend.h"

namespace puna::core {

// A host's own parallel loop in place of our threads; `run` is null for ours.
struct ParallelHook {
    puna_parallel_fn run = nullptr;
    void* user = nullptr;
};

class Host {
  public:
    // The allocator and the log outlive the host.
    static Result<std::unique_ptr<Host>> create(Allocator& allocator, LogSink& log, int n_threads,
                                                ParallelHook hook);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    Allocator& allocator() const { return allocator_; }
    LogSink& log() const { return log_; }
    int n_threads() const { return services_.n_threads; }
    const puna_host_services& services() const { return services_; }

    void parallel(int32_t n_parts, int32_t max_threads, puna_part_fn part, void* argument);
    // In a child of fork(): the destructor then touches no thread.
    void abandon_threads();

  private:
    Host(Allocator& allocator, LogSink& log, ParallelHook hook)
        : allocator_(allocator), log_(log), hook_(hook) {}
    void fill_services(int n_threads);

    Allocator& allocator_;
    LogSink& log_;
    ParallelHook hook_;
    std::unique_ptr<ThreadPool> pool_;
    puna_host_services services_ = {};
};

}  // namespace puna::core
