#include "runtime/runtime.h"

#include <cstdlib>

#include "base/cpu_topology.h"
#include "base/process.h"
#include "base/thread.h"

namespace puna::core {
namespace {

// The option, else the environment, else null: the backend's choice.
const char* kernels_wanted(const puna_runtime_options& options) {
    if (options.kernels != nullptr) return options.kernels;
    const char* variable = std::getenv("PUNA_KERNELS");
    return variable != nullptr && variable[0] != '\0' ? variable : nullptr;
}

}  // namespace

Runtime::Runtime(const puna_runtime_options& options)
    : alloc_hook_(options.alloc_user, options.alloc_release),
      log_hook_(options.log_user, options.log_release),
      parallel_hook_(options.parallel_user, options.parallel_release),
      alloc_(options.alloc),
      free_(options.free),
      write_(options.log),
      process_id_(current_process_id()),
      allocator_(options.alloc ? AllocatorHooks{allocate, deallocate, this}
                               : AllocatorHooks{nullptr, nullptr, nullptr}),
      log_(options.log ? write_log : nullptr, this,
           options.log_level == PUNA_LOG_DEFAULT ? PUNA_LOG_WARNING : options.log_level) {}

Runtime::~Runtime() {
    if (is_forked() && host_) host_->abandon_threads();
}

Status Runtime::open(const puna_runtime_options& options) {
    if (options.n_threads < 0 || options.n_threads > PUNA_MAX_THREADS) {
        return make_status(PUNA_ERROR_ARGUMENT, "n_threads is %d, not 0 .. %d",
                           static_cast<int>(options.n_threads), PUNA_MAX_THREADS);
    }
    if (options.log_level < PUNA_LOG_DEFAULT || options.log_level > PUNA_LOG_DEBUG) {
        return make_status(PUNA_ERROR_ARGUMENT, "log_level %d is no PUNA_LOG_ value",
                           static_cast<int>(options.log_level));
    }
    if ((options.alloc == nullptr) != (options.free == nullptr)) {
        return make_status(PUNA_ERROR_ARGUMENT, "alloc and free: give both or neither");
    }
    const int n_threads = options.n_threads > 0 ? options.n_threads : default_thread_count();
    PUNA_TRY_ASSIGN(host_, Host::create(allocator_, log_, n_threads,
                                        {options.parallel, options.parallel_user}));
    PUNA_TRY_ASSIGN(backends_, BackendRegistry::create(*host_, kernels_wanted(options)));
    if (options.disable_backend_search == 0) backends_->search_when_needed();
    return {};
}

Runtime::Call::Call(std::shared_ptr<Runtime> runtime)
    : runtime_(std::move(runtime)), thread_(current_thread_id()) {
    const MutexLock lock(runtime_->calls_mutex_);
    next_ = std::exchange(runtime_->calls_, this);
}

Runtime::Call::~Call() {
    const MutexLock lock(runtime_->calls_mutex_);
    Call** link = &runtime_->calls_;
    while (*link != this) link = &(*link)->next_;
    *link = next_;
    runtime_->calls_ended_.fetch_add(1, std::memory_order_relaxed);
    futex_wake_all(runtime_->calls_ended_);
}

void Runtime::close() {
    is_closed_.store(true, std::memory_order_release);
    log_.detach();
    for (;;) {
        uint32_t seen = 0;
        {
            const MutexLock lock(calls_mutex_);
            if (!others_are_calling()) return;
            seen = calls_ended_.load(std::memory_order_relaxed);
        }
        futex_wait(calls_ended_, seen);
    }
}

bool Runtime::others_are_calling() const {
    const uintptr_t self = current_thread_id();
    for (const Call* call = calls_; call != nullptr; call = call->next_) {
        if (call->thread_ != self) return true;
    }
    return false;
}

bool Runtime::is_forked() const {
    return current_process_id() != process_id_;
}

Status Runtime::check_process() const {
    if (!is_forked()) return {};
    return make_status(PUNA_ERROR_FORKED,
                       "the handle belongs to the parent of this forked process");
}

void Runtime::fill_memory_info(puna_memory_info* info) const {
    info->n_threads = host_->n_threads();
    info->allocated_bytes = allocator_.live_bytes();
    info->peak_bytes = allocator_.peak_bytes();
    info->mapped_bytes = static_cast<uint64_t>(mapped_bytes_.load(std::memory_order_relaxed));
}

void* Runtime::allocate(void* self, size_t size, size_t alignment) {
    const auto* runtime = static_cast<const Runtime*>(self);
    return runtime->alloc_(size, alignment, runtime->alloc_hook_.user);
}

void Runtime::deallocate(void* self, void* memory, size_t size, size_t alignment) {
    const auto* runtime = static_cast<const Runtime*>(self);
    runtime->free_(memory, size, alignment, runtime->alloc_hook_.user);
}

void Runtime::write_log(void* self, int32_t level, const char* text, size_t size) {
    const auto* runtime = static_cast<const Runtime*>(self);
    runtime->write_(level, text, size, runtime->log_hook_.user);
}

}  // namespace puna::core
